// A line that shows how far training is.
import Foundation
public import NeedletailData

/// Shows epoch, bar, batches, elapsed and remaining time, rate, logged values, loss scale, skipped steps, and the share of
/// updates that were lost to rounding when that was last logged.
///
/// On a terminal the line is drawn over in place, at most ten times a second, so that it costs nothing; elsewhere each
/// epoch leaves one plain line, and so does each test.
public final class ProgressBar: Callback {
    private let console: Console
    private let clock: () -> Double
    private var drawn = Drawn()

    /// What was drawn, and when the epoch that is drawn began.
    private struct Drawn {
        var epochStart = 0.0, epochFirstBatch = 0, last = -1.0, stageStart = 0.0
        var width = 0
    }

    /// A progress bar on `console`; `clock` gives seconds, by default those since the machine started.
    public init(console: Console = .standardOutput, clock: (() -> Double)? = nil) {
        self.console = console
        self.clock = clock ?? { ProcessInfo.processInfo.systemUptime }
    }

    public override func reset() { drawn = Drawn() }

    package override var isLeftOutOfBarebones: Bool { true }

    /// After the module, so that the values it logged are shown.
    public override var runsLast: Bool { true }

    public override func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) { beginEpoch(trainer) }

    public override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) { beginEpoch(trainer) }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) {
        guard console.isTerminal else { return }
        let now = clock()
        guard now - drawn.last >= 0.1 else { return }
        draw(line(trainer, done: index + 1, now), at: now)
    }

    public override func onValidationBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
    ) { drawEvaluation(trainer, index) }

    public override func onTestStart(_ trainer: Trainer, _ module: TrainingModule) { drawn.stageStart = clock() }

    public override func onTestBatchEnd(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        drawEvaluation(trainer, index)
    }

    public override func onPredictStart(_ trainer: Trainer, _ module: TrainingModule) { drawn.stageStart = clock() }

    public override func onPredictBatchEnd(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        drawEvaluation(trainer, index)
    }

    public override func onSanityCheckEnd(_ trainer: Trainer, _ module: TrainingModule) { erase() }

    public override func onTestEnd(_ trainer: Trainer, _ module: TrainingModule) { erase() }

    public override func onPredictEnd(_ trainer: Trainer, _ module: TrainingModule) { erase() }

    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) {
        finish(line(trainer, done: trainer.trainingBatchCount, clock(), finished: true))
    }

    public override func onTrainEnd(_ trainer: Trainer, _ module: TrainingModule) {
        if trainer.state.batchInEpoch > 0, trainer.hasTrained {
            finish(line(trainer, done: trainer.state.batchInEpoch, clock()))
        }
    }

    public override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) {
        if drawn.width > 0 { console.write("\n") }
        drawn.width = 0
    }

    private func beginEpoch(_ trainer: Trainer) {
        drawn.epochStart = clock()
        drawn.epochFirstBatch = trainer.state.batchInEpoch
        drawn.last = -1
    }

    /// The line for `done` batches of the epoch.
    private func line(_ trainer: Trainer, done: Int, _ now: Double, finished: Bool = false) -> String {
        let total = trainer.trainingBatchCount
        let elapsed = max(now - drawn.epochStart, 1e-9)
        let rate = Double(done - drawn.epochFirstBatch) / elapsed
        let remaining = rate > 0 ? Double(total - done) / rate : .infinity
        let epochs = trainer.configuration.maxEpochs.map { "/\($0)" } ?? ""
        let head = "Epoch \(trainer.state.epoch + 1)\(epochs) "
        var tail = String(
            format: " %d/%d [%@ < %@, %.1f it/s]", done, total, ProgressBar.time(elapsed), ProgressBar.time(remaining),
            rate)
        let values =
            trainer.trainingMetrics.progressBarMetrics(finished: finished)
            + trainer.evaluationMetrics.progressBarMetrics(finished: true)
        for (name, value) in values { tail += String(format: " %@ %.4g", name, value) }
        if let scale = trainer.lossScale { tail += String(format: " scale %g", scale) }
        if trainer.state.skippedSteps > 0 { tail += " skipped \(trainer.state.skippedSteps)" }
        if let share = trainer.lostUpdateShare { tail += String(format: " updates lost %.1f%%", 100 * share) }
        let room = max(10, min(30, console.width - head.count - tail.count - 3))
        return head + ProgressBar.bar(Double(done) / Double(max(total, 1)), width: room) + tail
    }

    private func drawEvaluation(_ trainer: Trainer, _ index: Int) {
        guard console.isTerminal else { return }
        let now = clock()
        guard now - drawn.last >= 0.1 else { return }
        let total = trainer.evaluationBatchCount
        let name =
            trainer.isSanityChecking
            ? "Sanity check" : trainer.stage == .test ? "Test" : trainer.stage == .predict ? "Predict" : "Validation"
        let bar = ProgressBar.bar(Double(index + 1) / Double(max(total, 1)), width: 30)
        draw("\(name) \(bar) \(index + 1)/\(total)", at: now)
    }

    private func draw(_ line: String, at now: Double) {
        let clipped = String(line.prefix(console.width - 1))
        console.write("\r" + clipped + String(repeating: " ", count: max(0, drawn.width - clipped.count)))
        drawn.width = clipped.count
        drawn.last = now
    }

    private func finish(_ line: String) {
        erase()
        console.write(line + "\n")
    }

    private func erase() {
        if drawn.width > 0 { console.write("\r" + String(repeating: " ", count: drawn.width) + "\r") }
        drawn.width = 0
        drawn.last = -1
    }

    private static func bar(_ share: Double, width: Int) -> String {
        let filled = Int(max(0, min(1, share)) * Double(width))
        return "|" + String(repeating: "█", count: filled) + String(repeating: " ", count: width - filled) + "|"
    }

    /// Seconds as `m:ss`, or `h:mm:ss`.
    static func time(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e7 else { return "?" }
        let whole = Int(seconds.rounded())
        return whole < 3600
            ? String(format: "%d:%02d", whole / 60, whole % 60)
            : String(format: "%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60)
    }
}
