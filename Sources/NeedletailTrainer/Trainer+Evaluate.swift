// Validation, test and prediction: batches without gradients, in evaluation mode.
import NeedletailData
import NeedletailTensor

extension Trainer {
    /// Runs `body` on each batch of `loader` and returns the weighted means of what it logs.
    ///
    /// The results of a sanity check (`limit` given) are not logged.
    @discardableResult
    func evaluate(
        _ stage: Stage, _ module: TrainingModule, _ loader: DataLoader, limit: Int? = nil,
        body: (Batch, Int) throws -> Void
    ) throws -> [String: Double] {
        let wasTraining = module.isTraining
        module.evaluate()
        defer { module.train(wasTraining) }
        loader.dtype = try chosenPolicy().compute
        evaluationBatchCount = min(loader.batchCount, limit ?? .max)
        evaluationMetrics.restore([])
        module.metrics = evaluationMetrics
        return try withoutGradients {
            try evaluationStart(stage, module)
            if evaluationBatchCount > 0 {
                let batches = loader.batches(epoch: 0, from: 0)
                for index in 0..<evaluationBatchCount {
                    guard let batch = try batches.next() else { break }
                    evaluationMetrics.beginBatch(weight: module.lossWeight(of: batch))
                    try evaluationBatchStart(stage, module, batch, index)
                    try body(batch, index)
                    try evaluationBatchEnd(stage, module, batch, index)
                    evaluationMetrics.endBatch(counts: true)
                }
            }
            let means = evaluationMetrics.epochMetrics
            if !isSanityChecking { try log(.epoch, means) }
            try evaluationEnd(stage, module)
            return Dictionary(means, uniquingKeysWith: { $1 })
        }
    }

    private func evaluationStart(_ stage: Stage, _ module: TrainingModule) throws {
        switch stage {
        case .test: try each({ try $0.onTestStart(self, module) }, { try module.onTestStart() })
        case .predict: try each({ try $0.onPredictStart(self, module) }, { try module.onPredictStart() })
        default: try each({ try $0.onValidationStart(self, module) }, { try module.onValidationStart() })
        }
    }

    private func evaluationEnd(_ stage: Stage, _ module: TrainingModule) throws {
        switch stage {
        case .test: try each({ try $0.onTestEnd(self, module) }, { try module.onTestEnd() })
        case .predict: try each({ try $0.onPredictEnd(self, module) }, { try module.onPredictEnd() })
        default: try each({ try $0.onValidationEnd(self, module) }, { try module.onValidationEnd() })
        }
    }

    private func evaluationBatchStart(_ stage: Stage, _ module: TrainingModule, _ batch: Batch, _ index: Int) throws {
        switch stage {
        case .test:
            try each(
                { try $0.onTestBatchStart(self, module, batch, index) }, { try module.onTestBatchStart(batch, index) })
        case .predict:
            try each(
                { try $0.onPredictBatchStart(self, module, batch, index) },
                { try module.onPredictBatchStart(batch, index) })
        default:
            try each(
                { try $0.onValidationBatchStart(self, module, batch, index) },
                { try module.onValidationBatchStart(batch, index) })
        }
    }

    private func evaluationBatchEnd(_ stage: Stage, _ module: TrainingModule, _ batch: Batch, _ index: Int) throws {
        switch stage {
        case .test:
            try each({ try $0.onTestBatchEnd(self, module, batch, index) }, { try module.onTestBatchEnd(batch, index) })
        case .predict:
            try each(
                { try $0.onPredictBatchEnd(self, module, batch, index) }, { try module.onPredictBatchEnd(batch, index) }
            )
        default:
            try each(
                { try $0.onValidationBatchEnd(self, module, batch, index) },
                { try module.onValidationBatchEnd(batch, index) })
        }
    }
}
