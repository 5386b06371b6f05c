// The hooks of validation, test and prediction, by stage.
import NeedletailData

extension Trainer {
    func evaluationStart(_ stage: Stage, _ module: TrainingModule) throws {
        switch stage {
        case .test: try each({ try $0.onTestStart(self, module) }, { try module.onTestStart() })
        case .predict: try each({ try $0.onPredictStart(self, module) }, { try module.onPredictStart() })
        default: try each({ try $0.onValidationStart(self, module) }, { try module.onValidationStart() })
        }
    }

    func evaluationEnd(_ stage: Stage, _ module: TrainingModule) throws {
        switch stage {
        case .test: try each({ try $0.onTestEnd(self, module) }, { try module.onTestEnd() })
        case .predict: try each({ try $0.onPredictEnd(self, module) }, { try module.onPredictEnd() })
        default: try each({ try $0.onValidationEnd(self, module) }, { try module.onValidationEnd() })
        }
    }

    func evaluationEpochStart(_ stage: Stage, _ module: TrainingModule) throws {
        switch stage {
        case .test: try each({ try $0.onTestEpochStart(self, module) }, { try module.onTestEpochStart() })
        case .predict: try each({ try $0.onPredictEpochStart(self, module) }, { try module.onPredictEpochStart() })
        default: try each({ try $0.onValidationEpochStart(self, module) }, { try module.onValidationEpochStart() })
        }
    }

    func evaluationEpochEnd(_ stage: Stage, _ module: TrainingModule) throws {
        switch stage {
        case .test: try each({ try $0.onTestEpochEnd(self, module) }, { try module.onTestEpochEnd() })
        case .predict: try each({ try $0.onPredictEpochEnd(self, module) }, { try module.onPredictEpochEnd() })
        default: try each({ try $0.onValidationEpochEnd(self, module) }, { try module.onValidationEpochEnd() })
        }
    }

    func evaluationBatchStart(_ stage: Stage, _ module: TrainingModule, _ batch: Batch, _ index: Int) throws {
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

    func evaluationBatchEnd(_ stage: Stage, _ module: TrainingModule, _ batch: Batch, _ index: Int) throws {
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
