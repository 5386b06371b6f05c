// Writes checkpoints while training: the last one, the best ones, all of them.
import Foundation
public import NeedletailData
import NeedletailTensor

/// Keeps checkpoints in a directory: `last`, and where a metric is monitored `best` and the top k.
///
/// `last` is written at the end of each epoch (of every so many), after every so many applied steps, after so much time, and
/// when training ends. The monitored metric is looked at after each validation that logs it (where a step is complete), and
/// one that training logs when the epoch ends. With ``saveTopK`` above 1 the best k are also kept under names of their own,
/// with -1 all. Each of them is a folder that a run can resume from; a crash at any byte leaves complete ones only.
///
/// A checkpoint is written by a thread of its own while training goes on, so that flushing its files costs no step; a fault is
/// thrown when the next one is saved, or when fit ends. ``Trainer/lastCheckpoint`` and ``Trainer/bestCheckpoint`` wait for it.
///
///     ModelCheckpoint(directory: "runs", monitor: "val_loss", saveTopK: 3) { $0.fileName = "{epoch}-{val_loss:.3f}" }
public final class ModelCheckpoint: Callback {
    /// Whether a monitored metric is best when it is small or when it is large.
    public typealias Mode = MonitorMode

    /// What is set less often.
    public struct Options: Sendable {
        /// The names of kept checkpoints: `{epoch}`, `{step}` and `{METRIC}`, also with digits as `{METRIC:.3f}`, become
        /// `epoch=3`, `METRIC=0.125`. A slash becomes a line; a name that is taken gets `-v1`, `-v2`, ….
        public var fileName = "{epoch}-{step}"
        /// Whether `last` is kept.
        public var saveLast = true
        /// At the ends of which epochs anything is saved: one in so many.
        public var everyNEpochs = 1
        /// After how much time `last` is written, beside the ends of epochs; nil for ends of epochs only.
        public var every: Duration?
        /// Whether an error that ends fit leaves the moment after the last complete step as `last`.
        public var saveOnException = false
        /// Seconds of a clock.
        package var clock: @Sendable () -> Double = { monotonicSeconds() }
    }

    /// A kept checkpoint.
    private struct Kept: Codable, Equatable {
        var name: String
        var value: Double
    }

    /// The state that checkpoints keep: names are relative, so that equal runs in different places write equal bytes.
    private struct Saved: Codable {
        var best: Double?
        var top: [Kept]
    }

    /// Where checkpoints go.
    public let directory: String
    /// The metric that decides which is best; nil to keep only the last (with ``saveTopK`` -1: all).
    public let monitor: String?
    /// Whether it should be small or large.
    public let mode: Mode
    /// How many of the best are kept: -1 for all, 0 for none.
    public let saveTopK: Int
    /// After how many applied steps `last` is written, beside the ends of epochs; nil for ends of epochs only.
    public let everyNSteps: Int?
    /// Everything else.
    public let options: Options
    /// The monitored metric's best finite value so far; nil before there is one.
    public var bestValue: Double? { progress.best }
    private var progress = Progress()

    /// What belongs to one fit.
    private struct Progress {
        var best: Double?
        var top: [Kept] = []
        /// When `last` was written last.
        var lastTime = 0.0
    }

    /// Keeps checkpoints in `directory`.
    public init(
        directory: String, monitor: String? = nil, mode: Mode = .min, saveTopK: Int = 1, everyNSteps: Int? = nil,
        _ configure: (inout Options) -> Void = { _ in }
    ) {
        var options = Options()
        configure(&options)
        require(saveTopK >= -1, "ModelCheckpoint: saveTopK is \(saveTopK), expected at least -1")
        require(everyNSteps ?? 1 >= 1, "ModelCheckpoint: everyNSteps is \(everyNSteps!), expected at least 1")
        require(
            options.everyNEpochs >= 1, "ModelCheckpoint: everyNEpochs is \(options.everyNEpochs), expected at least 1")
        require(!options.fileName.isEmpty, "ModelCheckpoint: fileName is empty, expected a name")
        self.directory = directory
        self.monitor = monitor
        self.mode = mode
        self.saveTopK = saveTopK
        self.everyNSteps = everyNSteps
        self.options = options
    }

    /// After all others, so that what they did in the hook is part of the checkpoint.
    public override var runsLast: Bool { true }

    package override var savesCheckpoints: Bool { true }

    package override var savesAfterErrors: Bool { options.saveOnException }

    package override var isLeftOutOfDevelopmentRuns: Bool { true }

    package override var isLeftOutOfBarebones: Bool { true }

    public override func reset() { progress = Progress() }

    public override var stateKey: String { "ModelCheckpoint(\(monitor ?? "last"))" }

    public override func saveState() throws -> JSONValue? {
        try JSONValue(encoding: Saved(best: bestValue, top: progress.top))
    }

    public override func loadState(_ state: JSONValue) throws {
        let saved = try state.decoded(as: Saved.self)
        // What falls out of the top k is removed: a name from a file must not lead elsewhere.
        if let kept = saved.top.first(where: { !Self.isName($0.name) }) {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: [],
                    debugDescription: "found the name '\(kept.name)' of a kept checkpoint, expected that of a folder"))
        }
        progress.best = saved.best.flatMap { $0.isFinite ? $0 : nil }
        progress.top = saved.top
    }

    public override func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) {
        progress.lastTime = options.clock()
    }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        if let everyNSteps, result.isApplied, trainer.state.globalStep % everyNSteps == 0 {
            if monitor == nil { try keep(trainer) }
            return try saveLast(trainer)
        }
        if let every = options.every, result.closesWindow, options.clock() - progress.lastTime >= every / .seconds(1) {
            try saveLast(trainer)
        }
    }

    /// A validation between batches; the one at the end of an epoch counts when that ends.
    public override func onValidationEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        guard let monitor, trainer.stage == .fit, !trainer.isSanityChecking, trainer.isAtStepBoundary,
            trainer.state.batchInEpoch < trainer.trainingBatchCount, let value = trainer.validationMeans?[monitor]
        else { return }
        try saveBest(trainer, value)
    }

    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        guard (trainer.state.epoch + 1) % options.everyNEpochs == 0 else { return }
        if let monitor {
            if let value = try epochValue(of: monitor, trainer) { try saveBest(trainer, value) }
        } else if everyNSteps == nil {
            try keep(trainer)
        }
        try saveLast(trainer)
    }

    public override func onTrainEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        // Where nothing was trained, what is there may be further than where this run has been resumed.
        let isNew = trainer.hasTrained || CheckpointFolder.existing(directory + "/last") == nil
        if isNew, trainer.lastSaved != trainer.resumePosition { try saveLast(trainer) }
    }

    public override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) {
        guard options.saveOnException, trainer.stage == .fit, trainer.step != nil, trainer.hasTrained else { return }
        do { try trainer.saveLastCompleteStep(to: directory + "/last") } catch {
            trainer.notice("no checkpoint could be saved after the error: \(error)")
        }
    }

    /// The monitored metric's value that is new at the end of the epoch; nil where it has counted already, and where it is one of
    /// a validation that has not run in this epoch.
    private func epochValue(of monitor: String, _ trainer: Trainer) throws -> Double? {
        if let value = trainer.validationMeans?[monitor] {
            return trainer.state.validatedBatch == trainer.trainingBatchCount ? value : nil
        }
        if let value = trainer.trainingMetrics.epochMetrics.first(where: { $0.name == monitor })?.value { return value }
        if trainer.hasValidation, trainer.validationMeans == nil { return nil }
        guard let value = trainer.metrics[monitor] else {
            throw TrainerError.monitorNotLogged(monitor, logged: trainer.metrics.keys.sorted())
        }
        return value
    }

    private func saveLast(_ trainer: Trainer) throws {
        progress.lastTime = options.clock()
        guard options.saveLast else { return }
        try trainer.beginCheckpoint(to: directory + "/last")
        trainer.lastPath = directory + "/last"
        trainer.lastSaved = trainer.resumePosition
    }

    /// Keeps what is not compared with anything, where all is kept.
    private func keep(_ trainer: Trainer) throws {
        guard saveTopK == -1 else { return }
        try trainer.beginCheckpoint(to: directory + "/" + name(trainer))
    }

    private func saveBest(_ trainer: Trainer, _ value: Double) throws {
        guard value.isFinite, saveTopK != 0 else { return }
        let capacity = saveTopK == -1 ? Int.max : saveTopK
        var removed: [Kept] = []
        let entersTop =
            progress.top.count < capacity || mode.isBetter(value, than: progress.top[progress.top.count - 1].value)
        let name = name(trainer)
        if entersTop {
            // After equal ones: of two equal values the earlier is better.
            let place = progress.top.firstIndex { mode.isBetter(value, than: $0.value) } ?? progress.top.count
            progress.top.insert(Kept(name: name, value: value), at: place)
            removed = Array(progress.top.dropFirst(capacity))
            progress.top.removeLast(removed.count)
        }
        if mode.isImprovement(value, over: bestValue) {
            progress.best = value
            try trainer.beginCheckpoint(to: directory + "/best")
            trainer.bestPath = directory + "/best"
        }
        guard saveTopK != 1, entersTop else { return }
        try trainer.beginCheckpoint(to: directory + "/" + name)
        trainer.checkpointWriter.remove(removed.map { directory + "/" + $0.name })
    }

    // MARK: Names

    /// The template filled in, and made different from the names that are kept.
    private func name(_ trainer: Trainer) -> String {
        let filled = options.fileName.replacing(/\{([^{}:]+)(?::\.([0-9]{1,2})f)?\}/) { match -> String in
            let key = String(match.1)
            let value =
                switch key {
                case "epoch": "\(trainer.state.epoch)"
                case "step": "\(trainer.state.globalStep)"
                default: Self.text(trainer.metrics[key], digits: match.2.flatMap { Int($0) })
                }
            return "\(key)=\(value)"
        }
        let flat = filled.replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "\0", with: "_")
        let base = flat.prefix(100).drop { $0 == "." } + (flat.hasSuffix(".previous") ? "_" : "")
        var name = base.isEmpty ? "_" : String(base), version = 0
        while progress.top.contains(where: { $0.name == name }) || !Self.isName(name) {
            version += 1
            name = String(base) + "-v\(version)"
        }
        return name
    }

    private static func text(_ value: Double?, digits: Int?) -> String {
        guard let value else { return "nan" }
        return digits.map { String(format: "%.\($0)f", value) } ?? "\(value)"
    }

    /// Whether it names a folder in the directory, and not one with a meaning of its own.
    private static func isName(_ name: String) -> Bool {
        !name.isEmpty && !name.hasPrefix(".") && !name.contains("/") && !name.contains("\0") && name.utf8.count < 1000
            && name != "last" && name != "best" && !name.hasSuffix(".previous")
    }
}
