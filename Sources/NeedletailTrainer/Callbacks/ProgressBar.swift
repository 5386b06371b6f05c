// A line that shows how far training is.
import Foundation
public import NeedletailData

/// Shows epoch, bar, batches, elapsed and remaining time, rate, logged values, loss scale, skipped steps, and the share of
/// updates that were lost to rounding when that was last logged.
///
/// On a terminal the line is drawn over in place, at most ten times a second, so that it costs nothing, and never wraps: the
/// width is asked for at each draw. Elsewhere each epoch leaves one plain line, and whatever takes longer (an epoch, a
/// validation, a test, a prediction) one every 30 seconds.
public final class ProgressBar: Callback {
    private let console: Console
    private let clock: () -> Double
    private static let secondsBetweenLines = 30.0
    private var drawn = Drawn()

    /// What was drawn, and when the epoch that is drawn began.
    private struct Drawn {
        var epochStart = 0.0, epochFirstBatch = 0, last = -1.0, stageStart = 0.0
        var width = 0
        /// When the last plain line was written, or what it would tell of began.
        var lastLine = 0.0
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
        let now = clock()
        guard isDue(now), index + 1 < trainer.trainingBatchCount || console.isTerminal else { return }
        show(line(trainer, done: index + 1, now), at: now)
    }

    public override func onValidationStart(_ trainer: Trainer, _ module: TrainingModule) { beginStage(trainer) }

    public override func onValidationBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
    ) { drawEvaluation(trainer, index) }

    public override func onTestStart(_ trainer: Trainer, _ module: TrainingModule) { beginStage(trainer) }

    public override func onTestBatchEnd(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        drawEvaluation(trainer, index)
    }

    public override func onPredictStart(_ trainer: Trainer, _ module: TrainingModule) { beginStage(trainer) }

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
        drawn.lastLine = drawn.epochStart
    }

    /// A validation within an epoch counts its 30 seconds from the epoch's last line.
    private func beginStage(_ trainer: Trainer) {
        drawn.stageStart = clock()
        if trainer.stage != .fit || trainer.isSanityChecking { drawn.lastLine = drawn.stageStart }
    }

    /// Whether it is time to show something again.
    private func isDue(_ now: Double) -> Bool {
        console.isTerminal ? now - drawn.last >= 0.1 : now - drawn.lastLine >= Self.secondsBetweenLines
    }

    private func show(_ line: String, at now: Double) {
        if console.isTerminal { return draw(line, at: now) }
        console.write(line + "\n")
        drawn.lastLine = now
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
        let now = clock()
        guard isDue(now) else { return }
        let total = trainer.evaluationBatchCount
        let name =
            trainer.isSanityChecking
            ? "Sanity check" : trainer.stage == .test ? "Test" : trainer.stage == .predict ? "Predict" : "Validation"
        let elapsed = max(now - drawn.stageStart, 1e-9)
        let rate = Double(index + 1) / elapsed
        let tail = String(
            format: " %d/%d [%@ < %@, %.1f it/s]", index + 1, total, ProgressBar.time(elapsed),
            ProgressBar.time(Double(total - index - 1) / rate), rate)
        let room = max(10, min(30, console.width - name.count - tail.count - 4))
        show("\(name) " + ProgressBar.bar(Double(index + 1) / Double(max(total, 1)), width: room) + tail, at: now)
    }

    private func draw(_ line: String, at now: Double) {
        let room = max(0, console.width - 1)
        let clipped = String(line.prefix(room))
        // Of a wider line that was drawn before, what the terminal has room for now is drawn over.
        let rest = min(drawn.width, room) - clipped.count
        console.write("\r" + clipped + String(repeating: " ", count: max(0, rest)))
        drawn.width = clipped.count
        drawn.last = now
    }

    /// Writes a line that stays; on a terminal that has no room for it, several.
    private func finish(_ line: String) {
        erase()
        console.write((console.isTerminal ? ProgressBar.folded(line, width: console.width) : line) + "\n")
        drawn.lastLine = clock()
    }

    private func erase() {
        let width = min(drawn.width, max(0, console.width - 1))
        if width > 0 { console.write("\r" + String(repeating: " ", count: width) + "\r") }
        drawn.width = 0
        drawn.last = -1
    }

    /// The line's words in lines of at most `width` columns.
    static func folded(_ line: String, width: Int) -> String {
        guard line.count > width, width > 0 else { return line }
        var lines: [Substring] = []
        var rest = line[...]
        while rest.count > width {
            let start = rest.prefix(width + 1)
            let end = start.lastIndex(of: " ").flatMap { $0 > rest.startIndex ? $0 : nil }
            let cut = end ?? rest.index(rest.startIndex, offsetBy: width)
            lines.append(rest[..<cut])
            rest = rest[cut...]
            if end != nil { rest.removeFirst() }
        }
        return (lines + [rest]).joined(separator: "\n")
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
