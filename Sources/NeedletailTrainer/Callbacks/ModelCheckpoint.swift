// Writes checkpoints while training: the last one, the best ones.
import Foundation
public import NeedletailData

/// Keeps checkpoints in a directory: `last`, and where a metric is monitored `best` and the top k.
///
/// `last` is written at the end of each epoch, after every so many applied steps where ``everyNSteps`` is given, and when
/// training ends. With ``saveTopK`` above 1 the best k are also kept as `epoch=E-step=S`. Each of them is a folder that a
/// run can resume from; a crash at any byte leaves complete ones only.
public final class ModelCheckpoint: Callback {
    /// Whether a monitored metric is best when it is small or when it is large.
    public enum Mode: String, Sendable {
        /// Small values are best.
        case min
        /// Large values are best.
        case max
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
    /// The metric that decides which is best; nil to keep only the last.
    public let monitor: String?
    /// Whether it should be small or large.
    public let mode: Mode
    /// How many of the best are kept.
    public let saveTopK: Int
    /// After how many applied steps `last` is written, beside the ends of epochs; nil for ends of epochs only.
    public let everyNSteps: Int?
    /// The monitored metric's best value so far.
    public private(set) var bestValue: Double?
    private var top: [Kept] = []
    private var saved: (epoch: Int, batch: Int)?

    /// Keeps checkpoints in `directory`.
    public init(
        directory: String, monitor: String? = nil, mode: Mode = .min, saveTopK: Int = 1, everyNSteps: Int? = nil
    ) {
        precondition(saveTopK >= 1, "ModelCheckpoint: saveTopK is \(saveTopK), expected at least 1")
        precondition(everyNSteps ?? 1 >= 1, "ModelCheckpoint: everyNSteps is \(everyNSteps!), expected at least 1")
        self.directory = directory
        self.monitor = monitor
        self.mode = mode
        self.saveTopK = saveTopK
        self.everyNSteps = everyNSteps
    }

    /// After all others, so that what they did in the hook is part of the checkpoint.
    public override var runsLast: Bool { true }

    package override var savesCheckpoints: Bool { true }

    package override var isLeftOutOfDevelopmentRuns: Bool { true }

    package override var isLeftOutOfBarebones: Bool { true }

    public override var stateKey: String { "ModelCheckpoint(\(monitor ?? "last"))" }

    public override func saveState() throws -> JSONValue? { try JSONValue(encoding: Saved(best: bestValue, top: top)) }

    public override func loadState(_ state: JSONValue) throws {
        let saved = try state.decoded(as: Saved.self)
        // What falls out of the top k is removed: a name from a file must not lead elsewhere.
        if let kept = saved.top.first(where: { $0.name.wholeMatch(of: /epoch=[0-9]+-step=[0-9]+/) == nil }) {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: [],
                    debugDescription: "found the name '\(kept.name)' of a kept checkpoint, expected epoch=E-step=S"))
        }
        bestValue = saved.best
        top = saved.top
    }

    public override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) { saved = nil }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        guard let everyNSteps, result.isApplied, trainer.state.globalStep % everyNSteps == 0 else { return }
        try saveLast(trainer)
    }

    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        if let monitor { try saveBest(trainer, monitor) }
        try saveLast(trainer)
    }

    public override func onTrainEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        let state = trainer.resumePosition
        if saved ?? (-1, -1) != (state.epoch, state.batchInEpoch) { try saveLast(trainer) }
    }

    private func saveLast(_ trainer: Trainer) throws {
        try trainer.saveCheckpoint(to: directory + "/last")
        trainer.lastCheckpoint = directory + "/last"
        let state = trainer.resumePosition
        saved = (state.epoch, state.batchInEpoch)
    }

    private func saveBest(_ trainer: Trainer, _ monitor: String) throws {
        guard let value = trainer.metrics[monitor] else {
            throw TrainerError.monitorNotLogged(monitor, logged: trainer.metrics.keys.sorted())
        }
        guard value.isFinite else { return }
        var removed: [Kept] = []
        let name = "epoch=\(trainer.state.epoch)-step=\(trainer.state.globalStep)"
        let entersTop = top.count < saveTopK || isBetter(value, than: top[top.count - 1].value)
        if entersTop {
            top.removeAll { $0.name == name }
            // After equal ones: of two equal values the earlier is better.
            let place = top.firstIndex { isBetter(value, than: $0.value) } ?? top.count
            top.insert(Kept(name: name, value: value), at: place)
            removed = Array(top.dropFirst(saveTopK))
            top.removeLast(removed.count)
        }
        let isBest = bestValue.map { isBetter(value, than: $0) } ?? true
        if isBest {
            bestValue = value
            try trainer.saveCheckpoint(to: directory + "/best")
            trainer.bestCheckpoint = directory + "/best"
        }
        guard saveTopK > 1, entersTop else { return }
        try trainer.saveCheckpoint(to: directory + "/" + name)
        for kept in removed { try? FileManager.default.removeItem(atPath: directory + "/" + kept.name) }
    }

    private func isBetter(_ a: Double, than b: Double) -> Bool { mode == .min ? a < b : a > b }
}
