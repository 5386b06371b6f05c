// THE training step: forward, loss, backward, finite check, unscale, clip, update or skip, scale. Read it top to bottom.
import NeedletailData
import NeedletailNN
import NeedletailOptim
import NeedletailTensor

/// What a forward pass gives.
struct ForwardPass {
    let loss: Tensor
    /// The means of losses that were formed in it.
    let means: LossMeans
}

/// One training step over all optimizers.
///
/// Its order: forward -> forget gradients (first batch of a window) -> scale and backward -> finite check and unscale ->
/// hook, which sees unscaled and unclipped gradients -> clip -> update or skip -> loss scale, once a batch -> schedules and
/// counters, only for what was applied. Metrics, callbacks and checkpoints follow in the trainer.
///
/// Accumulation: a window of k batches with weights w_i (samples, tokens) must give the gradient of
/// Σ w_i·loss_i / Σ w_i, but Σ w_i is known only at its end. Batch i is therefore seeded with scale · w_i / (w_1·k), which
/// is scale / k for equal weights, and the update multiplies by w_1·k / (scale · Σ w_i): the true count divides once, and
/// a ragged last window is right.
final class TrainingStep {
    let module: TrainingModule
    let hooks: any TrainingHooks
    /// How many batches a window is planned for; the epoch decides.
    var accumulation: Int
    /// Whether an optimizer has updated parameters in the running window.
    var hasUpdated = false
    private let clipping: GradientClipping?
    let nonFinite: NonFinitePolicy
    private let logEveryNSteps: Int
    let detectAnomaly: Bool
    /// The parts of the module that hold state.
    let moduleState: ModuleState
    /// The batch whose forward pass is the last that began, and the optimizer that it is for.
    private(set) var running: ReplayableBatch?
    private(set) var runningSlot = 0
    /// What module and data module save of themselves, as it was before that pass, where ``keepsOwnState`` asks for it.
    private(set) var ownState: OwnState?
    var keepsOwnState = false
    let slots: [OptimizerSlot]
    /// The dynamic or fixed loss scale; nil in modes that need none.
    var scaler: LossScaler?

    init(
        _ module: TrainingModule, optimizers: [Optimizer], schedulers: [Scheduler] = [], scaler: LossScaler?,
        configuration: TrainerConfiguration, hooks: any TrainingHooks
    ) throws {
        self.module = module
        self.hooks = hooks
        self.scaler = scaler
        accumulation = configuration.accumulateGradBatches
        clipping = configuration.gradientClip
        nonFinite = configuration.nonFinite
        detectAnomaly = configuration.detectAnomaly
        moduleState = ModuleState(module)
        logEveryNSteps = configuration.logEveryNSteps
        if let rounding = configuration.updateRounding {
            for optimizer in optimizers { optimizer.updateRounding = rounding }
        }
        slots = try OptimizerSlot.slots(for: optimizers, schedulers, of: module)
    }

    /// Runs batch `index` of the epoch. `closesWindow`: it is the last of its accumulation window.
    func run(_ batch: Batch, _ index: Int, closesWindow: Bool) throws -> StepResult {
        let weight = module.lossWeight(of: batch)
        guard weight >= 0, weight.isFinite else { throw TrainerError.badLossWeight(weight, batch: index) }
        let scale = scaler.map { Double($0.scale) } ?? 1  // captured: all optimizers of a batch unscale with this one
        var result = StepResult(outcomes: [], loss: .nan, gradientNorm: .nan, scale: scale)
        for slot in slots {
            slot.toggle()
            module.metrics?.optimizer = slot.index
            defer {
                slot.untoggle()
                module.metrics?.optimizer = nil
            }
            if weight > 0 {
                let seed = scale * slot.window.share(weight: weight, of: accumulation)
                let begun = ReplayableBatch(
                    batch: batch, index: index, seed: seed, before: moduleState.snapshot([.buffers, .generators]))
                (running, runningSlot) = (begun, slot.index)
                ownState = keepsOwnState ? try OwnState(module, module.trainer?.data) : nil
                let observer = watcher(of: slot, batch, index)
                let isNew = slot.knownBatches.isNew(batch)
                let pass = try watched(by: observer) {
                    try forward(batch, index, slot, seed: seed, isGuarded: isNew)
                }
                let loss = pass.loss
                try checkGraph(of: loss, slot)
                result.loss = loss.item()
                result.isEmpty = isOfNothing(pass)
                if result.isEmpty { result.hasEmptyMean = true }
                if !result.isEmpty {
                    observer?.finishForward(loss: loss)
                    if slot.window.isEmpty {
                        try hooks.beforeZeroGrad(slot.optimizer)
                        slot.zeroGradients()
                    }
                    try hooks.beforeBackward(loss)
                    let share = slot.window.add(weight: weight, loss: result.loss, of: accumulation)
                    slot.window.replayable.append(begun)
                    try watched(by: observer) {
                        try backward(loss, seed: scale * share, isNew ? (batch, index) : nil)
                    }
                    try hooks.afterBackward()
                    slot.window.changedBuffers.formUnion(begun.before.changedBuffers)
                } else {
                    begun.before.restore()
                    slot.window.observer = nil  // it has met the loss that is not a number
                }
                if !result.loss.isFinite { module.metrics?.dropBatch(of: slot.index, isEmpty: result.isEmpty) }
            }
            result.outcomes.append(closesWindow ? try update(slot, &result) : .accumulated)
        }
        result.learningRates = slots.flatMap { slot in slot.optimizer.groups.map(\.learningRate) }
        if closesWindow { try finish(result) }
        return result
    }

    /// The loss of one batch for one optimizer.
    ///
    /// - Parameter isGuarded: whether a batch that the module does not take throws ``TrainerError/badBatch(_:)``.
    /// Throws: ``TrainerError/singleValue(layer:shape:batch:unit:advice:)``, ``TrainerError/badLoss(optimizer:why:)`` for one of 16 bits
    /// or of several elements, and what the module throws.
    func forward(
        _ batch: Batch, _ index: Int, _ slot: OptimizerSlot, seed: Double, isGuarded: Bool = false
    ) throws -> ForwardPass {
        let pass = { [module] in
            try SingleValueLayers.collecting {
                try LossMeans.collecting {
                    try expectingSeed(seed) { try module.trainingStep(batch, index, optimizer: slot.index) }
                }
            }
        }
        let ((loss, means), single) = try isGuarded ? guarding(batch, index, of: "training", pass) : pass()
        if let single {
            let layer = module.namedModules().first { ObjectIdentifier($0.module) == single.layer }
            throw TrainerError.singleValue(
                layer: layer?.name ?? "", shape: single.shape, batch: index, unit: single.unit,
                advice: single.advice)
        }
        try check(loss, slot)
        return ForwardPass(loss: loss, means: means)
    }

    /// Throws ``TrainerError/badLoss(optimizer:why:)`` for a loss of 16 bits, of integers, or of another number of elements than one.
    func check(_ loss: Tensor, _ slot: OptimizerSlot) throws {
        guard loss.count == 1 else {
            throw TrainerError.badLoss(
                optimizer: slot.index, why: "has shape \(loss.shape), expected one element: take its mean")
        }
        guard loss.dtype.isFloatingPoint else {
            throw TrainerError.badLoss(
                optimizer: slot.index, why: "is \(loss.dtype), expected float32: integers have no gradient")
        }
        guard !loss.dtype.is16Bit else {
            throw TrainerError.badLoss(
                optimizer: slot.index,
                why:
                    "is \(loss.dtype), whose sums have two or three digits, expected float32: crossEntropy and the like "
                    + "return it; of a loss of your own cast the terms before their mean, as in cast(to: .float32).mean()"
            )
        }
    }

    /// Whether a pass's loss is not a number because a mean in it is of nothing.
    func isOfNothing(_ pass: ForwardPass) -> Bool {
        pass.means.explain(pass.loss, parameters: moduleState.parameters)
    }

    /// Throws ``TrainerError/badLoss(optimizer:why:)`` for a loss from which no gradient reaches anything.
    func checkGraph(of loss: Tensor, _ slot: OptimizerSlot) throws {
        if loss.requiresGradient { return }
        throw TrainerError.badLoss(
            optimizer: slot.index,
            why: slot.parameters.allSatisfy(\.isFrozen)
                ? "cannot be trained on: all parameters of the optimizer are frozen; unfreeze some, or leave the optimizer out"
                : "depends on no parameter of the optimizer: was it computed of detached tensors, or without gradients?"
        )
    }

    /// The gradients of a loss; of the first `batch` of its kind, what cannot be differentiated is thrown.
    func backward(_ loss: Tensor, seed: Double, _ batch: (batch: Batch, index: Int)?) throws {
        guard let batch else { return loss.backward(seed: seed) }
        try guarding(batch.batch, batch.index, of: "training") { loss.backward(seed: seed) }
    }

    /// Finite check -> unscale -> hook -> clip -> update or skip, for one optimizer at the end of its window.
    private func update(_ slot: OptimizerSlot, _ result: inout StepResult) throws -> StepResult.Outcome {
        defer { slot.window = AccumulationWindow() }
        guard !slot.window.isEmpty else { return .skipped(.noWeight) }
        let unscale = Double(scaler?.unscaleFactor ?? 1) * slot.window.correction
        // One read, of the scaled values.
        let check = slot.optimizer.checkGradients(gradientScale: unscale, order: clipping?.order ?? .two)
        result.gradientNorm = check.norm
        try hooks.beforeOptimizerStep(slot.optimizer, UnscaledGradients(check: check, loss: result.loss))
        if let reason = slot.window.skipReason(check), nonFinite != .ignore || scaler != nil || detectAnomaly {
            if endsTraining(slot) { slot.autopsy = try autopsy(of: slot, check) }
            slot.window.restoreBuffers()
            return .skipped(reason)
        }
        slot.optimizer.countsLostUpdates = mayBeLogged && slot.storesSixteenBit
        hasUpdated = true
        try step(slot, check.transform(clipping: clipping))  // unscale, clip, update, shadow: one pass
        if let lost = slot.optimizer.lostUpdates { result.lostUpdates = (result.lostUpdates ?? LostUpdates()) + lost }
        return .applied
    }

    /// The optimizer's update; what its first one does wrong, such as to read options of another kind, is thrown.
    private func step(_ slot: OptimizerSlot, _ transform: GradientTransform) throws {
        guard !slot.hasUpdated else { return slot.optimizer.step(transform: transform) }
        slot.hasUpdated = true
        if case .failure(let error) = try operationOutcome({ slot.optimizer.step(transform: transform) }) {
            throw TrainerError.badOptimizer(slot.index, why: "cannot update its parameters: \(error.message)")
        }
    }

    /// Whether a skipped step is one towards the end of training: not while the loss scale is above its initial value, to
    /// which it has to come down first.
    var skipCounts: Bool { !(scaler?.isAboveInitial ?? false) }

    /// Whether the step that is being made can be one that is logged; each optimizer may still move a counter.
    private var mayBeLogged: Bool {
        let before = hooks.state.globalStep + hooks.state.skippedSteps
        return (1...slots.count).contains { (before + $0) % logEveryNSteps == 0 }
    }

    /// The scale once a batch, schedules and counters only for what was applied, and the end of training where it diverges.
    private func finish(_ result: StepResult) throws {
        var state = hooks.state
        var failing: (reason: StepResult.SkipReason, skips: Int)?  // of the optimizer that fails for longest
        var autopsy: Autopsy?
        for (slot, outcome) in result.outcomes.enumerated() {
            switch outcome {
            case .skipped(.noWeight): state.emptyWindows += 1
            case .skipped(let reason):
                state.skippedSteps += 1
                state.consecutiveSkips[slot] += skipCounts ? 1 : 0
                if state.consecutiveSkips[slot] > failing?.skips ?? -1 {
                    failing = (reason, state.consecutiveSkips[slot])
                    autopsy = slots[slot].autopsy ?? autopsy
                }
            case .applied:
                state.consecutiveSkips[slot] = 0
                try slots[slot].scheduler?.countStep()
            case .accumulated: state.consecutiveSkips[slot] = 0
            }
        }
        if result.isApplied { state.globalStep += 1 }
        var exhausted = false
        if result.isApplied || failing != nil {
            do { try scaler?.update(overflowed: failing != nil) } catch { exhausted = true }
        }
        hooks.state = state
        for slot in slots { slot.autopsy = nil }
        guard let failing, let autopsy else { return }
        var parameter: String?
        if case .nonFiniteGradient(let name) = failing.reason { parameter = name }
        throw TrainingDiverged(
            parameter: parameter, loss: result.loss, scale: result.scale, consecutiveSkips: max(failing.skips, 1),
            scaleExhausted: exhausted, globalStep: state.globalStep, autopsy: autopsy)
    }
}
