// What is known before the first step: that a loader or a limit gives no batch, that a validation can never run, that nothing
// is left or there is nothing to train.
import NeedletailData
import NeedletailNN
import NeedletailTensor

extension Trainer {
    // MARK: Batches

    /// How many batches a run of `stage` takes of each loader, and the option that says so.
    func limit(of stage: Stage) -> (limit: BatchLimit, option: String) {
        let overfits = configuration.overfitBatches != nil && configuration.fastDevRun == 0
        switch stage {
        case .fit: return (configuration.limitTrainBatches, overfits ? "overfitBatches" : "limitTrainBatches")
        case .validate: return (configuration.limitValBatches, overfits ? "overfitBatches" : "limitValBatches")
        case .test: return (configuration.limitTestBatches, "limitTestBatches")
        case .predict: return (configuration.limitPredictBatches, "limitPredictBatches")
        }
    }

    /// The batches of a training epoch.
    ///
    /// Throws: ``TrainerError`` where there is none.
    func epochBatches(of train: DataLoader) throws -> Int {
        if let why = train.reasonForNoBatches { throw TrainerError.noBatches(loader: Stage.fit.noun, why: why) }
        let (limit, option) = limit(of: .fit)
        guard !limit.isNone else {
            throw TrainerError.badOption(name: option, found: "\(limit)", expected: "at least one batch to train on")
        }
        return try limit.batches(of: train.batchCount, option: option, loader: Stage.fit.noun)
    }

    /// Throws ``TrainerError`` where a run of `stage` cannot take a batch of one of these loaders. A limit of 0 asks for none.
    package func checkBatches(of stage: Stage, _ loaders: NamedLoaders) throws {
        let names = loaders.list.map(\.name)
        guard !names.isEmpty else {
            throw TrainerError.badLoaders(stage: stage.noun, why: "are none, expected at least one")
        }
        guard Set(names).count == names.count, names.count == 1 || !names.contains("") else {
            throw TrainerError.badLoaders(
                stage: stage.noun, why: "have the names \(names), expected different ones that are not empty")
        }
        let (limit, option) = limit(of: stage)
        guard !limit.isNone else { return }
        for (name, loader) in loaders.list {
            let loaderName = stage.noun(of: name)
            if let why = loader.reasonForNoBatches { throw TrainerError.noBatches(loader: loaderName, why: why) }
            _ = try limit.batches(of: loader.batchCount, option: option, loader: loaderName)
        }
    }

    // MARK: Validations

    /// Throws ``TrainerError`` where validations are to come after more batches than an epoch has, and says where none comes.
    func checkValidations(_ validation: NamedLoaders?) throws {
        guard let validation else { return }
        try checkBatches(of: .validate, validation)
        if let epochs = configuration.checkValEveryNEpochs {
            if case .count(let interval) = configuration.valCheckInterval, interval > trainingBatchCount {
                throw TrainerError.badOption(
                    name: "valCheckInterval", found: "\(interval) batches of \(trainingBatchCount) in an epoch",
                    expected: """
                        at most \(trainingBatchCount)\
                        \(inCode: ", or checkValEveryNEpochs = nil to count on from epoch to epoch")
                        """)
            }
            if let maxEpochs = configuration.maxEpochs, maxEpochs > 0, epochs > maxEpochs {
                notice(
                    "no validation comes: \(option: "checkValEveryNEpochs") is \(epochs), and \(option: "maxEpochs") \(maxEpochs)"
                )
            }
        }
    }

    // MARK: Nothing to train

    /// Whether the fit ends before its first step; says why, and what makes it go on.
    func hasNothingLeft(_ checkpoint: Checkpoint?) -> Bool {
        var limits: [OptionText] = []
        let raise: OptionText = checkpoint == nil ? "give more" : "to go on, raise it"
        func isReached(_ limit: Int?, _ done: Int, _ what: String, _ option: String) {
            guard let limit, done >= limit else { return }
            if configuration.fastDevRun > 0 {
                guard limits.isEmpty else { return }
                limits.append(
                    "has done \(done) \(what) and \(option: "fastDevRun") is \(configuration.fastDevRun), which is that much of "
                        + "the first epoch; to go on, leave it out")
            } else if checkpoint == nil {
                limits.append("\(option: option) is \(limit); \(raise)")
            } else {
                limits.append("has done \(done) \(what) and \(option: option) is \(limit); \(raise)")
            }
        }
        isReached(configuration.maxEpochs, state.epoch, "epochs", "maxEpochs")
        isReached(configuration.maxSteps, state.globalStep, "steps", "maxSteps")
        if hasReachedMinima {
            for case let timer as TrainingTimer in callbacks where timer.remaining <= .zero {
                let option: OptionText = timer.duration == configuration.maxTime ? "\(option: "maxTime")" : "a timer"
                limits.append(
                    checkpoint == nil
                        ? "\(option) is \(timer.duration); \(raise)"
                        : "has taken \(timer.elapsed) and \(option) is \(timer.duration); \(raise)")
            }
        }
        guard let first = limits.first else { return false }
        let why = limits.dropFirst().reduce(first) { "\($0), and \($1)" }
        if let checkpoint {
            notice("nothing is left to train: checkpoint \(checkpoint.path) \(why)")
        } else {
            notice("nothing is trained: \(why)")
        }
        return true
    }

    /// Throws ``TrainerError/badOptimizer(_:why:)`` where all parameters of an optimizer are frozen: no step would change anything.
    func checkThatSomethingTrains(_ step: TrainingStep) throws {
        for slot in step.slots where slot.parameters.allSatisfy(\.isFrozen) {
            throw TrainerError.badOptimizer(
                slot.index,
                why:
                    "has nothing to train: all of its parameters are frozen, \(PatternError.listed(slot.parameters.map(\.name))); "
                    + "unfreeze some, or leave the optimizer out")
        }
    }

    /// Says where an optimizer trains parameters of which the module knows nothing.
    func tellOfForeignParameters(_ step: TrainingStep, _ module: TrainingModule) {
        let own = Set(module.parameters().map { ObjectIdentifier($0) })
        for slot in step.slots {
            let foreign = slot.parameters.filter { !own.contains(ObjectIdentifier($0)) }
            guard !foreign.isEmpty else { continue }
            let shapes = PatternError.listed(foreign.map { "\($0.shape)" })
            notice(
                "optimizer \(slot.index) trains \(foreign.count) of its \(slot.parameters.count) parameters outside of the module, "
                    + "of the shapes \(shapes): checkpoints leave their values out, and no precision gives them their types; "
                    + "make them, or what has them, a stored property of the module")
        }
    }
}

extension Stage {
    /// A loader of the stage: "validation", or "validation 'noisy'" where it has a name.
    func noun(of loader: String) -> String { noun + (loader.isEmpty ? "" : " '\(loader)'") }
}

extension TrainerError {
    /// Throws where all of an optimizer's parameters are others than the module's, or there are none.
    static func checkOwner(_ index: Int, _ parameters: [Parameter], _ own: [(name: String, parameter: Parameter)])
        throws
    {
        let names = own.isEmpty ? "none" : PatternError.listed(own.map(\.name))
        guard !parameters.isEmpty else {
            throw TrainerError.badOptimizer(index, why: "has no parameters, expected some of the module's: \(names)")
        }
        var seen: Set<String> = []
        if let twice = parameters.first(where: { !$0.name.isEmpty && !seen.insert($0.name).inserted }) {
            throw TrainerError.badOptimizer(
                index, why: "has two parameters of the name \(twice.name): is one of another model?")
        }
        let known = Set(own.map { ObjectIdentifier($0.parameter) })
        guard parameters.contains(where: { known.contains(ObjectIdentifier($0)) }) else {
            throw TrainerError.badOptimizer(
                index,
                why: "has \(parameters.count) parameters, of which none is the module's, expected some of: \(names); "
                    + "what is trained must be a stored property of the module, or of one of its own modules")
        }
    }
}
