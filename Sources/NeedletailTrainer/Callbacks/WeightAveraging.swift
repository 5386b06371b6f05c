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
/// there is one. Running statistics of batch norm are not averaged: they stay those of the weights that train.
///
///     WeightAveraging(.exponential(decay: 0.999))                      // EMA after each applied step
///     WeightAveraging(.equal, from: 0.8, learningRate: 1e-3)           // SWA over the last fifth of the epochs
public final class WeightAveraging: Callback {
    /// How weights enter the average.
    public enum Kind: Sendable, Equatable {
        /// average · decay + weights · (1 - decay), after each applied step (or every so many).
        case exponential(decay: Double = 0.999, everyNSteps: Int = 1)
        /// The mean of the weights at the ends of epochs.
        case equal
    }

    private struct Saved: Codable {
        var count: Int
        var annealed: [Double]?
    }

    /// How weights enter the average.
    public let kind: Kind
    /// The first epoch that counts: a number, or a share of `maxEpochs`.
    public let start: BatchLimit
    /// The rate to which learning rates go, along half a cosine, once averaging has begun; nil to leave them alone.
    public let learningRate: Double?
    /// How many epochs that takes.
    public let annealingEpochs: Int
    /// How often weights have entered the average.
    public private(set) var count = 0
    private var averages: [(name: String, tensor: Tensor)] = []
    private var training: [(parameter: Parameter, state: Parameter.State)] = []
    private var evaluated: [Parameter.State] = []
    private var firstRates: [Double]?

    /// Averages from epoch `start` on.
    public init(
        _ kind: Kind, from start: BatchLimit = 0, learningRate: Double? = nil, annealingEpochs: Int = 10
    ) {
        if case .exponential(let decay, let every) = kind {
            precondition(
                (0..<1).contains(decay) && every >= 1,
                "WeightAveraging: found decay \(decay) every \(every) steps, expected 0 to below 1, at least 1")
        }
        precondition(
            start.isValid, "WeightAveraging: starts at \(start), expected an epoch, or a share from 0.0 to 1.0")
        precondition(
            annealingEpochs >= 1, "WeightAveraging: annealingEpochs is \(annealingEpochs), expected at least 1")
        self.kind = kind
        self.start = start
        self.learningRate = learningRate
        self.annealingEpochs = annealingEpochs
    }

    /// The averaged weights by name; empty before the first has entered.
    public var averagedWeights: [(name: String, tensor: Tensor)] { averages }

    // MARK: State

    public override var stateKey: String { "WeightAveraging" }

    public override func saveState() throws -> JSONValue? {
        try JSONValue(encoding: Saved(count: count, annealed: firstRates))
    }

    public override func loadState(_ state: JSONValue) throws {
        let saved = try state.decoded(as: Saved.self)
        (count, firstRates) = (saved.count, saved.annealed)
    }

    public override func stateTensors() -> [(name: String, tensor: Tensor)] { averages }

    public override func load(stateTensors: [String: Tensor], _ module: TrainingModule) throws {
        averages = []
        guard !stateTensors.isEmpty else { return }
        for (name, parameter) in module.namedParameters() {
            guard let tensor = stateTensors[name], tensor.shape == parameter.shape,
                tensor.dtype.isFloatingPoint
            else {
                throw ShapeError(
                    found: stateTensors[name]?.shape ?? [], expected: parameter.shape,
                    message: "the average of '\(name)'")
            }
            averages.append((name, tensor.cast(to: parameter.storageType.accumulationType)))
        }
    }

    // MARK: Averaging

    public override func setup(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) {
        guard stage == .fit else { return }
        (averages, training, count, firstRates) = ([], [], 0, nil)
    }

    public override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) {
        guard hasBegun(trainer), learningRate != nil, firstRates == nil else { return }
        firstRates = trainer.step?.slots.flatMap { $0.optimizer.groups.map(\.learningRate) } ?? []
    }

    public override func onTrainBatchStart(
        _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
    ) { setRates(trainer) }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) {
        guard case .exponential(let decay, let every) = kind, result.isApplied, hasBegun(trainer),
            trainer.state.globalStep % every == 0
        else { return }
        add(module, share: 1 - decay)
    }

    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) {
        if kind == .equal, hasBegun(trainer) { add(module, share: 1 / Double(count + 1)) }
    }

    /// average += share · (weights - average); the first weights are the average.
    private func add(_ module: TrainingModule, share: Double) {
        withoutGradients {
            let named = module.namedParameters()
            averages = named.enumerated().map { index, entry in
                let weights = entry.parameter.master.cast(to: entry.parameter.storageType.accumulationType)
                guard count > 0 else {
                    return (entry.name, Tensor(bytes: weights.bytes, shape: weights.shape, dtype: weights.dtype))
                }
                return (entry.name, averages[index].tensor + (weights - averages[index].tensor) * share)
            }
        }
        count += 1
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
        guard let learningRate, let firstRates, let step = trainer.step else { return }
        let share = min(1, Double(trainer.state.epoch - firstEpoch(trainer) + 1) / Double(annealingEpochs))
        let weight = 0.5 * (1 + cos(Double.pi * share))
        for (group, rate) in zip(step.slots.flatMap(\.optimizer.groups), firstRates) {
            group.learningRate = learningRate + (rate - learningRate) * weight
        }
    }

    // MARK: Evaluating

    public override func onValidationStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        if trainer.stage == .fit { try exchange(module) }
    }

    public override func onValidationEnd(_ trainer: Trainer, _ module: TrainingModule) { putBack() }

    public override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) { putBack() }

    /// After the last checkpoint, so that a run that goes on trains its own weights.
    public override func onFitEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        try exchange(module)
        training = []
    }

    /// A checkpoint in the middle of a validation holds the weights that train.
    package override func checkpointWillBeSaved() {
        evaluated = training.map(\.parameter.state)
        for (parameter, state) in training { parameter.state = state }
    }

    package override func checkpointWasSaved() {
        for ((parameter, _), state) in zip(training, evaluated) { parameter.state = state }
        evaluated = []
    }

    /// Puts the averages into the parameters, whose own tensors are kept.
    private func exchange(_ module: TrainingModule) throws {
        guard count > 0 else { return }
        for ((_, parameter), average) in zip(module.namedParameters(), averages) {
            training.append((parameter, parameter.state))
            parameter.setTypes(storage: parameter.storageType, compute: parameter.computeType)
            try parameter.assign(average.tensor)
        }
    }

    private func putBack() {
        for (parameter, state) in training { parameter.state = state }
        training = []
    }
}
