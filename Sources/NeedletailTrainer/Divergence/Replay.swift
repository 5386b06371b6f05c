// When a step that fails ends training, and running its window again with checks on, putting everything back.
import NeedletailData
import NeedletailNN
import NeedletailOptim
import NeedletailTensor

/// A batch of an open accumulation window, with what makes its step the same once more.
struct ReplayableBatch {
    let batch: Batch
    let index: Int
    /// What seeded its backward: the loss scale times the batch's share of the window.
    let seed: Double
    /// Buffers and generators before the step.
    let before: ModuleSnapshot
}

extension TrainingStep {
    /// Whether training ends with the step that `slot` is about to skip.
    func endsTraining(_ slot: OptimizerSlot) -> Bool {
        if detectAnomaly, !(scaler?.isDynamic ?? false) || slot.window.observer?.hasForwardFinding ?? false {
            return true
        }
        switch nonFinite {
        case .throw: return true
        case .ignore: return false
        case .skip(let maxConsecutive):
            var next = scaler
            let isExhausted = (try? next?.update(overflowed: true)) == nil && scaler != nil
            return isExhausted
                || skipCounts && hooks.state.consecutiveSkips[slot.index] + 1 >= maxConsecutive
        }
    }

    /// Where the window's non-finite value arose: as watched, or found by running the window again. Parameters are still
    /// those of the step.
    func autopsy(of slot: OptimizerSlot, _ check: GradientCheck) throws -> Autopsy {
        if let observer = slot.window.observer, observer.finding != nil {
            return autopsy(from: observer, parameter: check.firstNonFinite?.parameter)
        }
        return try replay(slot.window.replayable, of: slot)
    }

    /// What watches the batch's step; nil where steps are not checked.
    func watcher(of slot: OptimizerSlot, _ batch: Batch, _ index: Int) -> AutopsyObserver? {
        guard detectAnomaly else { return nil }
        let observer = slot.window.observer ?? AutopsyObserver(module)
        slot.window.observer = observer
        observer.begin(batch.inputs, index: index)
        return observer
    }

    /// `batch` as the next step would run it, with `share` of the loss scale.
    func replayable(_ batch: Batch, _ index: Int, share: Double) -> ReplayableBatch {
        ReplayableBatch(
            batch: batch, index: index, seed: (scaler.map { Double($0.scale) } ?? 1) * share,
            before: moduleState.snapshot([.buffers, .generators]))
    }

    /// Runs `batches` again as the optimizer's step did, until a non-finite value is met.
    ///
    /// Parameters, buffers, generators, loss scale and counters are those of the step. No hook is called and nothing is
    /// logged; everything is put back afterwards. A step that throws ends the replay, or it throws with `rethrowing`.
    func replay(
        _ batches: [ReplayableBatch], of slot: OptimizerSlot, rethrowing: Bool = false
    ) throws -> Autopsy {
        let observer = AutopsyObserver(module)
        let parameter = try module.measured { state in
            state.renewGradients()
            for batch in batches where observer.finding == nil {
                batch.before.restore()
                observer.begin(batch.batch.inputs, index: batch.index)
                let pass: ForwardPass
                do {
                    pass = try watched(by: observer) {
                        try forward(batch.batch, batch.index, slot, seed: batch.seed, isGuarded: rethrowing)
                    }
                } catch {
                    if rethrowing { throw error }
                    break
                }
                let loss = pass.loss
                if isOfNothing(pass) {
                    observer.forget()
                    continue
                }
                observer.finishForward(loss: loss)
                guard loss.requiresGradient else { continue }
                try watched(by: observer) {
                    try backward(loss, seed: batch.seed, rethrowing ? (batch.batch, batch.index) : nil)
                }
            }
            return slot.parameters.first { $0.gradient.map { finiteCheck($0).firstNonFinite != nil } ?? false }
        }
        return autopsy(from: observer, parameter: parameter?.name)
    }

    /// What an observer found in the running batch, as an autopsy.
    func autopsy(from observer: AutopsyObserver, parameter: String?) -> Autopsy {
        Autopsy(
            epoch: hooks.state.epoch, batch: observer.batch, finding: observer.finding, parameter: parameter,
            loss: observer.loss, scale: scaler.map { Double($0.scale) })
    }
}
