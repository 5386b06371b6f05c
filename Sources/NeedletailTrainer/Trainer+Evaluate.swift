// Validation, test and prediction: batches without gradients, in evaluation mode.
public import NeedletailData
import NeedletailNN
public import NeedletailTensor

extension Trainer {
    /// Validates the module on `loader`: the weighted means of what its validation step logs.
    @discardableResult
    public func validate(_ module: TrainingModule, _ loader: DataLoader) throws -> [String: Double] {
        try validate(module, NamedLoaders(loader))
    }

    /// Validates the module on several loaders; the metrics of each have its name.
    @discardableResult
    public func validate(_ module: TrainingModule, _ loaders: NamedLoaders) throws -> [String: Double] {
        try validate(module, GivenLoaders(loaders))
    }

    /// Validates the module on a data module's validation loaders.
    @discardableResult
    public func validate(_ module: TrainingModule, _ data: DataModule) throws -> [String: Double] {
        try run(.validate, module, data) {
            try applyPrecision(to: module)
            guard let loaders = try data.validationLoaders() else {
                throw TrainerError.badLoaders(
                    stage: Stage.validate.noun, why: "are nil, what validationLoaders() returned, expected some")
            }
            return try evaluate(.validate, module, loaders)
        }
    }

    /// Tests the module on `loader`: the weighted means of what its test step logs.
    @discardableResult
    public func test(_ module: TrainingModule, _ loader: DataLoader) throws -> [String: Double] {
        try test(module, NamedLoaders(loader))
    }

    /// Tests the module on several loaders; the metrics of each have its name.
    @discardableResult
    public func test(_ module: TrainingModule, _ loaders: NamedLoaders) throws -> [String: Double] {
        try test(module, GivenLoaders(loaders))
    }

    /// Tests the module on a data module's test loaders.
    @discardableResult
    public func test(_ module: TrainingModule, _ data: DataModule) throws -> [String: Double] {
        try run(.test, module, data) {
            try applyPrecision(to: module)
            return try evaluate(.test, module, data.testLoaders())
        }
    }

    /// The module's predictions for `loader`, a tensor for each batch.
    public func predict(_ module: TrainingModule, _ loader: DataLoader) throws -> [Tensor] {
        try predict(module, NamedLoaders(loader))[""] ?? []
    }

    /// The module's predictions for several loaders by name, a tensor for each batch.
    public func predict(_ module: TrainingModule, _ loaders: NamedLoaders) throws -> [String: [Tensor]] {
        try predict(module, GivenLoaders(loaders))
    }

    /// The module's predictions for a data module's prediction loaders by name ("" where there is one), a tensor for each batch.
    public func predict(_ module: TrainingModule, _ data: DataModule) throws -> [String: [Tensor]] {
        try run(.predict, module, data) {
            try applyPrecision(to: module)
            let loaders = try data.predictLoaders()
            var predictions = Dictionary(loaders.list.map { ($0.name, [Tensor]()) }) { $1 }
            try evaluate(.predict, module, loaders) { tensor in
                predictions[evaluationLoader.name, default: []].append(tensor)
            }
            return predictions
        }
    }

    /// A run of its own: the checks of what is known before it, and the batches. Where the limit is 0 it says so, and has none.
    @discardableResult
    private func evaluate(
        _ stage: Stage, _ module: TrainingModule, _ loaders: NamedLoaders, _ collect: (Tensor) -> Void = { _ in }
    ) throws -> [String: Double] {
        try checkBatches(of: stage, loaders)
        let (limit, option) = limit(of: stage)
        if limit.isNone {
            notice("there is no \(stage.noun): \(option: option) is \(limit)")
            return [:]
        }
        return try evaluate(stage, module, loaders, limit: limit, collect)
    }

    /// Runs the stage's step on batches of each loader, and returns the weighted means of what it logs.
    ///
    /// The results of a sanity check are not logged. Those of a validation within fit are kept for schedules and callbacks.
    @discardableResult
    func evaluate(
        _ stage: Stage, _ module: TrainingModule, _ loaders: NamedLoaders, limit: BatchLimit,
        _ collect: (Tensor) -> Void = { _ in }
    ) throws -> [String: Double] {
        let modes = ModuleState(module).snapshot(.modes)
        module.evaluate()
        trainingModes = modes
        defer {
            modes.restore()
            trainingModes = nil
        }
        evaluationMetrics.restore([])
        module.metrics = evaluationMetrics
        return try withoutGradients {
            try evaluationStart(stage, module)
            evaluationMetrics.beginBatch()
            try evaluationEpochStart(stage, module)
            try evaluationMetrics.throwFailure()
            evaluationMetrics.endBatch(counts: true)
            for index in loaders.list.indices {
                try evaluate(stage, module, loaders, at: index, limit: limit, collect)
            }
            evaluationMetrics.suffix = ""
            evaluationMetrics.beginBatch()
            try evaluationEpochEnd(stage, module)
            try evaluationMetrics.throwFailure()
            evaluationMetrics.endBatch(counts: true)
            let metrics = evaluationMetrics.epochMetrics
            let means = Dictionary(metrics, uniquingKeysWith: { $1 })
            if !isSanityChecking {
                try log(.epoch, metrics)
                if self.stage == .fit { (validationMeans, state.validatedBatch) = (means, state.batchInEpoch) }
            }
            try evaluationEnd(stage, module)
            return means
        }
    }

    /// The stage's step; its prediction where it has one.
    private func evaluationStep(
        _ stage: Stage, _ module: TrainingModule, _ batch: Batch, _ index: Int, loader: Int
    ) throws -> Tensor? {
        switch stage {
        case .test: try module.testStep(batch, index, loader: loader)
        case .predict: return try module.predictStep(batch, index, loader: loader)
        default: try module.validationStep(batch, index, loader: loader)
        }
        return nil
    }

    /// The batches of one loader.
    private func evaluate(
        _ stage: Stage, _ module: TrainingModule, _ loaders: NamedLoaders, at loaderIndex: Int, limit: BatchLimit,
        _ collect: (Tensor) -> Void
    ) throws {
        let (name, loader) = loaders.list[loaderIndex]
        loader.dtype = try chosenPolicy().compute
        evaluationLoader = (loaderIndex, name)
        evaluationMetrics.suffix = loaders.suffix(loaderIndex)
        evaluationBatchCount = limit.batches(of: loader.batchCount)
        let batches = loader.batches(epoch: 0, from: 0, upTo: evaluationBatchCount)
        var index = 0
        while let loaded = try batches.next() {
            let batch = try transferred(loaded, index, module, stage)
            evaluationMetrics.beginBatch(samples: batch.count, counts: module.lossWeight(of: batch) > 0)
            try evaluationBatchStart(stage, module, batch, index)
            let step = { [self, index] in
                try LossMeans.collecting { try evaluationStep(stage, module, batch, index, loader: loaderIndex) }
            }
            let place = stage.noun(of: name)
            let isNew = knownBatches[place, default: KnownBatches()].isNew(batch)
            let (prediction, means) = try isNew ? guarding(batch, index, of: place, step) : step()
            if let prediction { collect(prediction) }
            evaluationMetrics.dropEmpty(means)
            try evaluationBatchEnd(stage, module, batch, index)
            try evaluationMetrics.throwFailure()
            evaluationMetrics.endBatch(counts: true)
            index += 1
            try endWhereAsked()
        }
    }
}
