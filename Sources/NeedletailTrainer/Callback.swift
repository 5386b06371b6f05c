// Code that runs beside training: progress bars, checkpoints, early stopping.
public import NeedletailData
public import NeedletailOptim
public import NeedletailTensor

/// Hooks that a ``Trainer`` calls beside those of the module, with the same names and in the same order.
///
/// Each hook is called for the callbacks in their order, then for the module, then for callbacks that ``runsLast``.
open class Callback {
    /// Makes a callback.
    public init() {}

    /// Whether the hooks are called after the module's: for callbacks that look at what others have done.
    open var runsLast: Bool { false }
    /// Whether it is left out of a run that only looks for errors (`fastDevRun`): checkpoints, early stopping, searches.
    package var isLeftOutOfDevelopmentRuns: Bool { false }
    /// Whether it shows or keeps something, which `barebones` does not go with.
    package var isLeftOutOfBarebones: Bool { false }
    /// Whether it writes checkpoints: such callbacks come last of all, for what the others did is part of a checkpoint.
    package var savesCheckpoints: Bool { false }
    /// Forgets everything of an earlier fit: called before any hook of a fit. A resumed fit loads the checkpoint's state after
    /// that, where it has one for this callback.
    open func reset() {}

    /// The key under which a checkpoint keeps this callback's state. Of several callbacks with one key in a trainer the second
    /// is kept under `KEY#2`, the third under `KEY#3`, in their order.
    open var stateKey: String { String(describing: type(of: self)) }
    /// The state that a resumed run needs, nil for none.
    open func saveState() throws -> JSONValue? { nil }
    /// Takes back what ``saveState()`` returned.
    open func loadState(_ state: JSONValue) throws {}

    /// Tensors that a resumed run needs, by names of their own; none unless overridden.
    open func stateTensors() throws -> [(name: String, tensor: Tensor)] { [] }
    /// Takes back what ``stateTensors()`` returned; also called where there was nothing.
    open func load(stateTensors: [String: Tensor], _ module: TrainingModule) throws {}

    /// What a resumed run needs that depends on the clock, nil for none: it is kept in `run.json` beside the checkpoint, so that
    /// equal runs write equal checkpoints.
    package func saveClock() throws -> JSONValue? { nil }
    /// Takes back what ``saveClock()`` returned.
    package func loadClock(_ saved: JSONValue) throws {}
    /// The names of metrics that it logs and that depend on the clock: checkpoints leave them out.
    package var clockMetrics: Set<String> { [] }

    /// Whether it saves a checkpoint of the last complete step after an error.
    package var savesAfterErrors: Bool { false }

    /// Called around the writing of a checkpoint: parameters and buffers must be those that train.
    package func checkpointWillBeSaved(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called when it is written, or could not be.
    package func checkpointWasSaved() {}
    /// Looks for options (learning rate, batch size) before fit makes its optimizers.
    package func search(_ trial: FitTrial) throws {}
    /// Changes optimizers that were just made, before they get their schedules.
    package func configure(_ optimizers: [Optimizer], _ trainer: Trainer, _ module: TrainingModule) throws {}

    // MARK: Hooks of a run

    /// Called at the beginning of fit, validate, test and predict.
    open func setup(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) throws {}
    /// Called at the end of fit, validate, test and predict, also after an error.
    open func teardown(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) {}
    /// Called when fit begins, with optimizers made and a checkpoint, if any, loaded.
    open func onFitStart(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called when fit ends.
    open func onFitEnd(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called before the sanity validation.
    open func onSanityCheckStart(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called after the sanity validation.
    open func onSanityCheckEnd(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called before the first epoch.
    open func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called after the last epoch.
    open func onTrainEnd(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called at the beginning of each training epoch.
    open func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called at the end of each training epoch, after its validation.
    open func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called after an error was thrown, before it leaves the trainer.
    open func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) {}

    // MARK: Hooks of a training batch, in the order in which they are called

    /// Called before a batch's training step.
    open func onTrainBatchStart(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) throws {}
    /// Called before the gradients are forgotten: once an accumulation window.
    open func onBeforeZeroGrad(_ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer) throws {}
    /// Called with the unscaled loss.
    open func onBeforeBackward(_ trainer: Trainer, _ module: TrainingModule, _ loss: Tensor) throws {}
    /// Called after backward; gradients still carry the loss scale.
    open func onAfterBackward(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called with the unscaled, unclipped gradients, also where they are not finite and the step will be skipped.
    open func onBeforeOptimizerStep(
        _ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer, _ gradients: UnscaledGradients
    ) throws {}
    /// Called after a batch, with what became of its step.
    open func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {}

    // MARK: Hooks of evaluation

    /// Called before the batches of a validation.
    open func onValidationStart(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called after ``onValidationStart(_:_:)``, before the first batch.
    open func onValidationEpochStart(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called before each batch of a validation.
    open func onValidationBatchStart(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) throws
    {}
    /// Called after each batch of a validation.
    open func onValidationBatchEnd(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) throws {}
    /// Called after the last batch of a validation, before means are formed: the module's hook may still log.
    open func onValidationEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called after the batches of a validation, with its means among the trainer's metrics.
    open func onValidationEnd(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called before the batches of a test.
    open func onTestStart(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called after ``onTestStart(_:_:)``, before the first batch.
    open func onTestEpochStart(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called before each batch of a test.
    open func onTestBatchStart(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) throws {}
    /// Called after each batch of a test.
    open func onTestBatchEnd(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) throws {}
    /// Called after the last batch of a test, before means are formed: the module's hook may still log.
    open func onTestEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called after the batches of a test, with its means among the trainer's metrics.
    open func onTestEnd(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called before the batches of a prediction.
    open func onPredictStart(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called after ``onPredictStart(_:_:)``, before the first batch.
    open func onPredictEpochStart(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called before each batch of a prediction.
    open func onPredictBatchStart(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) throws {}
    /// Called after each batch of a prediction.
    open func onPredictBatchEnd(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) throws {}
    /// Called after the last batch of a prediction, before means are formed: the module's hook may still log.
    open func onPredictEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {}
    /// Called after the batches of a prediction, with its means among the trainer's metrics.
    open func onPredictEnd(_ trainer: Trainer, _ module: TrainingModule) throws {}
}
