// What is wrong with options, data or a module with which a trainer cannot run.

/// Options or data with which a trainer cannot run.
public enum TrainerError: Error, CustomStringConvertible, Equatable {
    /// Neither maxEpochs nor maxSteps nor maxTime was given.
    case noLimit
    /// The precision is `auto`, and no fit has chosen a mode yet.
    case precisionNotChosen
    /// An option's value means nothing, here or at all.
    case badOption(name: String, found: OptionText, expected: OptionText)
    /// A loader ("training", "validation 'noisy'") has no batch.
    case noBatches(loader: String, why: String)
    /// The loaders of a stage are none, or have names that are empty or equal.
    case badLoaders(stage: String, why: String)
    /// A method that the run needs is not overridden.
    case notOverridden(type: String, method: String)
    /// A method of the module has called something with what it does not take.
    case badCall(method: String, why: String)
    /// `configureOptimizers()` returned none.
    case noOptimizer
    /// There is nothing that an optimizer could train.
    case badOptimizer(Int, why: String)
    /// Two optimizers own one parameter.
    case sharedParameter(String, optimizers: (Int, Int))
    /// This one of `configureSchedules(for:)` is of an optimizer that has one already, or of none of the module's.
    case misplacedSchedule(Int)
    /// `lossWeight(of:)` returned a negative or non-finite number.
    case badLossWeight(Double, batch: Int)
    /// What `trainingStep` returned for an optimizer is not a loss that can be trained on.
    case badLoss(optimizer: Int, why: String)
    /// What was logged under a name cannot be.
    case badMetric(name: String, why: String)
    /// The module does not take a batch that it was given.
    case badBatch(BadBatch)
    /// The module does not take its example inputs.
    case badExampleInputs(shape: [Int], why: String)
    /// No batch of a whole epoch had a loss of anything, in a run that no number of epochs ends.
    case nothingCounts(epoch: Int)
    /// A layer such as batch norm was to take the statistics of one value a channel.
    case singleValue(layer: String, shape: [Int], batch: Int, unit: String, advice: String)
    /// A checkpoint was asked for in the middle of an accumulation window, or outside of fit.
    case noStepBoundary
    /// The metric that a callback monitors was never logged.
    case monitorNotLogged(String, logged: [String])

    /// What was found, what was expected, what to do, with the options' names in `names` and the library's for others.
    public func text(naming names: [String: String]) -> String { optionText.text(naming: names) }

    /// What was found, what was expected, what to do.
    public var description: String { text(naming: [:]) }

    private var optionText: OptionText {
        switch self {
        case .noLimit:
            "fit needs a limit: give \(option: "maxEpochs"), \(option: "maxSteps") or \(option: "maxTime")"
        case .precisionNotChosen:
            "precision auto is chosen when fit begins, and this trainer has not fitted yet: give it one of "
                + OptionText(Precision.allCases.map(\.rawValue).joined(separator: ", "))
        case .badOption(let name, let found, let expected): "\(option: name) is \(found), expected \(expected)"
        case .noBatches(let loader, let why): "the \(loader) loader has no batch: \(why)"
        case .badLoaders(let stage, let why): "the loaders of the \(stage) \(why)"
        case .notOverridden(let type, let method): "\(type) must override \(method)"
        case .badCall(let method, let why): "\(method) failed: \(why)"
        case .noOptimizer: "configureOptimizers() returned no optimizer, expected at least one"
        case .badOptimizer(let index, let why): "optimizer \(index) of configureOptimizers() \(why)"
        case .sharedParameter(let name, let optimizers):
            "parameter \(name) belongs to optimizer \(optimizers.0) and to optimizer \(optimizers.1), expected one owner"
        case .misplacedSchedule(let index):
            "schedule \(index) of configureSchedules(for:) is of an optimizer that has a schedule already, or of none that "
                + "configureOptimizers() returned; expected at most one for each of them: use SequentialSchedule for several"
        case .badLossWeight(let weight, let batch):
            "lossWeight(of:) returned \(weight) for batch \(batch), expected a finite number of at least 0"
        case .badMetric(let name, let why): "the value logged as '\(name)' \(why)"
        case .nothingCounts(let epoch):
            "epoch \(epoch) had no batch with a loss of anything, so training would never end: are all targets ignored, or of "
                + "classes of weight 0? Look at ignoreIndex, classWeights and lossWeight(of:)"
        case .singleValue(let layer, let shape, let batch, let unit, let advice):
            "batch \(batch) gives layer '\(layer)' the input \(shape), one value per \(unit), of which there is no variance; "
                + "expected two or more: \(advice)"
        case .badBatch(let found):
            "batch \(found.batch) of \(found.stage), inputs \(found.inputs) \(found.inputType) and targets \(found.targets) "
                + "\(found.targetType), does not fit the module: \(found.why)"
        case .badExampleInputs(let shape, let why):
            "exampleInputs, of shape \(shape), do not fit the module: \(why)"
        case .badLoss(let optimizer, let why):
            "the training step's loss for optimizer \(optimizer) \(why)"
        case .noStepBoundary:
            "a checkpoint can be saved during fit, at the end of a step only: "
                + "in onTrainBatchEnd where result.closesWindow, or at the end of an epoch; and after an error unless one of "
                + "several optimizers has updated its parameters already"
        case .monitorNotLogged(let name, let logged):
            "the monitored metric '\(name)' was not logged; logged are \(logged.joined(separator: ", "))"
        }
    }

    /// Whether two errors are the same.
    public static func == (a: TrainerError, b: TrainerError) -> Bool { a.description == b.description }
}
