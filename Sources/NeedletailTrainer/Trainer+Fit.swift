// Fit: epochs of training batches, each with its validation.
public import NeedletailData
import NeedletailOptim
import NeedletailTensor

extension Trainer {
    /// Trains the module until a limit is reached, a hook sets ``shouldStop``, or training diverges.
    ///
    /// `resume` continues a run exactly where its checkpoint was written: parameters, optimizer, loss scale, counters,
    /// the loader's position and random states are those of the uninterrupted run, bit for bit.
    ///
    /// Throws: ``TrainerError`` for options that cannot work, ``TrainingDiverged``, ``CheckpointError``, and whatever the
    /// module's steps or the data throw.
    public func fit(
        _ module: TrainingModule, train: DataLoader, validation: DataLoader? = nil, resume: ResumePoint? = nil
    ) throws {
        let bfloat16Choice = KernelInfo.chosenBFloat16MatMul
        defer { setBFloat16MatMul(bfloat16Choice) }  // a checkpoint may have put its own in place
        try run(.fit, module, precision: { try self.choosePrecision(module, train, resume) }) {
            let step = try prepareFit(module, train, resume)
            defer {
                lastScaler = step.scaler
                self.step = nil
                loader = nil
            }
            try each({ try $0.onFitStart(self, module) }, { try module.onFitStart() })
            if let validation, resume == nil { try sanityCheck(module, validation) }
            module.train(true)
            try each({ try $0.onTrainStart(self, module) }, { try module.onTrainStart() })
            while !isDone { try trainEpoch(module, step, train, validation) }
            try each({ try $0.onTrainEnd(self, module) }, { try module.onTrainEnd() })
            try each({ try $0.onFitEnd(self, module) }, { try module.onFitEnd() })
        }
    }

    /// Makes optimizers and the step, and loads the checkpoint to resume from.
    private func prepareFit(
        _ module: TrainingModule, _ train: DataLoader, _ resume: ResumePoint?
    ) throws -> TrainingStep {
        let policy = try chosenPolicy()
        lastScaler = nil
        train.dtype = policy.compute
        loader = train
        trainingBatchCount = train.batchCount
        guard trainingBatchCount > 0 else { throw TrainerError.noBatches }
        let optimizers = module.configureOptimizers()
        let step = try TrainingStep(
            module, optimizers: optimizers, schedulers: module.configureSchedules(for: optimizers),
            scaler: configuration.makeScaler(for: policy), configuration: configuration, hooks: self)
        self.step = step
        state = TrainerState()
        state.consecutiveSkips = step.slots.map { _ in 0 }
        shouldStop = false
        isEpochComplete = false
        isAtStepBoundary = true
        metrics = [:]
        trainingMetrics.restore([])
        evaluationMetrics.restore([])
        if let resume { try restore(module, from: resume) }
        if let rounding = configuration.updateRounding, rounding != .nearest,
            !step.slots.contains(where: \.storesSixteenBit)
        {
            notice("updateRounding has no effect: no parameter is stored in 16 bits (bf16-true and 16-true do that)")
        }
        for logger in configuration.loggers { try logger.logHyperparameters(module.hyperparameters) }
        return step
    }

    /// Whether a limit is reached or someone asked to stop.
    private var isDone: Bool {
        shouldStop || configuration.maxEpochs.map { state.epoch >= $0 } ?? false
            || configuration.maxSteps.map { state.globalStep >= $0 } ?? false
    }

    /// The batches of one epoch from where the state stands, then validation and the epoch's end.
    ///
    /// An epoch that ends early (limit, ``shouldStop``) has no end: it can be resumed in its middle.
    private func trainEpoch(
        _ module: TrainingModule, _ step: TrainingStep, _ train: DataLoader, _ validation: DataLoader?
    ) throws {
        isEpochComplete = false
        module.metrics = trainingMetrics
        if state.batchInEpoch == 0 {
            trainingMetrics.beginEpoch()
            trainingMetrics.phase = .epochHook
            try each({ try $0.onTrainEpochStart(self, module) }, { try module.onTrainEpochStart() })
            trainingMetrics.phase = .trainingStep
        }
        if state.batchInEpoch < trainingBatchCount {
            let batches = train.batches(epoch: state.epoch, from: state.batchInEpoch)
            while let batch = try batches.next() {
                try trainBatch(module, step, batch)
                if isDone, isAtStepBoundary { break }
            }
        }
        guard state.batchInEpoch >= trainingBatchCount else { return }
        var means: [String: Double]?  // of a validation that has run
        if let validation, (state.epoch + 1) % configuration.checkValEveryNEpochs == 0 {
            means = try evaluate(.validate, module, validation) { try module.validationStep($0, $1) }
        }
        module.metrics = trainingMetrics
        trainingMetrics.phase = .epochHook
        trainingMetrics.beginBatch(weight: 1)
        for callback in early { try callback.onTrainEpochEnd(self, module) }
        try module.onTrainEpochEnd()
        trainingMetrics.endBatch(counts: true)
        trainingMetrics.phase = .trainingStep
        try log(.epoch, trainingMetrics.epochMetrics)
        try moveSchedules(of: step, with: means ?? [:], mayWait: validation != nil && means == nil)
        isEpochComplete = true  // a checkpoint from here on begins with the next epoch
        for callback in late { try callback.onTrainEpochEnd(self, module) }
        state.epoch += 1
        state.batchInEpoch = 0
        isEpochComplete = false
        trainingMetrics.beginEpoch()
    }

    /// Ends an epoch for the schedules that go by epochs, and gives a monitored metric to those that need one.
    ///
    /// - Parameter mayWait: whether the metric may be one of a validation that has not run in this epoch.
    private func moveSchedules(of step: TrainingStep, with validation: [String: Double], mayWait: Bool) throws {
        let means = validation.merging(trainingMetrics.epochMetrics) { $1 }
        for case let scheduler? in step.slots.map(\.scheduler) {
            if let monitor = scheduler.monitor, means[monitor] == nil, !mayWait {
                throw TrainerError.monitorNotLogged(monitor, logged: means.keys.sorted())
            }
            scheduler.epochEnded(metric: scheduler.monitor.flatMap { means[$0] })
        }
    }

    /// One batch: hooks, THE step, metrics.
    private func trainBatch(_ module: TrainingModule, _ step: TrainingStep, _ batch: Batch) throws {
        let index = state.batchInEpoch
        trainingMetrics.beginBatch(weight: module.lossWeight(of: batch))
        try each(
            { try $0.onTrainBatchStart(self, module, batch, index) }, { try module.onTrainBatchStart(batch, index) })
        let closesWindow =
            (index + 1) % configuration.accumulateGradBatches == 0 || index + 1 == trainingBatchCount
        isAtStepBoundary = false
        let result = try step.run(batch, index, closesWindow: closesWindow)
        isAtStepBoundary = closesWindow
        state.batchInEpoch = index + 1
        for callback in early { try callback.onTrainBatchEnd(self, module, result, batch, index) }
        try module.onTrainBatchEnd(result, batch, index)
        trainingMetrics.endBatch(counts: result.loss.isFinite)
        if closesWindow, (state.globalStep + state.skippedSteps) % configuration.logEveryNSteps == 0 {
            try logStep(result)
        }
        for callback in late { try callback.onTrainBatchEnd(self, module, result, batch, index) }
    }

    /// Writes what was logged by step, with the learning rates, the loss scale where there is one, and the share of updates
    /// that rounding lost where parameters are stored in 16 bits.
    ///
    /// The rates are those of this step: `lr`, or `lr-0`, `lr-1`, … where there are several groups or optimizers.
    private func logStep(_ result: StepResult) throws {
        var values = trainingMetrics.stepMetrics
        let rates = result.learningRates
        for (index, rate) in rates.enumerated() {
            let name = rates.count == 1 ? "lr" : "lr-\(index)"
            if !values.contains(where: { $0.name == name }) { values.append((name, rate)) }  // the module's own wins
        }
        if let lossScale {
            values.append(("amp/scale", Double(lossScale)))
            values.append(("amp/skipped_total", Double(state.skippedSteps)))
        }
        if let lost = result.lostUpdates { values.append((Trainer.lostUpdatesMetric, lost.share)) }
        try log(.step, values)
    }

    private func sanityCheck(_ module: TrainingModule, _ validation: DataLoader) throws {
        guard configuration.numSanityValSteps > 0 else { return }
        isSanityChecking = true
        defer {
            isSanityChecking = false
            evaluationMetrics.restore([])
        }
        try each({ try $0.onSanityCheckStart(self, module) }, { try module.onSanityCheckStart() })
        try evaluate(.validate, module, validation, limit: configuration.numSanityValSteps) {
            try module.validationStep($0, $1)
        }
        try each({ try $0.onSanityCheckEnd(self, module) }, { try module.onSanityCheckEnd() })
    }
}
