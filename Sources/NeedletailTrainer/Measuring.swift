// Running a module without leaving a trace: replays, trial steps, comparisons, example inputs.
import NeedletailNN
import NeedletailTensor

/// What a module and its data module save of themselves in checkpoints, beside tensors and generators of layers.
struct OwnState: Equatable {
    private(set) var module: [String: JSONValue] = [:]
    private(set) var data: JSONValue?

    /// As it is now.
    init(_ module: TrainingModule, _ data: DataModule?) throws {
        try module.onSaveCheckpoint(&self.module)
        self.data = try data?.saveState()
    }

    /// Puts it back where it is another one now.
    func restore(_ module: TrainingModule, _ data: DataModule?) throws {
        let now = try OwnState(module, data)
        if now.module != self.module { try module.onLoadCheckpoint(self.module) }
        if now.data != self.data, let saved = self.data { try data?.loadState(saved) }
    }
}

extension TrainingModule {
    /// Runs `body`, which may run the module, and puts back its state and what module and data module save in checkpoints.
    /// Nothing is logged meanwhile, and no report looks on.
    ///
    /// Whoever updates parameters in `body` copies them first (``ModuleState/copyParameters()``), and whoever runs
    /// backward gives them new gradients (``ModuleState/renewGradients()``). Other stored properties of the module stay as
    /// `body` leaves them.
    func measured<Result>(_ body: (ModuleState) throws -> Result) throws -> Result {
        let state = ModuleState(self)
        let before = state.snapshot()
        let data = trainer?.data
        let own = try OwnState(self, data)
        let log = metrics
        let observers = state.modules.map(\.outputObserver)
        metrics = nil
        for module in state.modules { module.outputObserver = nil }
        let result = Swift.Result { try unobserved { try body(state) } }
        metrics = log
        for (module, observer) in zip(state.modules, observers) { module.outputObserver = observer }
        before.restore()
        let restored = Swift.Result { try own.restore(self, data) }
        let value = try result.get()
        try restored.get()
        return value
    }
}
