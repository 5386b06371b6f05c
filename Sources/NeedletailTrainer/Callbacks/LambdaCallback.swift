// A callback out of closures.
public import NeedletailData

/// Runs closures in the hooks that are given: for a line or two that are not worth a class.
///
///     LambdaCallback { $0.onTrainEpochEnd = { trainer, _ in print(trainer.metrics) } }
public final class LambdaCallback: Callback {
    /// A hook that is told the trainer and the module.
    public typealias Hook = (Trainer, TrainingModule) throws -> Void

    /// Which hooks run what; nil for nothing.
    public struct Hooks {
        /// At the beginning of fit, validate, test and predict.
        public var setup: ((Trainer, TrainingModule, Stage) throws -> Void)?
        /// At the end of fit, validate, test and predict.
        public var teardown: ((Trainer, TrainingModule, Stage) -> Void)?
        /// When fit begins, and when it ends.
        public var onFitStart: Hook?, onFitEnd: Hook?
        /// Before the first epoch, and after the last.
        public var onTrainStart: Hook?, onTrainEnd: Hook?
        /// At the beginning and at the end of each training epoch.
        public var onTrainEpochStart: Hook?, onTrainEpochEnd: Hook?
        /// Before each training batch.
        public var onTrainBatchStart: ((Trainer, TrainingModule, Batch, Int) throws -> Void)?
        /// After each training batch.
        public var onTrainBatchEnd: ((Trainer, TrainingModule, StepResult, Batch, Int) throws -> Void)?
        /// Before and after the batches of a validation.
        public var onValidationStart: Hook?, onValidationEnd: Hook?
        /// Before and after the batches of a test.
        public var onTestStart: Hook?, onTestEnd: Hook?
        /// Before and after the batches of a prediction.
        public var onPredictStart: Hook?, onPredictEnd: Hook?
        /// After an error.
        public var onException: ((Trainer, TrainingModule, any Error) -> Void)?

        init() {}
    }

    private let hooks: Hooks

    /// A callback whose hooks are set in `configure`.
    public init(_ configure: (inout Hooks) -> Void) {
        var hooks = Hooks()
        configure(&hooks)
        self.hooks = hooks
    }

    public override func setup(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) throws {
        try hooks.setup?(trainer, module, stage)
    }
    public override func teardown(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) {
        hooks.teardown?(trainer, module, stage)
    }
    public override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onFitStart?(trainer, module)
    }
    public override func onFitEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onFitEnd?(trainer, module)
    }
    public override func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onTrainStart?(trainer, module)
    }
    public override func onTrainEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onTrainEnd?(trainer, module)
    }
    public override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onTrainEpochStart?(trainer, module)
    }
    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onTrainEpochEnd?(trainer, module)
    }
    public override func onTrainBatchStart(
        _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
    ) throws { try hooks.onTrainBatchStart?(trainer, module, batch, index) }
    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws { try hooks.onTrainBatchEnd?(trainer, module, result, batch, index) }
    public override func onValidationStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onValidationStart?(trainer, module)
    }
    public override func onValidationEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onValidationEnd?(trainer, module)
    }
    public override func onTestStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onTestStart?(trainer, module)
    }
    public override func onTestEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onTestEnd?(trainer, module)
    }
    public override func onPredictStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onPredictStart?(trainer, module)
    }
    public override func onPredictEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        try hooks.onPredictEnd?(trainer, module)
    }
    public override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) {
        hooks.onException?(trainer, module, error)
    }
}
