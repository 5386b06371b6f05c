// Fit: what is made before the first epoch, the epochs, and when they end.
public import NeedletailData
import NeedletailNN
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
        try fit(module, GivenLoaders(train: train, validation.map { NamedLoaders($0) }), resume: resume)
    }

    /// Trains with several validation loaders: the metrics of each get its name.
    public func fit(
        _ module: TrainingModule, train: DataLoader, validation: NamedLoaders, resume: ResumePoint? = nil
    ) throws {
        try fit(module, GivenLoaders(train: train, validation), resume: resume)
    }

    /// Trains on a data module's loaders.
    public func fit(_ module: TrainingModule, _ data: DataModule, resume: ResumePoint? = nil) throws {
        var resume = resume
        try run(.fit, module, data, begin: { resume = try self.beginFit(resume) }) {
            var train = try data.trainLoader()
            if configuration.overfitBatches != nil { train = train.inOrder() }
            let validation = try configuration.limitValBatches.isNone ? nil : data.validationLoaders()
            hasValidation = validation != nil
            // A finder of batch sizes makes other batches of the same samples.
            if !callbacks.contains(where: { $0 is BatchSizeFinder }) { try checkLoaders(train, validation) }
            try applyPrecision(to: module) { try self.choosePrecision(module, train, resume) }
            let trial = FitTrial(self, module, train, resumed: try resume.map { try Checkpoint(path(of: $0)) })
            for callback in callbacks { try callback.search(trial) }
            if trial.train !== train {
                train = trial.train
                try checkLoaders(train, validation)
            }
            let step = try prepareFit(module, train, trial)
            let isOver = hasNothingLeft(trial.resumed)
            try each({ try $0.onFitStart(self, module) }, { try module.onFitStart() })
            if let validation, resume == nil, !isOver { try sanityCheck(module, validation) }
            if !module.isTraining {
                notice("the module is in evaluation mode and is trained so, as it was left; train() changes that")
            }
            try each({ try $0.onTrainStart(self, module) }, { try module.onTrainStart() })
            while !isDone { try trainEpoch(module, step, train, validation) }
            try each({ try $0.onTrainEnd(self, module) }, { try module.onTrainEnd() })
            try checkpointWriter.finish()
            try each({ try $0.onFitEnd(self, module) }, { try module.onFitEnd() })
            try checkpointWriter.finish()
        }
    }

    /// Counts an epoch's batches; throws where training or a validation would have none.
    private func checkLoaders(_ train: DataLoader, _ validation: NamedLoaders?) throws {
        trainingBatchCount = try epochBatches(of: train)
        try checkValidations(validation)
    }

    /// Forgets the fit before, so that neither the trainer nor a callback knows anything of it, and takes the folders of the new
    /// one. Returns where the checkpoint to go on from is.
    private func beginFit(_ resume: ResumePoint?) throws -> ResumePoint? {
        state = TrainerState()
        firstState = nil
        (lastPath, bestPath) = (nil, nil)
        (trainingBatchCount, evaluationBatchCount) = (0, 0)
        evaluationLoader = (0, "")
        shouldStop = false
        isEpochComplete = false
        isAtStepBoundary = true
        hasToldOfEmptyMeans = false
        checkedStatisticsHolders = 0
        metrics = [:]
        notices = []
        validationMeans = nil
        lastScaler = nil
        trainingMetrics.reset()
        evaluationMetrics.reset()
        graphObservers.removeAll()
        for callback in callbacks { callback.reset() }
        let checkpoint = try resume.map(path(of:))
        try takeFolders(resumedFrom: checkpoint)
        return checkpoint.map { .path($0) }
    }

    /// Makes optimizers and the step, and loads the checkpoint to resume from.
    private func prepareFit(
        _ module: TrainingModule, _ train: DataLoader, _ trial: FitTrial
    ) throws -> TrainingStep {
        let policy = try chosenPolicy()
        train.dtype = policy.compute
        loader = train
        let optimizers = try module.madeOptimizers()
        module.nameParameters()  // it may have added some
        if let rate = trial.learningRate, let own = optimizers.first?.learningRate, own > 0 {
            for group in optimizers[0].groups { group.learningRate *= rate / own }
        }
        for callback in callbacks { try callback.configure(optimizers, self, module) }
        let step = try TrainingStep(
            module, optimizers: optimizers, schedulers: module.configureSchedules(for: optimizers),
            scaler: configuration.makeScaler(for: policy), configuration: configuration, hooks: self)
        tellOfForeignParameters(step, module)
        self.step = step
        state.consecutiveSkips = step.slots.map { _ in 0 }
        if let seed = configuration.seed { module.seedRandomLayers(seed) }
        if let checkpoint = trial.resumed { try restore(module, from: checkpoint) }
        firstState = state
        if let rounding = configuration.updateRounding, rounding != .nearest,
            !step.slots.contains(where: \.storesSixteenBit)
        {
            notice(
                "\(option: "updateRounding") has no effect: no parameter is stored in 16 bits (bf16-true and 16-true do that)"
            )
        }
        for logger in configuration.loggers { try logger.logHyperparameters(module.hyperparameters) }
        noteTrackers()
        return step
    }

    /// Throws ``TrainerError/singleValue(layer:shape:batch:unit:advice:)`` where an epoch's last batch is a single sample of which a layer
    /// cannot take statistics: before the first step, not at the end of the first epoch.
    ///
    /// Looked at again where more layers take statistics than before, as after unfreezing.
    func checkLastBatch(_ module: TrainingModule, _ step: TrainingStep, _ train: DataLoader) throws {
        let last = trainingBatchCount - 1
        guard train.dataset.count - last * train.batchSize == 1 else { return }
        let holders = module.statisticsHolders.count
        guard holders > checkedStatisticsHolders else { return }
        checkedStatisticsHolders = holders
        try module.measured { parts in
            parts.renewGradients()
            guard let loaded = try train.batches(epoch: state.epoch, from: last, upTo: last + 1).next() else { return }
            let batch = try transferred(loaded, last, module, .fit)
            guard module.lossWeight(of: batch) > 0 else { return }
            for slot in step.slots {
                slot.toggle()
                defer { slot.untoggle() }
                _ = try step.forward(batch, last, slot, seed: 1, isGuarded: true)
            }
        }
    }

    /// Lets go of what belongs to one fit.
    func endFit() {
        if let step { lastScaler = step.scaler }
        (step, loader, windowStart) = (nil, nil, nil)
    }

    /// Whether a limit is reached, or someone asked to stop who may.
    var isDone: Bool {
        if configuration.maxEpochs.map({ state.epoch >= $0 }) ?? false { return true }
        if configuration.maxSteps.map({ state.globalStep >= $0 }) ?? false { return true }
        return shouldStop && hasReachedMinima
    }

    /// Whether those may end training who are no limit.
    var hasReachedMinima: Bool {
        state.epoch >= configuration.minEpochs ?? 0 && state.globalStep >= configuration.minSteps ?? 0
    }

    /// How many batches share an update in `epoch`.
    func accumulation(inEpoch epoch: Int) -> Int {
        let scheduler = callbacks.lazy.compactMap { $0 as? GradientAccumulationScheduler }.first
        return scheduler?.batches(inEpoch: epoch) ?? configuration.accumulateGradBatches
    }

    /// How many steps `epoch` has.
    func steps(inEpoch epoch: Int) -> Int {
        let window = accumulation(inEpoch: epoch)
        return trainingBatchCount == 0 ? 0 : (trainingBatchCount - 1) / window + 1
    }

    /// How many steps the epochs before `epoch` have.
    func steps(untilEpoch epoch: Int) -> Int {
        let scheduler = callbacks.lazy.compactMap { $0 as? GradientAccumulationScheduler }.first
        let starts = [0] + (scheduler?.scheduling.keys.sorted() ?? []).filter { $0 > 0 && $0 < epoch }
        return zip(starts, starts.dropFirst() + [epoch]).reduce(0) { sum, epochs in
            // Of so many epochs that their steps cannot be counted, as many as can be.
            let (steps, wraps) = (epochs.1 - epochs.0).multipliedReportingOverflow(by: steps(inEpoch: epochs.0))
            let (total, overflows) = sum.addingReportingOverflow(steps)
            return wraps || overflows ? .max : total
        }
    }
}

extension TrainingModule {
    /// Streams far from those that users take.
    private static var layerStreams: UInt64 { 0x4C41_5945_5200_0000 }  // "LAYER"

    /// Gives each layer that draws random numbers a generator of its own under `seed`.
    fileprivate func seedRandomLayers(_ seed: UInt64) {
        let holders = namedModules().compactMap { $0.module as? any RandomStateHolder }
        for (index, holder) in holders.enumerated() {
            holder.generator = SeededGenerator(seed: seed, stream: Self.layerStreams + UInt64(index))
        }
    }
}
