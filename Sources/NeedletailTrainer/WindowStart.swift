// Where the last complete step has left a run, so that an error in the middle of the next one can be gone back from.
import NeedletailNN
import NeedletailOptim
import NeedletailTensor

/// What a step changes before its update: taken when an accumulation window begins.
struct WindowStart {
    private let state: TrainerState
    private let scaler: LossScaler?
    private let module: ModuleSnapshot
    /// The epoch's sums; nil where a window is one batch, whose values count only once it is done.
    private let sums: [MetricStore.Sums]?
    /// What module and data module save of themselves; nil where nobody saves a checkpoint within a window.
    let own: OwnState?

    init(_ trainer: Trainer, _ step: TrainingStep) throws {
        state = trainer.state
        scaler = step.scaler
        module = step.moduleState.snapshot([.buffers, .generators])
        sums = step.accumulation > 1 ? trainer.trainingMetrics.sums : nil
        own = try trainer.mayGoBack(step) ? OwnState(step.module, trainer.data) : nil
        step.hasUpdated = false
    }

    /// Puts the buffers back, where the window's step does not count.
    func restoreBuffers() { module.restoreBuffers() }

    /// Runs `body` with everything as it was when the window began.
    func around<R>(_ trainer: Trainer, _ step: TrainingStep, _ body: () throws -> R) rethrows -> R {
        let now = (
            trainer.state, step.scaler, step.moduleState.snapshot([.buffers, .generators]),
            trainer.trainingMetrics.sums
        )
        put(state, scaler, module, sums ?? now.3, into: trainer, step)
        trainer.isAtStepBoundary = true
        defer {
            put(now.0, now.1, now.2, now.3, into: trainer, step)
            trainer.isAtStepBoundary = false
        }
        return try body()
    }

    private func put(
        _ state: TrainerState, _ scaler: LossScaler?, _ module: ModuleSnapshot, _ sums: [MetricStore.Sums],
        into trainer: Trainer, _ step: TrainingStep
    ) {
        trainer.state = state
        step.scaler = scaler
        module.restore()
        trainer.trainingMetrics.restore(sums)
    }
}

extension Trainer {
    /// Whether a checkpoint may be saved from within a window: after an error, or by a signal during a validation.
    fileprivate func mayGoBack(_ step: TrainingStep) -> Bool {
        callbacks.contains(where: \.savesAfterErrors) || configuration.handlesSignals && step.accumulation > 1
    }
}
