// A model with its loss, its optimizers and its hooks: everything that a Trainer needs to know about it.
public import NeedletailData
public import NeedletailNN
public import NeedletailOptim
public import NeedletailTensor

/// A module that a ``Trainer`` can train: override the steps, the optimizers and whichever hooks you need.
///
/// The same class trains in every precision: parameters and batches arrive in the types of the trainer's `precision:`.
///
///     final class Classifier: TrainingModule {
///         let layers: Sequential
///         init(using generator: inout SeededGenerator) { layers = Sequential([Linear(784, 10, using: &generator)]) }
///         override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
///             try crossEntropy(layers(batch.inputs), batch.targets)
///         }
///         override func configureOptimizers() -> [Optimizer] { [Adam(parameters(), learningRate: 1e-3)] }
///     }
open class TrainingModule: Module {
    /// The trainer that is running this module, nil outside of a run.
    public package(set) final weak var trainer: Trainer?
    /// What describes the model (sizes, learning rate): kept in checkpoints, so that it can be built again from one.
    public final var hyperparameters: [String: JSONValue] = [:]
    /// Inputs like those of the data: where given, the weights summary runs ``predictStep(_:_:)`` on them when fit begins,
    /// and shows the sizes and operations of each layer.
    open var exampleInputs: Tensor? { nil }
    /// Where ``log(_:_:onStep:onEpoch:progressBar:weight:)-(String,Double,_,_,_,_)`` writes; nil outside of a run.
    package final var metrics: MetricStore?

    // MARK: Steps

    /// The mean loss of one batch, a float32 scalar (float64 in 64-true), with its graph recorded.
    ///
    /// Must be overridden, here or in ``trainingStep(_:_:optimizer:)``.
    open func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        throw TrainerError.notOverridden(
            type: "\(type(of: self))", method: "trainingStep(_:_:) or trainingStep(_:_:optimizer:)")
    }

    /// The loss that the optimizer at index `optimizer` of ``configureOptimizers()`` minimises.
    ///
    /// Override it where there are several (a GAN). Only that optimizer's parameters require gradients during the call.
    open func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
        try trainingStep(batch, index)
    }

    /// Logs the metrics of one validation batch. Runs in evaluation mode and records no graph.
    open func validationStep(_ batch: Batch, _ index: Int) throws {}

    /// Logs the metrics of one batch of the validation loader at index `loader`; override it where loaders differ.
    open func validationStep(_ batch: Batch, _ index: Int, loader: Int) throws { try validationStep(batch, index) }

    /// Logs the metrics of one test batch. Runs in evaluation mode and records no graph.
    open func testStep(_ batch: Batch, _ index: Int) throws {}

    /// Logs the metrics of one batch of the test loader at index `loader`; override it where loaders differ.
    open func testStep(_ batch: Batch, _ index: Int, loader: Int) throws { try testStep(batch, index) }

    /// The prediction for one batch. Runs in evaluation mode and records no graph. Must be overridden to predict.
    open func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        throw TrainerError.notOverridden(type: "\(type(of: self))", method: "predictStep(_:_:)")
    }

    /// The prediction for one batch of the loader at index `loader`; override it where loaders differ.
    open func predictStep(_ batch: Batch, _ index: Int, loader: Int) throws -> Tensor { try predictStep(batch, index) }

    /// The optimizers, made anew for each fit, after the parameters have been given their types.
    open func configureOptimizers() -> [Optimizer] {
        stop("\(type(of: self)) must override configureOptimizers()")
    }

    /// The learning-rate schedules of the optimizers, at most one for each; none where it is not overridden.
    ///
    ///     override func configureSchedules(for optimizers: [Optimizer]) throws -> [Scheduler] {
    ///         [try Scheduler(CosineAnnealing(steps: trainer?.plannedSteps ?? 1000), of: optimizers[0])]
    ///     }
    ///
    /// The trainer moves a schedule by step where its optimizer's step was applied and by epoch where one was in it.
    open func configureSchedules(for optimizers: [Optimizer]) throws -> [Scheduler] { [] }

    /// Callbacks that the module brings along. One of the trainer's that has the same type gives way to it.
    open func configureCallbacks() -> [Callback] { [] }

    /// How many terms the batch's mean loss is a mean of: its weight in an accumulation window.
    ///
    /// Targets that are class indices count where they are not -100, `crossEntropy`'s ignored index; else samples count.
    /// Override it where the loss divides by something else. With another `ignoreIndex` return the number of targets that
    /// are not that index; with `classWeights` the sum of the weights of the targets that count:
    ///
    ///     override func lossWeight(of batch: Batch) -> Double {
    ///         batch.targets.scalars(as: Int64.self).reduce(0) { $0 + ($1 == -100 ? 0 : classWeights[Int($1)]) }
    ///     }
    ///
    /// A batch of weight 0 is left out and counted, and nothing that is logged about it enters an epoch's mean. So is one whose
    /// loss is NaN because no target counts in it (all of them another `ignoreIndex`, or of class weight 0), whatever this
    /// returns; where other terms of its loss do count, `emptyMean: .zero` lets them.
    open func lossWeight(of batch: Batch) -> Double {
        let targets = batch.targets
        guard targets.dtype == .int64 || targets.dtype == .int32, targets.count > 0 else { return Double(batch.count) }
        return Double(targets.scalars(as: Int64.self).count { $0 != -100 })
    }

    /// ``configureOptimizers()``, where what would end the program is thrown.
    final func madeOptimizers() throws -> [Optimizer] {
        switch try operationOutcome({ self.configureOptimizers() }) {
        case .success(let optimizers): return optimizers
        case .failure(let error): throw TrainerError.badCall(method: "configureOptimizers()", why: error.message)
        }
    }

    // MARK: Logging

    /// Logs a value under `name`. The epoch's mean is weighted and summed in float64.
    ///
    /// - Parameter weight: how often the value counts in that mean: by default once a sample of the batch. Give what the value
    ///   is a mean of where that is something else: `lossWeight(of: batch)` for a loss over the targets that count. It counts for
    ///   nothing where it is 0.
    ///
    /// A run ends with ``TrainerError/badMetric(name:why:)`` after the batch, or the hook, in which a weight is negative or not
    /// finite, a name is empty, or a tensor has not one element.
    ///
    /// Where `onStep` and `onEpoch` are not given, training steps log by step, everything else by epoch. With both, the
    /// names end in `_step` and `_epoch`. The first call for a name decides. Outside of a trainer's run it does nothing.
    public final func log(
        _ name: String, _ value: Double, onStep: Bool? = nil, onEpoch: Bool? = nil, progressBar: Bool = false,
        weight: Double? = nil
    ) {
        metrics?.record(name, value, onStep: onStep, onEpoch: onEpoch, progressBar: progressBar, weight: weight)
    }

    /// Logs a tensor of one element, such as the loss.
    public final func log(
        _ name: String, _ value: Tensor, onStep: Bool? = nil, onEpoch: Bool? = nil, progressBar: Bool = false,
        weight: Double? = nil
    ) {
        guard let metrics else { return }
        guard value.count == 1 else {
            return metrics.fail(name, "has the shape \(value.shape), expected one element: take its mean")
        }
        metrics.record(name, value.item(), onStep: onStep, onEpoch: onEpoch, progressBar: progressBar, weight: weight)
    }

    // MARK: Hooks of a run

    /// Downloads or unpacks what data needs; called once, before everything else.
    open func prepareData() throws {}
    /// Called at the beginning of fit, validate, test and predict.
    open func setup(_ stage: Stage) throws {}
    /// Called at the end of fit, validate, test and predict, also after an error.
    open func teardown(_ stage: Stage) {}
    /// Called when fit begins, with optimizers made and a checkpoint, if any, loaded.
    open func onFitStart() throws {}
    /// Called when fit ends.
    open func onFitEnd() throws {}
    /// Called before the sanity validation.
    open func onSanityCheckStart() throws {}
    /// Called after the sanity validation.
    open func onSanityCheckEnd() throws {}
    /// Called before the first epoch.
    open func onTrainStart() throws {}
    /// Called after the last epoch.
    open func onTrainEnd() throws {}
    /// Called at the beginning of each training epoch.
    open func onTrainEpochStart() throws {}
    /// Called at the end of each training epoch, after its validation.
    open func onTrainEpochEnd() throws {}
    /// Called after an error was thrown, before it leaves the trainer.
    open func onException(_ error: any Error) {}
    /// Adds state of the module's own to a checkpoint, such as a random generator.
    open func onSaveCheckpoint(_ state: inout [String: JSONValue]) throws {}
    /// Takes back what ``onSaveCheckpoint(_:)`` stored.
    open func onLoadCheckpoint(_ state: [String: JSONValue]) throws {}

    /// The batch as the steps get it, in every stage: for augmentation and the like. Called on the trainer's thread.
    open func onAfterBatchTransfer(_ batch: Batch, _ index: Int, _ stage: Stage) throws -> Batch { batch }

    // MARK: Hooks of a training batch, in the order in which they are called

    /// Called before a batch's training step.
    open func onTrainBatchStart(_ batch: Batch, _ index: Int) throws {}
    /// Called before the gradients are forgotten: once an accumulation window.
    open func onBeforeZeroGrad(_ optimizer: Optimizer) throws {}
    /// Called with the unscaled loss.
    open func onBeforeBackward(_ loss: Tensor) throws {}
    /// Called after backward; gradients still carry the loss scale.
    open func onAfterBackward() throws {}
    /// Called with the unscaled, unclipped gradients, also where they are not finite and the step will be skipped.
    open func onBeforeOptimizerStep(_ optimizer: Optimizer, _ gradients: UnscaledGradients) throws {}
    /// Called after a batch, with what became of its step.
    open func onTrainBatchEnd(_ result: StepResult, _ batch: Batch, _ index: Int) throws {}

    // MARK: Hooks of evaluation

    /// Called before the batches of a validation.
    open func onValidationStart() throws {}
    /// Called after ``onValidationStart()``, before the first batch.
    open func onValidationEpochStart() throws {}
    /// Called before each batch of a validation.
    open func onValidationBatchStart(_ batch: Batch, _ index: Int) throws {}
    /// Called after each batch of a validation.
    open func onValidationBatchEnd(_ batch: Batch, _ index: Int) throws {}
    /// Called after the last batch of a validation, before means are formed: what is logged here becomes part of them.
    open func onValidationEpochEnd() throws {}
    /// Called after the batches of a validation, with its means among the trainer's metrics.
    open func onValidationEnd() throws {}
    /// Called before the batches of a test.
    open func onTestStart() throws {}
    /// Called after ``onTestStart()``, before the first batch.
    open func onTestEpochStart() throws {}
    /// Called before each batch of a test.
    open func onTestBatchStart(_ batch: Batch, _ index: Int) throws {}
    /// Called after each batch of a test.
    open func onTestBatchEnd(_ batch: Batch, _ index: Int) throws {}
    /// Called after the last batch of a test, before means are formed: what is logged here becomes part of them.
    open func onTestEpochEnd() throws {}
    /// Called after the batches of a test, with its means among the trainer's metrics.
    open func onTestEnd() throws {}
    /// Called before the batches of a prediction.
    open func onPredictStart() throws {}
    /// Called after ``onPredictStart()``, before the first batch.
    open func onPredictEpochStart() throws {}
    /// Called before each batch of a prediction.
    open func onPredictBatchStart(_ batch: Batch, _ index: Int) throws {}
    /// Called after each batch of a prediction.
    open func onPredictBatchEnd(_ batch: Batch, _ index: Int) throws {}
    /// Called after the last batch of a prediction, before means are formed: what is logged here becomes part of them.
    open func onPredictEpochEnd() throws {}
    /// Called after the batches of a prediction, with its means among the trainer's metrics.
    open func onPredictEnd() throws {}
}
