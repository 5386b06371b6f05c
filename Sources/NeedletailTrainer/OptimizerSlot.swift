// One optimizer within the training step: its parameters and its accumulation window.
import NeedletailNN
public import NeedletailOptim
public import NeedletailTensor

/// An optimizer with what the step needs to know about it, looked up once.
final class OptimizerSlot {
    let index: Int
    let optimizer: Optimizer
    /// What sets its learning rates; nil where they stay.
    let scheduler: Scheduler?
    /// The optimizer's parameters, in its order.
    let parameters: [Parameter]
    /// Trainable parameters that belong to other optimizers, or to none: they must not require gradients meanwhile.
    private let others: [Parameter]
    /// Trainable parameters of no optimizer: their gradients are only ever forgotten.
    private let strays: [Parameter]
    /// The parameters whose gradients ``toggle()`` has switched off.
    private var toggled: [Parameter] = []
    var window = AccumulationWindow()
    /// The kinds of batches on which a training step has run for the optimizer.
    var knownBatches = KnownBatches()
    /// Whether the optimizer has made an update.
    var hasUpdated = false
    /// Why training ends with the window that has just been skipped, nil where it goes on.
    var autopsy: Autopsy?

    private init(
        _ index: Int, _ optimizer: Optimizer, _ scheduler: Scheduler?, others: [Parameter], strays: [Parameter]
    ) {
        self.index = index
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.others = others
        self.strays = strays
        parameters = optimizer.groups.flatMap(\.parameters)
    }

    /// The slots of a module's optimizers.
    ///
    /// Throws: ``TrainerError`` where there is no optimizer, where one has no parameter of the module, where two of them own the
    /// same one, and where a schedule is of another optimizer or of one that has a schedule.
    static func slots(
        for optimizers: [Optimizer], _ schedulers: [Scheduler], of module: TrainingModule
    ) throws -> [OptimizerSlot] {
        guard !optimizers.isEmpty else { throw TrainerError.noOptimizer }
        let named = module.namedParameters()
        var owner: [ObjectIdentifier: Int] = [:]
        for (index, optimizer) in optimizers.enumerated() {
            try TrainerError.checkOwner(index, optimizer.parameters, named)
            for parameter in optimizer.groups.flatMap(\.parameters) {
                if let other = owner.updateValue(index, forKey: ObjectIdentifier(parameter)) {
                    throw TrainerError.sharedParameter(parameter.name, optimizers: (other, index))
                }
            }
        }
        var schedulerOf: [ObjectIdentifier: Scheduler] = [:]
        for (index, scheduler) in schedulers.enumerated() {
            guard optimizers.contains(where: { $0 === scheduler.optimizer }),
                schedulerOf.updateValue(scheduler, forKey: ObjectIdentifier(scheduler.optimizer)) == nil
            else { throw TrainerError.misplacedSchedule(index) }
        }
        let all = named.map(\.parameter)
        let strays = all.filter { owner[ObjectIdentifier($0)] == nil }
        return optimizers.enumerated().map { index, optimizer in
            // With one optimizer nothing is switched on and off: a stray costs its gradient and no more.
            let others = optimizers.count == 1 ? [] : all.filter { owner[ObjectIdentifier($0)] != index }
            let scheduler = schedulerOf[ObjectIdentifier(optimizer)]
            return OptimizerSlot(index, optimizer, scheduler, others: others, strays: strays)
        }
    }

    /// Whether any of the optimizer's parameters is stored in 16 bits, so that updates can be lost to rounding.
    var storesSixteenBit: Bool { parameters.contains { $0.storageType.is16Bit } }

    /// Switches gradients off for all parameters but this optimizer's, until ``untoggle()``.
    func toggle() {
        toggled = others.filter { !$0.isToggledOff }
        for parameter in toggled { parameter.isToggledOff = true }
    }

    /// Switches back on what ``toggle()`` switched off.
    func untoggle() {
        for parameter in toggled { parameter.isToggledOff = false }
        toggled = []
    }

    /// Forgets the gradients of this optimizer's parameters and of those that no optimizer owns.
    func zeroGradients() {
        for parameter in parameters { parameter.zeroGradient() }
        for parameter in strays { parameter.zeroGradient() }
    }
}

/// The batches whose gradients are added up before one update.
struct AccumulationWindow {
    private var batches = 0
    private var planned = 1
    private var firstWeight = 0.0
    private var weights = 0.0
    private var lossIsFinite = true
    /// The batches so far, for a replay.
    var replayable: [ReplayableBatch] = []
    /// The places of the buffers that the optimizer's steps have moved.
    var changedBuffers: Set<Int> = []
    /// What watches the window's steps, where every step is checked.
    var observer: AutopsyObserver?

    /// Whether no batch with a weight has come yet.
    var isEmpty: Bool { batches == 0 }

    /// The share of the loss scale that ``add(weight:loss:of:)`` is going to return.
    func share(weight: Double, of count: Int) -> Double {
        batches == 0 ? weight / (weight * Double(count)) : weight / (firstWeight * Double(planned))
    }

    /// Adds a batch to a window planned for `count` batches; returns the share of the loss scale that seeds its backward.
    mutating func add(weight: Double, loss: Double, of count: Int) -> Double {
        if batches == 0 {
            firstWeight = weight
            planned = count
        }
        let share = share(weight: weight, of: count)
        batches += 1
        weights += weight
        lossIsFinite = lossIsFinite && loss.isFinite
        return share
    }

    /// What the accumulated gradients must be multiplied by, beside 1 / scale, to be those of the weighted mean loss.
    var correction: Double { firstWeight * Double(planned) / weights }

    /// Puts the buffers that the window's steps have moved back to what they were before its first one.
    func restoreBuffers() { replayable.first?.before.restoreBuffers(at: changedBuffers) }

    /// Why the window cannot be applied; nil where it can.
    func skipReason(_ check: GradientCheck) -> StepResult.SkipReason? {
        if let found = check.firstNonFinite { return .nonFiniteGradient(parameter: found.parameter) }
        return lossIsFinite ? nil : .nonFiniteLoss
    }
}

/// The gradients before an optimizer's update, without the loss scale and not clipped yet.
///
/// Nothing is computed until asked for, so a hook that does not look costs nothing.
public struct UnscaledGradients {
    /// Norm and finiteness of all of the optimizer's gradients.
    public let check: GradientCheck
    /// The unscaled loss of the last batch.
    public let loss: Double

    /// The gradient of `parameter`, float32 (float64 in 64-true); nil where it has none.
    public subscript(parameter: Parameter) -> Tensor? {
        parameter.gradient.map { gradient in withoutGradients { gradient * check.gradientScale } }
    }
}
