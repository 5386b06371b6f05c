// The trainer: runs a module over data in the precision of its flag.
public import NeedletailData
public import NeedletailOptim
public import NeedletailTensor

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
    /// The directory of the last checkpoint, and of the best one, that a ``ModelCheckpoint`` has written.
    public internal(set) var lastCheckpoint: String?, bestCheckpoint: String?
    /// What the user should know though nothing failed, such as a checkpoint of another precision. Also printed.
    public private(set) var notices: [String] = []
    /// What is happening; nil between runs.
    public private(set) var stage: Stage?
    /// Whether the validation that runs is the one before training.
    public internal(set) var isSanityChecking = false
    /// How many batches a training epoch has, and how many batches the running evaluation has.
    public internal(set) var trainingBatchCount = 0, evaluationBatchCount = 0
    /// What the parameters' types are in the last or running run; nil where precision `auto` has not chosen a mode yet.
    public private(set) var policy: PrecisionPolicy?
    /// The mode of the last or running run; nil where precision `auto` has not chosen one yet.
    public var precision: Precision? { policy?.precision }
    /// What precision `auto` has measured in the last fit that was not resumed; nil in other precisions.
    public internal(set) var precisionTimings: PrecisionTimings?
    /// How many steps an epoch has: batches by accumulation windows.
    public var stepsPerEpoch: Int {
        let window = configuration.accumulateGradBatches
        return (trainingBatchCount + window - 1) / window
    }
    /// How many steps the running fit applies where none is skipped: what a schedule over the whole run spans.
    public var plannedSteps: Int? {
        [configuration.maxEpochs.map { $0 * stepsPerEpoch }, configuration.maxSteps].compactMap { $0 }.min()
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
    /// Every callback in the order of its calls: before the module's hooks, and after them.
    let early: [Callback], late: [Callback]
    let trainingMetrics = MetricStore(phase: .trainingStep)
    let evaluationMetrics = MetricStore(phase: .evaluationStep)
    var step: TrainingStep?
    var lastScaler: LossScaler?
    var loader: DataLoader?
    var module: TrainingModule?
    var isEpochComplete = false
    var isAtStepBoundary = true

    /// A trainer with the given options.
    public init(_ configuration: TrainerConfiguration) {
        self.configuration = configuration
        if case .mode(let precision) = configuration.precision {
            policy = PrecisionPolicy(precision, overrides: configuration.precisionOverrides)
        }
        var callbacks = configuration.callbacks
        if configuration.enableModelSummary, !callbacks.contains(where: { $0 is ModelSummary }) {
            callbacks.append(ModelSummary())
        }
        if configuration.enableProgressBar, !callbacks.contains(where: { $0 is ProgressBar }) {
            callbacks.append(ProgressBar())
        }
        if configuration.enableCheckpointing, let root = configuration.rootDirectory,
            !callbacks.contains(where: { $0 is ModelCheckpoint })
        {
            callbacks.append(ModelCheckpoint(directory: root + "/checkpoints"))
        }
        early = callbacks.filter { !$0.runsLast }
        late = callbacks.filter(\.runsLast)
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

    /// Validates the module on `loader`: the weighted means of what its validation step logs.
    @discardableResult
    public func validate(_ module: TrainingModule, _ loader: DataLoader) throws -> [String: Double] {
        try run(.validate, module) {
            try evaluate(.validate, module, loader) { try module.validationStep($0, $1) }
        }
    }

    /// Tests the module on `loader`: the weighted means of what its test step logs.
    @discardableResult
    public func test(_ module: TrainingModule, _ loader: DataLoader) throws -> [String: Double] {
        try run(.test, module) {
            try evaluate(.test, module, loader) { try module.testStep($0, $1) }
        }
    }

    /// The module's predictions for `loader`, a tensor for each batch.
    public func predict(_ module: TrainingModule, _ loader: DataLoader) throws -> [Tensor] {
        var predictions: [Tensor] = []
        _ = try run(.predict, module) {
            try evaluate(.predict, module, loader) { predictions.append(try module.predictStep($0, $1)) }
        }
        return predictions
    }

    /// Tells the user something that is not an error: it is printed on standard error and kept in ``notices``.
    func notice(_ text: String) {
        notices.append(text)
        Console.standardError.write("note: " + text + "\n")
    }

    /// The policy of this run. Throws ``TrainerError/precisionNotChosen``.
    func chosenPolicy() throws -> PrecisionPolicy {
        guard let policy else { throw TrainerError.precisionNotChosen }
        return policy
    }

    /// Sets up a run of `stage`, does it, and tears down whatever happens.
    ///
    /// `choose` finds the mode where the precision is `auto`; without it, the last fit's mode goes on.
    func run<R>(
        _ stage: Stage, _ module: TrainingModule, precision choose: (() throws -> Precision)? = nil,
        _ body: () throws -> R
    ) throws -> R {
        try configuration.validate(forFit: stage == .fit)
        self.stage = stage
        self.module = module
        module.trainer = self
        defer {
            module.trainer = nil
            module.metrics = nil
            self.module = nil
            self.stage = nil
        }
        do {
            try module.prepareData()
            defer { teardown(module, stage) }
            try each({ try $0.setup(self, module, stage) }, { try module.setup(stage) })
            if configuration.precision == .auto, let choose {
                policy = PrecisionPolicy(try choose(), overrides: configuration.precisionOverrides)
            }
            try chosenPolicy().apply(to: module)
            let result = try body()
            for logger in configuration.loggers { try logger.flush() }
            return result
        } catch {
            for callback in callbacks { callback.onException(self, module, error) }
            module.onException(error)
            throw error
        }
    }

    private func teardown(_ module: TrainingModule, _ stage: Stage) {
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

    /// Writes metrics to every logger and keeps them for ``metrics``.
    func log(_ event: MetricsRecord.Event, _ values: [Metric]) throws {
        guard !values.isEmpty else { return }
        for (name, value) in values { metrics[name] = value }
        let record = MetricsRecord(event: event, epoch: state.epoch, step: state.globalStep, values: values)
        for logger in configuration.loggers { try logger.log(record) }
    }
}
