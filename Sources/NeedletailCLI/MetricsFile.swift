// `--metrics FILE`: one JSON object a line, for scripts.
import Foundation
import Needletail

/// Takes the times and counts of a training run, and writes them, where there is a file, as JSON lines.
///
/// Lines are collected in memory and written at the end of each epoch, so that a step costs no system call.
final class MetricsFile: Callback {
    private let file: LogFile?
    private var pending = ""
    private var counts = Counts()

    /// What is taken in one fit.
    private struct Counts {
        var lastTime = 0.0
        var secondsToFirstStep: Double?
        /// Seconds spent in training batches and waiting for them, validation left out.
        var trainingSeconds = 0.0
        var samples = 0
    }

    /// Replaces the file at `path`, or goes on after its lines; without a path only times and counts are taken.
    init(path: String?, appending: Bool = false) throws {
        file = try path.map { try LogFile($0, continues: appending) }
    }

    /// Seconds from the start of the process to the end of the first training step; nil before it.
    var secondsToFirstStep: Double? { counts.secondsToFirstStep }

    /// Samples trained on a second; nil where no step was taken.
    var samplesPerSecond: Double? {
        counts.trainingSeconds > 0 ? Double(counts.samples) / counts.trainingSeconds : nil
    }

    override func reset() { counts = Counts() }

    /// Epoch values are complete only after the module's hooks.
    override var runsLast: Bool { true }

    override func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        counts.lastTime = ProcessMeasurements.secondsSinceStart
    }

    override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        counts.lastTime = ProcessMeasurements.secondsSinceStart
    }

    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        let now = ProcessMeasurements.secondsSinceStart
        if counts.secondsToFirstStep == nil { counts.secondsToFirstStep = now }
        counts.trainingSeconds += now - counts.lastTime
        counts.lastTime = now
        counts.samples += batch.count
        guard file != nil else { return }
        let lost = result.lostUpdates.map { [("updates_lost", JSONValue.number($0.share))] } ?? []
        let step: [(String, JSONValue)] = [
            ("event", "step"), ("epoch", .integer(Int64(trainer.state.epoch))), ("batch", .integer(Int64(index))),
            ("step", .integer(Int64(trainer.state.globalStep))), ("loss", .number(result.loss)),
            ("gradient_norm", .number(result.gradientNorm)), ("scale", .number(result.scale)),
            ("learning_rate", .number(result.learningRates.first ?? .nan)),
            ("applied", .bool(result.isApplied)), ("seconds", .number(now)),
        ]
        append(step + lost)
    }

    override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        guard file != nil else { return }
        let values = [
            ("train_loss", "train_loss_epoch"), ("validation_loss", "validation_loss"),
            ("validation_accuracy", "validation_accuracy"),
        ].compactMap { key, metric in trainer.metrics[metric].map { (key, JSONValue.number($0)) } }
        append(
            [
                ("event", "epoch"), ("epoch", .integer(Int64(trainer.state.epoch))),
                ("step", .integer(Int64(trainer.state.globalStep))),
                ("samples_per_second", samplesPerSecond.map { .number($0) } ?? .null),
            ] + values)
        try flush()
    }

    override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) { try? flush() }

    /// Writes the last line and everything before it.
    func writeSummary(_ members: [(String, JSONValue)]) throws {
        guard file != nil else { return }
        append([("event", "summary")] + members)
        try flush()
    }

    private func append(_ members: [(String, JSONValue)]) {
        let body = members.map { "\"\($0.0)\":\($0.1.text)" }.joined(separator: ",")
        pending += "{" + body + "}\n"
    }

    private func flush() throws {
        // What does not fit is lost, and not tried again: a part of it may stand in the file.
        let lines = pending
        pending = ""
        try file?.append(lines)
    }
}
