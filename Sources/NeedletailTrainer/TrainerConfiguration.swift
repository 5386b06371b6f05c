// Every option of a Trainer, with Lightning's names and meanings.
public import NeedletailOptim
public import NeedletailTensor

/// The options of a ``Trainer``.
///
///     let trainer = Trainer(maxEpochs: 3, precision: .mixedFloat16) {
///         $0.gradientClip = .norm(1)
///         $0.accumulateGradBatches = 4
///     }
public struct TrainerConfiguration {
    /// Training ends after this many epochs. This, ``maxSteps`` or ``maxTime`` must be given to fit.
    public var maxEpochs: Int?
    /// Training ends after this many applied steps.
    public var maxSteps: Int?
    /// Training ends after the step in which this much time has passed, that before a resume included.
    public var maxTime: Duration?
    /// Nobody but these limits (a callback, ``maxTime``) ends training before so many epochs are complete.
    public var minEpochs: Int?
    /// Nobody but these limits ends training before so many steps are applied.
    public var minSteps: Int?
    /// In which precision everything runs: a mode, or ``PrecisionChoice/auto``.
    public var precision: PrecisionChoice
    /// Types for parameters by pattern, such as `["head.*": .float32]`; the first match decides.
    public var precisionOverrides: PrecisionOverrides = [:]
    /// How products of float16 matrices are summed. Where nil: as around the run, in float32 unless
    /// it stands in ``withMatMulAccumulation(_:_:)``. A run throws where the kernels in use cannot do what is asked for.
    public var matmulAccumulation: MatMulAccumulation?
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
    /// Where metrics are written, beside those of ``callbacks`` that are loggers too.
    public var loggers: [any Logger] = []
    /// Metrics logged by step are written every so many steps.
    public var logEveryNSteps = 50
    /// How many batches of each validation loader run before training, to find errors early; 0 for none, -1 for all.
    public var numSanityValSteps = 2
    /// Validation runs in every so many epochs only; where nil, ``valCheckInterval`` counts on from epoch to epoch.
    public var checkValEveryNEpochs: Int? = 1
    /// Validation runs after every so many training batches, a count or a share of the epoch: `100`, or `0.25` for four
    /// times an epoch. `1.0`: at the end of the epoch.
    public var valCheckInterval = BatchLimit.all
    /// How many batches of an epoch are trained on.
    public var limitTrainBatches = BatchLimit.all
    /// How many batches of each loader a validation takes.
    public var limitValBatches = BatchLimit.all
    /// How many batches of each loader a test takes.
    public var limitTestBatches = BatchLimit.all
    /// How many batches of each loader a prediction takes.
    public var limitPredictBatches = BatchLimit.all
    /// Trains and validates on so many batches only, the same in each epoch: not shuffled. nil for none of this.
    public var overfitBatches: BatchLimit?
    /// Runs so many batches of each loader once, to find errors: one epoch, no sanity check, no loggers, no checkpoints, no
    /// early stopping, no search for a learning rate or a batch size. 0 for none of this.
    public var fastDevRun = 0
    /// Nothing but training, to measure the cost of the rest: no progress bar, summary, checkpoints, sanity check, and
    /// nothing that is logged. Loggers, and callbacks of these kinds, must not be given with it.
    public var barebones = false
    /// Every run with the same seeds gives the same bits, for any number of threads: there is no other way, and `false` is
    /// an error. Here so that code which asks for it says so.
    public var deterministic = true
    /// Where given, fit begins with random layers (dropout) seeded from it, whatever they have drawn before. Initial weights
    /// and the order of the data are seeded where they are made.
    public var seed: UInt64?
    /// What measures where the time goes; nil for nothing.
    public var profiler: Profiler?
    /// Whether a progress bar is shown on standard output.
    public var enableProgressBar = true
    /// Whether a weights summary is printed when fit begins.
    public var enableModelSummary = true
    /// Whether checkpoints are written without a ``ModelCheckpoint`` in ``callbacks``; needs a ``rootDirectory``.
    public var enableCheckpointing = true
    /// Where checkpoints go, in a folder `checkpoints`, and whatever else a run writes. Where nil, nothing is written unless a callback or logger does.
    public var rootDirectory: String?
    /// Whether a run obeys signals. SIGINT and SIGTERM then end it after the current step, with a checkpoint `last` (where
    /// there is a directory for checkpoints) and the error ``RunInterrupted``; a second one ends the process at once.
    /// SIGUSR1 saves and goes on. Handlers are the process's, so they are left alone unless this is set; they are in place
    /// during runs only. The command `needletail train` sets it.
    public var handlesSignals = false
    /// The names under which a program's users give these options, such as `["maxEpochs": "--epochs"]`: what notices call them.
    /// Options that are not among them have the library's names.
    public var optionNames: [String: String] = [:]
    /// How precision `auto` takes the time, in seconds, and where it prints its table.
    package var autoPrecision: (clock: () -> Double, console: Console) = (monotonicSeconds, .standardOutput)

    /// The options' defaults, with a limit and a precision.
    public init(maxEpochs: Int? = nil, maxSteps: Int? = nil, precision: PrecisionChoice = .mode(.float32)) {
        self.maxEpochs = maxEpochs
        self.maxSteps = maxSteps
        self.precision = precision
    }
}
