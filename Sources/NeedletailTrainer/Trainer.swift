// The trainer: runs a module over data in the precision of its flag.
import NeedletailData
import NeedletailFiles
import NeedletailNN
public import NeedletailOptim
import NeedletailTensor

/// Trains, validates, tests and predicts with a ``TrainingModule``, in any of the six precisions.
///
///     let trainer = Trainer(maxEpochs: 3, precision: .mixedBFloat16)
///     try trainer.fit(classifier, train: train, validation: validation)
///     print(try trainer.test(classifier, test))
///
/// The result is a function of the module, the data and the seeds alone: not of the number of threads, not of where a run
/// was interrupted and resumed.
public final class Trainer {
    /// The options.
    public let configuration: TrainerConfiguration
    /// The counters of the last or running fit.
    public internal(set) var state = TrainerState()
    /// Set it, in a hook, to end training after the current step. Reset by fit.
    public var shouldStop = false
    /// The latest value of every logged metric, by name: epoch means, and step values where they are logged by step.
    public internal(set) var metrics: [String: Double] = [:]
    /// The directory of the last checkpoint that a ``ModelCheckpoint`` has written. Waits until it is complete.
    public var lastCheckpoint: String? {
        checkpointWriter.wait()
        return lastPath
    }
    /// The directory of the best checkpoint that a ``ModelCheckpoint`` has written. Waits until it is complete.
    public var bestCheckpoint: String? {
        checkpointWriter.wait()
        return bestPath
    }
    /// What the user should know of the last or running fit though nothing failed, such as a checkpoint of another precision. Also
    /// printed.
    public internal(set) var notices: [String] = []
    /// What is happening; nil between runs.
    public private(set) var stage: Stage?
    /// Whether the validation that runs is the one before training.
    public internal(set) var isSanityChecking = false
    /// How many batches a training epoch has, and how many batches the running evaluation takes from its loader.
    public internal(set) var trainingBatchCount = 0, evaluationBatchCount = 0
    /// The index and the name of the loader that the running evaluation takes batches from; "" where there is only one.
    public internal(set) var evaluationLoader: (index: Int, name: String) = (0, "")
    /// What the parameters' types are in the last or running run; nil where precision `auto` has not chosen a mode yet.
    public private(set) var policy: PrecisionPolicy?
    /// The mode of the last or running run; nil where precision `auto` has not chosen one yet.
    public var precision: Precision? { policy?.precision }
    /// What precision `auto` has measured in the last fit that was not resumed; nil in other precisions.
    public internal(set) var precisionTimings: PrecisionTimings?
    /// How many steps an epoch has: batches by accumulation windows.
    public var stepsPerEpoch: Int { steps(inEpoch: state.epoch) }
    /// How many steps the running fit applies where none is skipped: what a schedule over the whole run spans.
    public var plannedSteps: Int? {
        [configuration.maxEpochs.map(steps(untilEpoch:)), configuration.maxSteps].compactMap { $0 }.min()
    }
    /// The loss scaler of the last or running fit; nil in modes without one.
    public var scaler: LossScaler? { step?.scaler ?? lastScaler }
    /// The current loss scale; nil in modes without one.
    public var lossScale: Float? { scaler?.scale }
    /// The share of updates that rounding lost when the running fit last logged it; nil where no parameter is stored in 16 bits.
    var lostUpdateShare: Double? {
        step?.slots.contains(where: \.storesSixteenBit) == true ? metrics[Trainer.lostUpdatesMetric] : nil
    }
    /// The name under which the share of updates that are lost to rounding is logged.
    static let lostUpdatesMetric = "updates_lost"
    /// The options as they were given: ``configuration`` is what they stand for.
    private let givenConfiguration: TrainerConfiguration
    /// Where the given callbacks or options put checkpoints, also where a run that only looks for errors writes none.
    var givenCheckpointDirectory: String? {
        givenConfiguration.callbacks.lazy.compactMap { ($0 as? ModelCheckpoint)?.directory }.first
            ?? givenConfiguration.rootDirectory.map { $0 + "/checkpoints" }
    }
    /// The configuration's callbacks and the trainer's own.
    private let ownCallbacks: [Callback]
    /// Every callback in the order of its calls: before the module's hooks, and after them.
    private(set) var early: [Callback] = [], late: [Callback] = []
    let trainingMetrics = MetricStore(phase: .trainingStep)
    let evaluationMetrics = MetricStore(phase: .evaluationStep)
    /// Where the last and the best checkpoint are, or are being written.
    var lastPath: String?, bestPath: String?
    let checkpointWriter = CheckpointWriter()
    var step: TrainingStep?
    var lastScaler: LossScaler?
    /// Who is shown the operations of training steps; callbacks, such as a profiler's, add and remove theirs.
    let graphObservers = GraphObservers()
    var loader: DataLoader?
    var module: TrainingModule?
    var data: DataModule?
    /// What the last validation of the epoch has found.
    var validationMeans: [String: Double]?
    /// What the running accumulation window began with.
    var windowStart: WindowStart?
    /// Whether the running fit has said that it leaves out batches whose loss is a mean of nothing.
    var hasToldOfEmptyMeans = false
    /// Whether an error is ending the run.
    var isFailing = false
    /// The kinds of batches that were evaluated in this run, by stage and loader.
    var knownBatches: [String: KnownBatches] = [:]
    /// How many layers took batch statistics when the epoch's last batch was looked at.
    var checkedStatisticsHolders = 0
    /// During an evaluation, the modes that the module's parts had before it.
    var trainingModes: ModuleSnapshot?
    /// Whether the running fit has validations.
    var hasValidation = false
    /// Where the run stood when it began.
    var firstState: TrainerState?
    /// Whether this fit has tried a step.
    var hasTrained: Bool { firstState != state }
    /// Where the running fit's checkpoints go, held until it ends.
    var runFolders: [RunFolder] = []
    /// Who the last or running fit is, and the owners of all fits of this trainer.
    var identity = RunRecord.Identity(), owners: Set<String> = []
    var isEpochComplete = false
    var isAtStepBoundary = true

    /// A trainer with the given options.
    public init(_ configuration: TrainerConfiguration) {
        givenConfiguration = configuration
        self.configuration = configuration.resolved
        ownCallbacks = self.configuration.allCallbacks
        if case .mode(let precision) = configuration.precision {
            policy = PrecisionPolicy(precision, overrides: configuration.precisionOverrides)
        }
        arrange(ownCallbacks)
    }

    /// A trainer with a limit, a precision, and further options set in a closure.
    public convenience init(
        maxEpochs: Int? = nil, maxSteps: Int? = nil, precision: Precision = .float32,
        _ configure: (inout TrainerConfiguration) -> Void = { _ in }
    ) {
        self.init(maxEpochs: maxEpochs, maxSteps: maxSteps, precision: .mode(precision), configure)
    }

    /// A trainer whose precision may be ``PrecisionChoice/auto``.
    public convenience init(
        maxEpochs: Int? = nil, maxSteps: Int? = nil, precision: PrecisionChoice,
        _ configure: (inout TrainerConfiguration) -> Void = { _ in }
    ) {
        var configuration = TrainerConfiguration(maxEpochs: maxEpochs, maxSteps: maxSteps, precision: precision)
        configure(&configuration)
        self.init(configuration)
    }

    /// Every callback, the trainer's own included, in the order in which hooks are called.
    public var callbacks: [Callback] { early + late }

    /// The callbacks with the keys under which checkpoints keep their states: of several with one key the second has `KEY#2`.
    var keyedCallbacks: [(key: String, callback: Callback)] {
        var taken: Set<String> = data.map { [$0.stateKey] } ?? []
        return callbacks.map { callback in
            var key = callback.stateKey, number = 1
            while !taken.insert(key).inserted {
                number += 1
                key = "\(callback.stateKey)#\(number)"
            }
            return (key, callback)
        }
    }

    /// Tells the user something that is not an error: it is printed on standard error and kept in ``notices``.
    func notice(_ optionText: OptionText) {
        let text = FilePath.readable(optionText.text(naming: configuration.optionNames))
        notices.append(text)
        Console.standardError.write("note: " + text + "\n")
    }

    /// The policy of this run. Throws ``TrainerError/precisionNotChosen``.
    func chosenPolicy() throws -> PrecisionPolicy {
        guard let policy else { throw TrainerError.precisionNotChosen }
        return policy
    }

    /// Sorts callbacks into those before the module and those after it; those that write checkpoints come last.
    private func arrange(_ callbacks: [Callback]) {
        let profiler = configuration.profiler.map { [$0] } ?? []
        early = profiler.map(\.first) + callbacks.filter { !$0.runsLast }
        late =
            callbacks.filter { $0.runsLast && !$0.savesCheckpoints } + callbacks.filter(\.savesCheckpoints)
            + profiler.map(\.last)
    }

    /// Sets up a run of `stage`, does it, and tears down whatever happens; `begin` is called before all hooks.
    ///
    /// After an error callbacks and module hear of it while the run still stands, so that a checkpoint can be saved.
    func run<R>(
        _ stage: Stage, _ module: TrainingModule, _ data: DataModule, begin: () throws -> Void = {},
        _ body: () throws -> R
    ) throws -> R {
        try givenConfiguration.validate(forFit: stage == .fit)
        let products = ProductOptions.current
        defer { products.choose() }  // the run or its checkpoint may have put their own in place
        if let wanted = configuration.matmulAccumulation { try chooseMatMulAccumulation(wanted) }
        (self.stage, self.module, self.data) = (stage, module, data)
        isFailing = false
        knownBatches = [:]
        module.trainer = self
        data.trainer = self
        defer {
            endFit()
            leaveFolders()
            module.trainer = nil
            data.trainer = nil
            module.metrics = nil
            (self.stage, self.module, self.data) = (nil, nil, nil)
        }
        let isDevelopmentRun = configuration.fastDevRun > 0
        let brought = (configuration.barebones ? [] : module.configureCallbacks())
            .filter { !(isDevelopmentRun && $0.isLeftOutOfDevelopmentRuns) }
        arrange(ownCallbacks.filter { own in !brought.contains { type(of: $0) == type(of: own) } } + brought)
        var isSetUp = false
        do {
            try checkOutputs()
            try begin()
            try data.prepareData()
            try module.prepareData()
            isSetUp = true
            try data.setup(stage)
            try each({ try $0.setup(self, module, stage) }, { try module.setup(stage) })
            let result = try obeyingSignals(body)
            for logger in configuration.loggers {
                try logger.flush()
                try logger.runEnded(stage, error: nil)
            }
            teardown(module, data, stage)
            return result
        } catch {
            isFailing = true
            do { try checkpointWriter.finish() } catch let second where "\(second)" != "\(error)" {
                notice("a checkpoint could not be written: \(second)")
            } catch {}
            let error = savedAfterFailedOutput(error)
            for callback in callbacks { callback.onException(self, module, error) }
            module.onException(error)
            for logger in configuration.loggers {  // what ended the run is the error to report
                try? logger.flush()
                try? logger.runEnded(stage, error: error)
            }
            if isSetUp { teardown(module, data, stage) }
            throw error
        }
    }

    /// Takes the mode that `choose` finds where the precision is `auto` (without it, the last fit's mode goes on), and gives
    /// the module's parameters their types.
    func applyPrecision(to module: TrainingModule, _ choose: (() throws -> Precision)? = nil) throws {
        if case .failure(let error) = try operationOutcome({ module.namedParameters() }) {
            throw TrainerError.badCall(method: "members()", why: error.message)
        }
        if configuration.precision == .auto, let choose {
            policy = PrecisionPolicy(try choose(), overrides: configuration.precisionOverrides)
        }
        try chosenPolicy().apply(to: module)
    }

    private func teardown(_ module: TrainingModule, _ data: DataModule, _ stage: Stage) {
        data.teardown(stage)
        for callback in early { callback.teardown(self, module, stage) }
        module.teardown(stage)
        for callback in late { callback.teardown(self, module, stage) }
    }

    /// Calls a hook in its order: callbacks, module, callbacks that run last.
    func each(_ callback: (Callback) throws -> Void, _ module: () throws -> Void) rethrows {
        for early in early { try callback(early) }
        try module()
        for late in late { try callback(late) }
    }

    /// Runs `body`, a training step, and shows it to ``graphObservers`` where there are any.
    func observed<R>(_ body: () throws -> R) rethrows -> R {
        graphObservers.isEmpty ? try body() : try observing(graphObservers, body)
    }

    /// Writes metrics to every logger and keeps them for ``metrics``.
    func log(_ event: MetricsRecord.Event, _ values: [Metric]) throws {
        guard !values.isEmpty, !configuration.barebones else { return }
        for (name, value) in values { metrics[name] = value }
        let record = MetricsRecord(event: event, epoch: state.epoch, step: state.globalStep, values: values)
        for logger in configuration.loggers { try logger.log(record) }
    }
}

extension TrainerConfiguration {
    /// The callbacks, with those that other options ask for.
    fileprivate var allCallbacks: [Callback] {
        var callbacks = callbacks
        if enableModelSummary, !callbacks.contains(where: { $0 is ModelSummary }) { callbacks.append(ModelSummary()) }
        if enableProgressBar, !callbacks.contains(where: { $0 is ProgressBar }) { callbacks.append(ProgressBar()) }
        if let maxTime { callbacks.append(TrainingTimer(maxTime)) }
        if enableCheckpointing, let rootDirectory, !callbacks.contains(where: { $0 is ModelCheckpoint }) {
            callbacks.append(ModelCheckpoint(directory: rootDirectory + "/checkpoints"))
        }
        return callbacks
    }
}
