// Every option of a Trainer, with Lightning's names and meanings.
public import NeedletailOptim

/// The options of a ``Trainer``.
///
///     let trainer = Trainer(maxEpochs: 3, precision: .mixedFloat16) {
///         $0.gradientClip = .norm(1)
///         $0.accumulateGradBatches = 4
///     }
public struct TrainerConfiguration {
    /// Training ends after this many epochs. This or ``maxSteps`` must be given to fit.
    public var maxEpochs: Int?
    /// Training ends after this many applied steps.
    public var maxSteps: Int?
    /// In which precision everything runs: a mode, or ``PrecisionChoice/auto``.
    public var precision: PrecisionChoice
    /// Types for parameters by pattern, such as `["head.*": .float32]`; the first match decides.
    public var precisionOverrides: PrecisionOverrides = [:]
    /// How many batches share one update.
    public var accumulateGradBatches = 1
    /// How gradients are clipped, if at all.
    public var gradientClip: GradientClipping?
    /// How updates are rounded to parameters that are stored in 16 bits. Where nil: as each optimizer says.
    public var updateRounding: UpdateRounding?
    /// The loss scale. Where nil: dynamic in 16-mixed and 16-true, none in the other modes.
    public var lossScale: LossScale?
    /// What happens where a loss or gradient is not finite.
    public var nonFinite = NonFinitePolicy.skip()
    /// Whether every training step runs with checks on. A non-finite loss or gradient then ends training with its
    /// ``Autopsy`` at once, whatever ``nonFinite`` says; an overflow of gradients under a dynamic loss scale, which is how
    /// the scale is found, is skipped as ever. The bits of a run do not change; it takes about twice as long.
    public var detectAnomaly = false
    /// Code that runs beside training, in this order.
    public var callbacks: [Callback] = []
    /// Where metrics are written.
    public var loggers: [any Logger] = []
    /// Metrics logged by step are written every so many steps.
    public var logEveryNSteps = 50
    /// How many validation batches run before training, to find errors early; 0 for none.
    public var numSanityValSteps = 2
    /// Validation runs after every so many epochs.
    public var checkValEveryNEpochs = 1
    /// Whether a progress bar is shown on standard output.
    public var enableProgressBar = true
    /// Whether a weights summary is printed when fit begins.
    public var enableModelSummary = true
    /// Whether checkpoints are written without a ``ModelCheckpoint`` in ``callbacks``; needs a ``rootDirectory``.
    public var enableCheckpointing = true
    /// Where checkpoints go, in a folder `checkpoints`. Where nil, nothing is written unless a callback or logger does.
    public var rootDirectory: String?
    /// How precision `auto` takes the time, in seconds, and where it prints its table.
    package var autoPrecision: (clock: () -> Double, console: Console) = (monotonicSeconds, .standardOutput)

    /// The options' defaults, with a limit and a precision.
    public init(maxEpochs: Int? = nil, maxSteps: Int? = nil, precision: PrecisionChoice = .mode(.float32)) {
        self.maxEpochs = maxEpochs
        self.maxSteps = maxSteps
        self.precision = precision
    }

    /// The loss scaler of a new fit in a policy's types.
    func makeScaler(for policy: PrecisionPolicy) throws -> LossScaler? {
        try (lossScale ?? (policy.needsLossScale ? .dynamic() : nil)).map { try LossScaler($0) }
    }

    /// Throws where an option has a value that means nothing.
    func validate(forFit: Bool) throws {
        if forFit, maxEpochs == nil, maxSteps == nil { throw TrainerError.noLimit }
        for (name, value, minimum) in [
            ("maxEpochs", maxEpochs ?? 0, 0), ("maxSteps", maxSteps ?? 0, 0),
            ("accumulateGradBatches", accumulateGradBatches, 1), ("logEveryNSteps", logEveryNSteps, 1),
            ("numSanityValSteps", numSanityValSteps, 0), ("checkValEveryNEpochs", checkValEveryNEpochs, 1),
        ] where value < minimum {
            throw TrainerError.badOption(name: name, found: "\(value)", expected: "at least \(minimum)")
        }
        switch gradientClip {
        case .norm(let limit, _), .value(let limit):
            guard limit > 0 else {
                throw TrainerError.badOption(name: "gradientClip", found: "\(limit)", expected: "a number above 0")
            }
        case nil: break
        }
        if case .skip(let maxConsecutive) = nonFinite, maxConsecutive < 1 {
            throw TrainerError.badOption(
                name: "nonFinite: .skip(maxConsecutive:)", found: "\(maxConsecutive)", expected: "at least 1")
        }
    }
}

/// Options or data with which a trainer cannot run.
public enum TrainerError: Error, CustomStringConvertible, Equatable {
    /// Neither maxEpochs nor maxSteps was given.
    case noLimit
    /// The precision is `auto`, and no fit has chosen a mode yet.
    case precisionNotChosen
    /// An option's value means nothing.
    case badOption(name: String, found: String, expected: String)
    /// The training loader yields no batches.
    case noBatches
    /// `configureOptimizers()` returned none.
    case noOptimizer
    /// Two optimizers own one parameter.
    case sharedParameter(String, optimizers: (Int, Int))
    /// This one of `configureSchedules(for:)` is of an optimizer that has one already, or of none of the module's.
    case misplacedSchedule(Int)
    /// `lossWeight(of:)` returned a negative or non-finite number.
    case badLossWeight(Double, batch: Int)
    /// A checkpoint was asked for in the middle of an accumulation window, or outside of fit.
    case noStepBoundary
    /// The metric that a callback monitors was never logged.
    case monitorNotLogged(String, logged: [String])

    /// What was found, what was expected, what to do.
    public var description: String {
        switch self {
        case .noLimit: "fit needs a limit: give maxEpochs or maxSteps"
        case .precisionNotChosen:
            "precision auto is chosen when fit begins, and this trainer has not fitted yet: give it one of "
                + Precision.allCases.map(\.rawValue).joined(separator: ", ")
        case .badOption(let name, let found, let expected): "\(name) is \(found), expected \(expected)"
        case .noBatches:
            "the training loader has no batches: is the data set empty, or smaller than a batch with dropLast?"
        case .noOptimizer: "configureOptimizers() returned no optimizer, expected at least one"
        case .sharedParameter(let name, let optimizers):
            "parameter \(name) belongs to optimizer \(optimizers.0) and to optimizer \(optimizers.1), expected one owner"
        case .misplacedSchedule(let index):
            "schedule \(index) of configureSchedules(for:) is of an optimizer that has a schedule already, or of none that "
                + "configureOptimizers() returned; expected at most one for each of them: use SequentialSchedule for several"
        case .badLossWeight(let weight, let batch):
            "lossWeight(of:) returned \(weight) for batch \(batch), expected a finite number of at least 0"
        case .noStepBoundary:
            "a checkpoint can be saved during fit, at the end of a step only: "
                + "in onTrainBatchEnd where result.closesWindow, or at the end of an epoch"
        case .monitorNotLogged(let name, let logged):
            "the monitored metric '\(name)' was not logged; logged are \(logged.joined(separator: ", "))"
        }
    }

    /// Whether two errors are the same.
    public static func == (a: TrainerError, b: TrainerError) -> Bool { a.description == b.description }
}
