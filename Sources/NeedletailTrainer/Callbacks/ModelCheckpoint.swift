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
/// No run writes over another's checkpoints. A fit whose directory holds checkpoints that another trainer, or another process, has
/// written ends before its first step (``CheckpointError``), unless it is resumed from one of them or ``Options/overwrite`` is
/// set; later fits with the same callback go to `fit-2`, `fit-3`, … in the directory. While a fit runs nobody else can write there.
/// Beside the checkpoints `run.json` says whose they are, and what depends on the clock.
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
        /// Whether the checkpoints of another run in the directory are replaced: they are removed, and all of them, once this run has
        /// saved its first.
        public var overwrite = false
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
    /// Where the checkpoints of the last or running fit go: ``directory``, or `fit-2`, `fit-3`, … in it.
    public var folder: String { place?.path ?? CheckpointFolder.withoutSlashes(directory) }
    /// That folder, held while fit runs; nil before the first fit.
    private(set) var place: RunFolder?
    /// What the next fit is going to take.
    private(set) var reserved: RunFolder?
    /// The fits that this callback has taken part in.
    private(set) var owners: Set<String> = []

    /// What belongs to one fit.
    private struct Progress {
        var best: Double?
        var top: [Kept] = []
        /// When `last` was written last, and where the run stood.
        var lastTime = 0.0, lastSaved: TrainerState?
        /// What was ranked last, and what of it is still to be saved.
        var event: Event?, due: Due?

        /// Where a metric is looked at.
        enum Event: Equatable {
            case validation(TrainerState), epochEnd(TrainerState)
        }

        /// What a value that was ranked asks for.
        struct Due {
            var isBest = false
            var kept: String?
            var removed: [String] = []
        }
    }

    /// Where the run stood when `last` was written last in the running fit; nil where it was not.
    var lastSaved: TrainerState? { progress.lastSaved }

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

    // MARK: Where checkpoints go

    /// What is going to be written for certain.
    var names: [String] {
        (options.saveLast ? ["last"] : []) + (monitor != nil && saveTopK != 0 ? ["best"] : [])
    }

    /// Takes the directory now for the next fit, which begins from `resume`: other outputs are then opened by a run that may write
    /// its checkpoints. Throws ``CheckpointError``.
    package func reserve(resume: ResumePoint?) throws {
        let newest = { Checkpoint.newestFit(in: self.directory).folder }
        let checkpoint: String? =
            switch resume {
            case nil: nil
            case .path(let path): path
            case .last: newest() + "/last"
            case .best: newest() + "/best"
            }
        let (identity, isGoingOn) = RunFolder.identity(goingOnFrom: checkpoint, in: [directory])
        reserved = try RunFolder(request(identity, from: checkpoint, isGoingOn: isGoingOn, owners: []))
    }

    /// Lets go of what ``reserve(resume:)`` has taken and no fit has used.
    package func release() {
        _ = reserved?.end()
        reserved = nil
    }

    /// What decides where the checkpoints of a fit go.
    func request(
        _ identity: RunRecord.Identity, from checkpoint: String?, isGoingOn: Bool, owners: Set<String>
    ) -> RunFolder.Request {
        RunFolder.Request(
            directory: directory, identity: identity, checkpoint: checkpoint,
            resumedRun: isGoingOn ? identity.run : nil, owners: owners.union(self.owners),
            isOverwriting: options.overwrite, names: names)
    }

    /// What was reserved, which is then the caller's.
    func takeReserved() -> RunFolder? {
        defer { reserved = nil }
        return reserved
    }

    /// Has the checkpoints of the fit that begins go to `place`.
    func use(_ place: RunFolder) {
        self.place = place
        owners.insert(place.identity.owner)
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
        guard trainer.stage == .fit, !trainer.isSanityChecking, trainer.isAtStepBoundary,
            trainer.state.batchInEpoch < trainer.trainingBatchCount
        else { return }
        try rankAll(at: .validation(trainer.state), trainer)
        try saveRanked(trainer)
    }

    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        try rankAll(at: .epochEnd(trainer.state), trainer)
        guard isDue(trainer) else { return }
        try saveRanked(trainer)
        if monitor == nil, everyNSteps == nil { try keep(trainer) }
        try saveLast(trainer)
    }

    /// Whether anything is saved at the end of the epoch that runs.
    private func isDue(_ trainer: Trainer) -> Bool { (trainer.state.epoch + 1) % options.everyNEpochs == 0 }

    public override func onTrainEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        // Where nothing was trained, what is there may be further than where this run has been resumed.
        let isNew = trainer.hasTrained || CheckpointFolder.existing(folder + "/last") == nil
        if isNew, progress.lastSaved != trainer.resumePosition { try saveLast(trainer) }
    }

    public override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) {
        guard options.saveOnException, trainer.stage == .fit, trainer.step != nil, trainer.hasTrained else { return }
        do { try trainer.saveLastCompleteStep(to: folder + "/last") } catch {
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

    /// Begins to write a checkpoint; returns its path.
    private func save(_ trainer: Trainer, as name: String) throws -> String {
        guard let place else { throw TrainerError.noStepBoundary }
        try trainer.beginCheckpoint(in: place, as: name)
        return place.path + "/" + name
    }

    private func saveLast(_ trainer: Trainer) throws {
        progress.lastTime = options.clock()
        guard options.saveLast else { return }
        trainer.lastPath = try save(trainer, as: "last")
        progress.lastSaved = trainer.resumePosition
    }

    /// Keeps what is not compared with anything, where all is kept.
    private func keep(_ trainer: Trainer) throws {
        guard saveTopK == -1 else { return }
        _ = try save(trainer, as: name(trainer))
    }

    // MARK: Ranking

    /// Has all ``ModelCheckpoint``s rank the metric's new value before one of them saves: each one's state is part of every checkpoint.
    private func rankAll(at event: Progress.Event, _ trainer: Trainer) throws {
        for case let callback as ModelCheckpoint in trainer.callbacks where callback.progress.event != event {
            callback.progress.event = event
            callback.progress.due = try callback.newValue(at: event, trainer).flatMap { callback.rank($0, trainer) }
        }
    }

    /// The monitored metric's value that is new; nil where none is, or where nothing is saved.
    private func newValue(at event: Progress.Event, _ trainer: Trainer) throws -> Double? {
        guard let monitor else { return nil }
        if case .validation = event { return trainer.validationMeans?[monitor] }
        return try isDue(trainer) ? epochValue(of: monitor, trainer) : nil
    }

    /// Takes a value among the best; returns what is to be saved.
    private func rank(_ value: Double, _ trainer: Trainer) -> Progress.Due? {
        guard value.isFinite, saveTopK != 0 else { return nil }
        let capacity = saveTopK == -1 ? Int.max : saveTopK
        var due = Progress.Due()
        let entersTop =
            progress.top.count < capacity || mode.isBetter(value, than: progress.top[progress.top.count - 1].value)
        let name = name(trainer)
        if entersTop {
            // After equal ones: of two equal values the earlier is better.
            let place = progress.top.firstIndex { mode.isBetter(value, than: $0.value) } ?? progress.top.count
            progress.top.insert(Kept(name: name, value: value), at: place)
            due.removed = progress.top.dropFirst(capacity).map(\.name)
            progress.top.removeLast(due.removed.count)
            if saveTopK != 1 { due.kept = name }
        }
        due.isBest = mode.isImprovement(value, over: bestValue)
        if due.isBest { progress.best = value }
        return due
    }

    /// Saves what the last ranking asks for.
    private func saveRanked(_ trainer: Trainer) throws {
        guard let due = progress.due else { return }
        progress.due = nil
        if due.isBest { trainer.bestPath = try save(trainer, as: "best") }
        guard let kept = due.kept else { return }
        _ = try save(trainer, as: kept)
        if let place { trainer.checkpointWriter.remove(due.removed, in: place) }
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
            && name != "last" && name != "best" && !name.hasSuffix(".previous") && name != RunRecord.fileName
            && CheckpointFolder.fitNumber(name) == nil
    }
}
