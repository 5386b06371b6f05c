// Where the last complete step has left a run, so that an error in the middle of the next one can be gone back from.
import NeedletailOptim
import NeedletailTensor

/// What a step changes before its update: taken when an accumulation window begins.
struct WindowStart {
    private let state: TrainerState
    private let scaler: LossScaler?
    private let generators: [SeededGenerator]
    /// The epoch's sums; nil where a window is one batch, whose values count only once it is done.
    private let sums: [MetricStore.Sums]?

    init(_ trainer: Trainer, _ step: TrainingStep) {
        state = trainer.state
        scaler = step.scaler
        generators = step.generatorHolders.map(\.generator)
        sums = step.accumulation > 1 ? trainer.trainingMetrics.sums : nil
        step.hasUpdated = false
    }

    /// Runs `body` with everything as it was when the window began.
    func around<R>(_ trainer: Trainer, _ step: TrainingStep, _ body: () throws -> R) rethrows -> R {
        let now = (trainer.state, step.scaler, step.generatorHolders.map(\.generator), trainer.trainingMetrics.sums)
        put(state, scaler, generators, sums ?? now.3, into: trainer, step)
        trainer.isAtStepBoundary = true
        defer {
            put(now.0, now.1, now.2, now.3, into: trainer, step)
            trainer.isAtStepBoundary = false
        }
        return try body()
    }

    private func put(
        _ state: TrainerState, _ scaler: LossScaler?, _ generators: [SeededGenerator], _ sums: [MetricStore.Sums],
        into trainer: Trainer, _ step: TrainingStep
    ) {
        trainer.state = state
        step.scaler = scaler
        for (holder, generator) in zip(step.generatorHolders, generators) { holder.generator = generator }
        trainer.trainingMetrics.restore(sums)
    }
}
