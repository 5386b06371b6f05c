// What callbacks that search for options are given before fit makes its optimizers, and where they put what they find.
import NeedletailData

/// A fit that is about to begin: parameters have their types, nothing else is made yet.
package final class FitTrial {
    let trainer: Trainer
    let module: TrainingModule
    /// The checkpoint from which the run goes on; nil for a new run.
    let resumed: Checkpoint?
    /// The loader that fit will train on.
    var train: DataLoader
    /// The learning rate that the first group of the optimizer will have; nil for its own. Others keep their ratio to it.
    var learningRate: Double?

    init(_ trainer: Trainer, _ module: TrainingModule, _ train: DataLoader, resumed: Checkpoint?) {
        self.trainer = trainer
        self.module = module
        self.train = train
        self.resumed = resumed
    }

    /// Runs `body` with a training step of its own on copies of the parameters; afterwards the module is as it was.
    ///
    /// No hook is called and nothing is logged; a step that is not finite is skipped without consequences.
    func trying<R>(_ body: (TrainingStep) throws -> R) throws -> R {
        let dtype = train.dtype
        defer { train.dtype = dtype }
        return try module.measured { state in
            state.copyParameters()  // the module's own must not be trained
            let policy = try trainer.chosenPolicy()
            train.dtype = policy.compute
            var configuration = trainer.configuration
            configuration.nonFinite = .ignore
            configuration.detectAnomaly = false
            let hooks = NoHooks()
            let step = try TrainingStep(
                module, optimizers: module.madeOptimizers(), scaler: configuration.makeScaler(for: policy),
                configuration: configuration, hooks: hooks)
            hooks.state.consecutiveSkips = step.slots.map { _ in 0 }
            return try withExtendedLifetime(hooks) { try body(step) }
        }
    }
}
