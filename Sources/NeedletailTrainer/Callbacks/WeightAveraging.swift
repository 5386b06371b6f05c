// A moving or an equal average of the weights beside the ones that train.
import Foundation
public import NeedletailData
import NeedletailNN
import NeedletailOptim
public import NeedletailTensor

/// Averages the weights while training, and evaluates with the average.
///
/// Validations of a fit run with the averaged weights, which are in the model when fit has ended; training goes on with its
/// own. Averages are float32 (float64 for float64 parameters) whatever the precision of the run, and part of checkpoints: a
/// resumed run has the bits of the uninterrupted one, and ``TrainingModule/load(from:except:strict:)`` takes the average where
/// there is one. Of several averages of one fit the first is the one to evaluate with; the others are kept beside it.
///
/// An average begins as the weights that enter it first, without a correction of their share. An epoch's weights enter an
/// equal average after the epoch's last step, so that the validation at its end, the checkpoint and the metric that decides
/// which is best are of the same weights.
///
/// Running statistics of batch norm must fit the averaged weights. An exponential average averages floating-point buffers
/// as it does weights, and takes others as they are. An equal one runs the module over the training batches once, without
/// updates, and gives its batch norms (each ``RunningStatisticsHolder``) the mean statistics, as PyTorch's `update_bn` does:
/// before each validation, before a checkpoint is written and at the end, where weights have entered the average since.
/// Batches whose loss or statistics are not finite are left out, as training skips them. That costs a forward pass over the
/// training data for each epoch that is averaged. It is left for later where a signal or an error is ending the run.
/// ``Statistics/ofTraining`` does neither.
///
///     WeightAveraging(.exponential(decay: 0.999))             // EMA after each applied step
///     WeightAveraging(.equal, from: 0.8, learningRate: 1e-3)  // SWA over the last fifth of the epochs
public final class WeightAveraging: Callback {
    /// How weights enter the average.
    public enum Kind: Sendable, Equatable {
        /// average · decay + weights · (1 - decay), after each applied step (or every so many).
        case exponential(decay: Double = 0.999, everyNSteps: Int = 1)
        /// The mean of the weights after the last step of each epoch.
        case equal
    }

    /// Which running statistics and other buffers go with the averaged weights.
    public enum Statistics: Sendable {
        /// Those of the averaged weights.
        case ofAverage
        /// Those of the weights that train, as they are.
        case ofTraining
    }

    private struct Saved: Codable {
        var count: Int
        var annealed: [Double]?
        var pending: [String: SeededGenerator]?
    }

    /// How weights enter the average.
    public let kind: Kind
    /// The first epoch that counts: a number, or a share of `maxEpochs`.
    public let start: BatchLimit
    /// The rate to which learning rates go, along half a cosine, once averaging has begun; nil to leave them alone.
    public let learningRate: Double?
    /// How many epochs that takes.
    public let annealingEpochs: Int
    /// Which running statistics go with the averaged weights.
    public let statistics: Statistics
    /// How often weights have entered the average.
    public var count: Int { average.count }
    private var average = Average()

    /// What belongs to one fit.
    private struct Average {
        var count = 0
        /// The averages of parameters, then those of buffers.
        var tensors: [(name: String, tensor: Tensor)] = []
        /// Where an equal average has other weights than those of its running statistics: the generators when they entered,
        /// from which the statistics are the same whenever they are computed.
        var pending: [String: SeededGenerator]?
        /// While the module has the averages: the parameters and buffers that train.
        var training: ModuleSnapshot?
        /// While a checkpoint is written meanwhile: the averages.
        var evaluated: ModuleSnapshot?
        /// The groups' learning rates when averaging began.
        var firstRates: [Double]?
    }

    /// Averages from epoch `start` on.
    public init(
        _ kind: Kind, from start: BatchLimit = 0, learningRate: Double? = nil, annealingEpochs: Int = 10,
        statistics: Statistics = .ofAverage
    ) {
        if case .exponential(let decay, let every) = kind {
            require(
                (0..<1).contains(decay) && every >= 1,
                "WeightAveraging: found decay \(decay) every \(every) steps, expected 0 to below 1, at least 1")
        }
        require(
            start.isValid, "WeightAveraging: starts at \(start), expected an epoch, or a share from 0.0 to 1.0")
        require(
            annealingEpochs >= 1, "WeightAveraging: annealingEpochs is \(annealingEpochs), expected at least 1")
        self.kind = kind
        self.start = start
        self.learningRate = learningRate
        self.annealingEpochs = annealingEpochs
        self.statistics = statistics
    }

    /// The averaged weights by name, then the buffers that belong to them; empty before the first has entered.
    public var averagedWeights: [(name: String, tensor: Tensor)] { average.tensors }

    // MARK: State

    public override var stateKey: String { "WeightAveraging" }

    public override func saveState() throws -> JSONValue? {
        try JSONValue(encoding: Saved(count: count, annealed: average.firstRates, pending: average.pending))
    }

    public override func loadState(_ state: JSONValue) throws {
        let saved = try state.decoded(as: Saved.self)
        average.count = saved.count
        average.firstRates = saved.annealed
        average.pending = saved.pending
    }

    public override func stateTensors() -> [(name: String, tensor: Tensor)] { average.tensors }

    public override func load(stateTensors: [String: Tensor], _ module: TrainingModule) throws {
        average.tensors = []
        guard !stateTensors.isEmpty else { return }
        for (name, parameter) in module.namedParameters() {
            guard let tensor = stateTensors[name], tensor.shape == parameter.shape,
                tensor.dtype.isFloatingPoint
            else {
                throw ShapeError(
                    found: stateTensors[name]?.shape ?? [], expected: parameter.shape,
                    message: "the average of '\(name)'")
            }
            average.tensors.append((name, tensor.cast(to: parameter.storageType.accumulationType)))
        }
        for (name, buffer) in buffers(of: module) {
            guard let tensor = stateTensors[name] else {  // an older version has written it
                average.tensors.append((name, buffer.value))
                if kind == .equal { average.pending = module.randomStates() }
                continue
            }
            guard tensor.shape == buffer.value.shape else {
                throw ShapeError(
                    found: tensor.shape, expected: buffer.value.shape, message: "the average of '\(name)'")
            }
            average.tensors.append((name, tensor))
        }
    }

    // MARK: Averaging

    public override func reset() { average = Average() }

    public override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) {
        guard hasBegun(trainer), learningRate != nil, average.firstRates == nil else { return }
        average.firstRates = trainer.step?.slots.flatMap { $0.optimizer.groups.map(\.learningRate) } ?? []
    }

    public override func onTrainBatchStart(
        _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
    ) { setRates(trainer) }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) {
        guard hasBegun(trainer) else { return }
        switch kind {
        case .exponential(let decay, let every):
            guard result.isApplied, trainer.state.globalStep % every == 0 else { return }
            add(module, share: 1 - decay)
        case .equal:
            guard index + 1 == trainer.trainingBatchCount else { return }
            add(module, share: 1 / Double(count + 1))
        }
    }

    /// average += share · (weights - average); the first weights are the average.
    private func add(_ module: TrainingModule, share: Double) {
        let parameters = module.namedParameters(), parameterCount = parameters.count
        let current =
            parameters.map { ($0.name, $0.parameter.master, true) }
            + buffers(of: module).map { ($0.name, $0.buffer.value, kind != .equal) }
        average.tensors = withoutGradients {
            current.enumerated().map { index, entry in
                let (name, value, isAveraged) = entry
                // A buffer's tensor is replaced and never written to.
                guard isAveraged, value.dtype.isFloatingPoint else { return (name, value) }
                let wide = value.cast(to: value.dtype.accumulationType)
                guard count > 0 else {
                    return (name, Tensor(bytes: wide.bytes, shape: wide.shape, dtype: wide.dtype))
                }
                let mean = average.tensors[index].tensor
                let moved = mean + (wide - mean) * share
                guard index >= parameterCount else { return (name, moved) }
                return (name, Tensor.where(mean .== wide, mean, moved))  // a mask's infinities stay
            }
        }
        average.count += 1
        if kind == .equal, statistics == .ofAverage, !module.statisticsHolders.isEmpty {
            average.pending = module.randomStates()
        }
    }

    /// The buffers that go with the averages.
    private func buffers(of module: Module) -> [(name: String, buffer: Buffer)] {
        statistics == .ofAverage ? module.namedBuffers() : []
    }

    private func hasBegun(_ trainer: Trainer) -> Bool { trainer.state.epoch >= firstEpoch(trainer) }

    private func firstEpoch(_ trainer: Trainer) -> Int {
        switch start {
        case .count(let epoch): epoch
        case .fraction(let share): Int(Double(trainer.configuration.maxEpochs ?? 0) * share)
        }
    }

    /// Each group's rate along half a cosine from what it was when averaging began.
    private func setRates(_ trainer: Trainer) {
        guard let learningRate, let firstRates = average.firstRates, let step = trainer.step else { return }
        let share = min(1, Double(trainer.state.epoch - firstEpoch(trainer) + 1) / Double(annealingEpochs))
        let weight = 0.5 * (1 + cos(Double.pi * share))
        for (group, rate) in zip(step.slots.flatMap(\.optimizer.groups), firstRates) {
            group.learningRate = learningRate + (rate - learningRate) * weight
        }
    }

    // MARK: Running statistics

    /// Gives an equal average the running statistics of its weights, where it does not have them.
    private func computeStatistics(_ trainer: Trainer, _ module: TrainingModule) throws {
        func isEnding() -> Bool {
            trainer.isFailing || trainer.configuration.handlesSignals && ProcessSignals.stopSignal != nil
        }
        guard let generators = average.pending, let step = trainer.step, let loader = trainer.loader, !isEnding() else {
            return
        }
        let statistics: [String: Tensor]? = try module.measured { state in
            trainer.trainingModes?.restore()  // a validation may have begun
            try module.setRandomStates(generators)
            state.copyParameters()
            try assignAverages(module)
            return try module.recomputingStatistics {
                let batches = loader.batches(epoch: 0, from: 0, upTo: trainer.trainingBatchCount)
                var index = 0, leftOut = 0
                while let loaded = try batches.next() {
                    if isEnding() { return nil }
                    let batch = try trainer.transferred(loaded, index, module, .fit)
                    if module.lossWeight(of: batch) > 0 {
                        let before = state.snapshot(.buffers)
                        let losses = try withoutGradients {
                            try step.slots.map { try step.forward(batch, index, $0, seed: 1).loss.item() }
                        }
                        if !losses.allSatisfy({ $0.isFinite }) || !statisticsAreFinite(module) {
                            before.restore()
                            leftOut += 1
                        }
                    }
                    index += 1
                }
                if leftOut == index {
                    trainer.notice(
                        "WeightAveraging: no batch has finite statistics with the averaged weights, which keep those of "
                            + "the weights that train")
                    return [:]
                }
                return statisticsByName(module)
            }
        }
        guard let statistics else { return }
        average.tensors = average.tensors.map { ($0.name, statistics[$0.name] ?? $0.tensor) }
        average.pending = nil
    }

    private func statisticsAreFinite(_ module: TrainingModule) -> Bool {
        statisticsByName(module).values.allSatisfy {
            !$0.dtype.isFloatingPoint || finiteCheck($0).firstNonFinite == nil
        }
    }

    /// The buffers of the layers that take batch statistics.
    private func statisticsByName(_ module: TrainingModule) -> [String: Tensor] {
        var own: Set<ObjectIdentifier> = []
        for holder in module.statisticsHolders {
            for case .buffer(_, let buffer) in holder.members() { own.insert(ObjectIdentifier(buffer)) }
        }
        let named = module.namedBuffers().filter { own.contains(ObjectIdentifier($0.buffer)) }
        return Dictionary(uniqueKeysWithValues: named.map { ($0.name, $0.buffer.value) })
    }

    // MARK: Evaluating

    public override func onValidationStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        guard trainer.stage == .fit else { return }
        try computeStatistics(trainer, module)
        try exchange(trainer, module)
    }

    public override func onValidationEnd(_ trainer: Trainer, _ module: TrainingModule) { putBack() }

    public override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) { putBack() }

    /// After the last checkpoint, so that a run that goes on trains its own weights.
    public override func onFitEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        try computeStatistics(trainer, module)
        try exchange(trainer, module)
        average.training = nil
    }

    /// A checkpoint in the middle of a validation holds the weights that train.
    package override func checkpointWillBeSaved(_ trainer: Trainer, _ module: TrainingModule) throws {
        if let training = average.training {
            average.evaluated = ModuleState(module).snapshot([.parameters, .buffers])
            training.restore()
        } else if trainer.isAtStepBoundary {
            try computeStatistics(trainer, module)
        }
    }

    package override func checkpointWasSaved() {
        average.evaluated?.restore()
        average.evaluated = nil
    }

    /// Puts the averages into the module, whose own tensors are kept.
    private func exchange(_ trainer: Trainer, _ module: TrainingModule) throws {
        let first = trainer.callbacks.lazy.compactMap { $0 as? WeightAveraging }.first
        guard count > 0, first === self else { return }
        let state = ModuleState(module)
        average.training = state.snapshot([.parameters, .buffers])
        state.copyParameters()
        try assignAverages(module)
    }

    private func assignAverages(_ module: TrainingModule) throws {
        let parameters = module.namedParameters(), buffers = buffers(of: module)
        for ((_, parameter), mean) in zip(parameters, average.tensors) { try parameter.assign(mean.tensor) }
        for ((_, buffer), mean) in zip(buffers, average.tensors.dropFirst(parameters.count)) {
            try buffer.assign(mean.tensor)
        }
    }

    private func putBack() {
        average.training?.restore()
        average.training = nil
    }
}
