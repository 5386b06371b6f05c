// Ends training when a metric no longer gets better.
import NeedletailTensor

/// Ends training where a monitored metric has stopped getting better, is not finite, or has passed a threshold.
///
/// It looks at the metric after each validation that logs it; one that training logs by epoch it looks at when the epoch ends.
///
///     $0.callbacks = [EarlyStopping(monitor: "val_loss", patience: 5)]
public final class EarlyStopping: Callback {
    /// What ends training beside patience.
    public struct Thresholds: Sendable {
        /// Training has reached what it is for where the metric is at least as good as this.
        public var stopping: Double?
        /// Training has failed where the metric is worse than this.
        public var divergence: Double?
        /// Whether a metric that is not finite ends training.
        public var checkFinite = true

        /// Neither threshold; NaN and infinities end training.
        public init(stopping: Double? = nil, divergence: Double? = nil, checkFinite: Bool = true) {
            self.stopping = stopping
            self.divergence = divergence
            self.checkFinite = checkFinite
        }
    }

    private struct Saved: Codable {
        var best: Double?
        var waited: Int
        var stoppedEpoch: Int?
    }

    /// What belongs to one fit.
    private struct Progress {
        var best: Double?
        var waited = 0
        var stoppedEpoch: Int?
        var reason: String?
        var wasValidated = false
    }

    /// The metric.
    public let monitor: String
    /// Whether it should be small or large.
    public let mode: MonitorMode
    /// A change must be larger than this to count.
    public let minDelta: Double
    /// After how many looks without a better value training ends.
    public let patience: Int
    /// What else ends training.
    public let thresholds: Thresholds
    /// The metric's best finite value so far; nil before there is one.
    public var best: Double? { progress.best }
    /// Looks since it was found.
    public var waited: Int { progress.waited }
    /// The epoch in which training was ended; nil where it was not.
    public var stoppedEpoch: Int? { progress.stoppedEpoch }
    /// Why training was ended; nil where it was not.
    public var reason: String? { progress.reason }
    private var progress = Progress()

    /// Ends training after `patience` looks in which `monitor` was not better by more than `minDelta`.
    public init(
        monitor: String, mode: MonitorMode = .min, minDelta: Double = 0, patience: Int = 3,
        thresholds: Thresholds = Thresholds()
    ) {
        require(patience >= 0, "EarlyStopping: patience is \(patience), expected zero or more")
        require(minDelta >= 0, "EarlyStopping: minDelta is \(minDelta), expected zero or more")
        self.monitor = monitor
        self.mode = mode
        self.minDelta = minDelta
        self.patience = patience
        self.thresholds = thresholds
    }

    public override var runsLast: Bool { true }

    package override var isLeftOutOfDevelopmentRuns: Bool { true }

    public override func reset() { progress = Progress() }

    public override var stateKey: String { "EarlyStopping(\(monitor))" }

    public override func saveState() throws -> JSONValue? {
        try JSONValue(encoding: Saved(best: best, waited: waited, stoppedEpoch: stoppedEpoch))
    }

    public override func loadState(_ state: JSONValue) throws {
        let saved = try state.decoded(as: Saved.self)
        // Older versions took a first value that is not finite for the best.
        progress.best = saved.best.flatMap { $0.isFinite ? $0 : nil }
        progress.waited = saved.waited
        progress.stoppedEpoch = saved.stoppedEpoch
    }

    public override func onValidationEnd(_ trainer: Trainer, _ module: TrainingModule) {
        guard trainer.stage == .fit, !trainer.isSanityChecking, let value = trainer.validationMeans?[monitor] else {
            return
        }
        progress.wasValidated = true
        look(value, trainer)
    }

    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        if progress.wasValidated { return }
        // A validation that does not run in every epoch may be what logs it.
        guard let value = trainer.trainingMetrics.epochMetrics.first(where: { $0.name == monitor })?.value else {
            if trainer.validationMeans != nil || !trainer.hasValidation {
                throw TrainerError.monitorNotLogged(monitor, logged: trainer.metrics.keys.sorted())
            }
            return
        }
        look(value, trainer)
    }

    private func look(_ value: Double, _ trainer: Trainer) {
        guard let found = verdict(value) else { return }
        progress.stoppedEpoch = trainer.state.epoch
        progress.reason = found
        trainer.shouldStop = true
    }

    /// Why training ends, nil where it goes on.
    private func verdict(_ value: Double) -> String? {
        if thresholds.checkFinite, !value.isFinite { return "\(monitor) is \(value)" }
        if let limit = thresholds.stopping, value == limit || mode.isBetter(value, than: limit) {
            return "\(monitor) is \(value), the stopping threshold is \(limit)"
        }
        if let limit = thresholds.divergence, mode.isBetter(limit, than: value) {
            return "\(monitor) is \(value), the divergence threshold is \(limit)"
        }
        let bound = best.map { mode == .min ? $0 - minDelta : $0 + minDelta }
        if mode.isImprovement(value, over: bound) {
            progress.best = value
            progress.waited = 0
            return nil
        }
        progress.waited += 1
        guard waited >= patience else { return nil }
        let what = best.map { "better than \($0)" } ?? "finite"
        return "\(monitor) has not been \(what) for \(waited) looks"
    }
}
