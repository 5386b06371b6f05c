// What became of a training step, and what may happen where values are not finite.
public import NeedletailOptim

/// What a training step did, and why.
public struct StepResult: Sendable, Equatable {
    /// Why a step was not applied.
    public enum SkipReason: Sendable, Equatable {
        /// The loss of a batch was not finite.
        case nonFiniteLoss
        /// This parameter is the first whose gradient is not finite.
        case nonFiniteGradient(parameter: String)
        /// Every batch of the window had weight 0, or a loss that is a mean of nothing: there was nothing to learn from.
        case noWeight
    }

    /// What happened to one optimizer.
    public enum Outcome: Sendable, Equatable {
        /// The batch was added to a window that is still open.
        case accumulated
        /// The parameters were updated.
        case applied
        /// Nothing but the loss scale has changed.
        case skipped(SkipReason)
    }

    /// What happened, for each optimizer in its order.
    public internal(set) var outcomes: [Outcome]
    /// The batch's loss (the last optimizer's where there are several), unscaled; NaN where the batch had no weight.
    public internal(set) var loss: Double
    /// The norm of the unscaled, unclipped gradients (the last optimizer's), of the order that clipping uses, else the
    /// 2-norm; NaN where none were formed.
    public internal(set) var gradientNorm: Double
    /// The loss scale that the gradients carried, 1 in modes without one.
    public internal(set) var scale: Double
    /// The learning rate that the step was tried with, for each group of each optimizer.
    public internal(set) var learningRates: [Double] = []
    /// How many updates rounding has lost, over all optimizers; nil but in steps that are logged, where parameters are stored
    /// in 16 bits.
    public internal(set) var lostUpdates: LostUpdates?

    /// Set where a loss of the batch (the first of several optimizers') is not a number because no target of a mean in it counts.
    var hasEmptyMean = false
    /// Whether the batch was left out by the last optimizer, because it had no weight or its loss is a mean of nothing.
    var isEmpty = true

    /// Whether any optimizer has updated its parameters.
    public var isApplied: Bool { outcomes.contains(.applied) }
    /// Whether the batch ended its accumulation window.
    public var closesWindow: Bool { !outcomes.contains(.accumulated) }
    /// Why the first optimizer that skipped did so, nil where none has.
    public var skipReason: SkipReason? {
        for case .skipped(let reason) in outcomes { return reason }
        return nil
    }
}

/// What happens where a loss or a gradient is not finite.
public enum NonFinitePolicy: Sendable, Equatable {
    /// The step is skipped; after this many skipped ones in a row training throws ``TrainingDiverged``. A step does not count
    /// while a dynamic loss scale stands above its initial value: there an overflow is what brings it down.
    case skip(maxConsecutive: Int = 10)
    /// Training throws ``TrainingDiverged`` at once. With a dynamic loss scale also where the scale is merely too high yet.
    case `throw`
    /// The step is applied as it is. With a dynamic loss scale it is skipped, for that is how the scale is found, but
    /// never counted against training.
    case ignore
}
