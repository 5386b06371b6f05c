// A page for a browser that shows how a run went.
import Foundation
public import NeedletailData
package import NeedletailFiles
import NeedletailNN
public import NeedletailTensor

/// Writes one page about a run: curves of every metric, the learning rate and the loss scale with skipped steps marked,
/// final values, the weights summary, options, environment, and each layer's range where a ``NumericsReport`` runs too.
///
///     Trainer(maxEpochs: 3) { $0.callbacks = [RunReport(to: "report.html")] }
///
/// The page needs neither network nor script. It is replaced at the end of each epoch and of each run (fit, test, …), also
/// where an error ended it, so it can be looked at while training goes on. Every step is in its curves: where there are
/// more than a thousand, neighbours are drawn as their mean within the band of their smallest and largest value.
///
/// Checkpoints keep the curves, so the page of a run that goes on has those of its beginning. Where a checkpoint has none
/// (nobody reported then), a page that stands at the path gets another name and stays.
public final class RunReport: Callback, Logger, OutputWriter {
    /// Where the page goes.
    public let path: String
    private let clock: () -> Double
    private(set) var content = RunReportContent()
    private var progress = Progress()

    /// What belongs to one fit beside the content.
    private struct Progress {
        /// The places of the curves among the content's metrics, by name.
        var curves: [String: Int] = [:]
        /// Whether the curves began in a checkpoint.
        var isContinued = false
        /// Whether the page of an earlier run stands at the path, which this one has not replaced yet.
        var isPathTaken = false
        var fitStart = 0.0, trainingSeconds = 0.0, lastBatchEnd = 0.0
        var isFitting = false
        /// The metrics that depend on the clock.
        var clockMetrics: Set<String> = []
    }

    /// A report at `path`; a page that stands there is replaced when fit begins.
    public convenience init(to path: String) { self.init(to: path) { Date().timeIntervalSince1970 } }

    /// A report with a clock of one's own, in seconds since 1970.
    package init(to path: String, clock: @escaping () -> Double) {
        self.path = path
        self.clock = clock
    }

    /// The page so far.
    public var page: String { RunReportPage(content).text }

    package override var isLeftOutOfBarebones: Bool { true }

    /// After the module, so that its values are shown.
    public override var runsLast: Bool { true }

    public override func reset() {
        content = RunReportContent()
        progress = Progress()
    }

    // MARK: Logger

    /// Keeps the hyper-parameters.
    public func logHyperparameters(_ hyperparameters: [String: JSONValue]) throws {
        content.hyperparameters = JSONValue.flattened(hyperparameters).map { name, value in
            if case .string(let text) = value { return (name, text) }
            return (name, value.text)
        }
    }

    /// Adds the values to their curves.
    public func log(_ record: MetricsRecord) throws {
        for (name, value) in record.values {
            content.final[name] = value
            // The step's loss, rate and scale are known for every step, not only for those that are logged.
            if record.event == .step, name == "lr" || name.hasPrefix("lr-") || name.hasPrefix("amp/") { continue }
            append(name, Double(record.step), value, isMarked: record.event == .epoch)
        }
    }

    private func append(_ name: String, _ x: Double, _ y: Double, isMarked: Bool) {
        let index =
            progress.curves[name]
            ?? {
                content.metrics.append(.init(name: name, isMarked: isMarked))
                return content.metrics.count - 1
            }()
        progress.curves[name] = index
        content.metrics[index].series.append(x, y)
    }

    // MARK: Checkpoints

    public override func saveState() throws -> JSONValue? { try content.saved(without: progress.clockMetrics) }

    public override func loadState(_ state: JSONValue) throws {
        try content.load(state)
        progress.curves = Dictionary(
            content.metrics.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        progress.isContinued = true
    }

    public override func stateTensors() throws -> [(name: String, tensor: Tensor)] {
        content.points(without: progress.clockMetrics).map { [("points", $0)] } ?? []
    }

    public override func load(stateTensors: [String: Tensor], _ module: TrainingModule) throws {
        if progress.isContinued { try content.fill(stateTensors["points"]) }
    }

    // MARK: Callback

    package var outputs: [OutputFile] { [OutputFile(path, .page)] }

    /// A page that is there stays until this run has begun: it may be that of its earlier part.
    public override func setup(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) throws {
        progress.isFitting = stage == .fit
        guard progress.isFitting else { return }
        progress.fitStart = clock()
        progress.clockMetrics = trainer.callbacks.reduce(into: []) { $0.formUnion($1.clockMetrics) }
        content.started = progress.fitStart
        content.state = "running"
        progress.isPathTaken = FileSystem.exists(FilePath(path))
        if !progress.isPathTaken { try write(trainer) }
    }

    public override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        content.model = String(describing: type(of: module))
        content.summary = try ModelSummary.summary(trainer, module)
        content.optimizers =
            trainer.step?.slots.map { slot in
                let rates = slot.optimizer.groups.map { String(format: "%.4g", $0.learningRate) }.joined(
                    separator: ", ")
                let schedule = slot.scheduler.map { ", " + String(describing: type(of: $0.schedule)) } ?? ""
                return "\(type(of: slot.optimizer)), learning rate \(rates)\(schedule)"
            } ?? []
        if trainer.state.epoch > 0 || trainer.state.batchInEpoch > 0 {
            content.continuedFrom = trainer.state.globalStep
            if !progress.isContinued { try setAside(trainer) }
        }
        progress.isPathTaken = false
        try write(trainer)
    }

    /// Gives the page at the path, which may be of this run's earlier part, a name that nothing has.
    private func setAside(_ trainer: Trainer) throws {
        guard progress.isPathTaken else { return }
        let (stem, ending) = FilePath(path).splitAtExtension
        let kept = (1...).lazy.map { "\(stem.text)-\($0)\(ending.text)" }.first { !FileSystem.exists(FilePath($0)) }
        guard let kept else { return }
        do { try FileSystem.rename(FilePath(path), to: FilePath(kept)) } catch let error as FileError {
            throw LogFileError(path: kept, why: error.reason)
        }
        trainer.notice("the checkpoint has no curves of a report: the page at \(path) is now \(kept)")
    }

    public override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        progress.lastBatchEnd = clock()
    }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        let now = clock()
        if progress.lastBatchEnd > 0 { progress.trainingSeconds += now - progress.lastBatchEnd }
        progress.lastBatchEnd = now
        content.samples += batch.count
        guard result.closesWindow else { return }
        let step = Double(trainer.state.globalStep)
        content.loss.append(step, result.loss)
        content.gradientNorm.append(step, result.gradientNorm)
        for (rate, value) in result.learningRates.enumerated() {
            if rate == content.rates.count { content.rates.append(DecimatedSeries()) }
            content.rates[rate].append(step, value)
        }
        if trainer.lossScale != nil { content.scale.append(step, result.scale) }
        if let reason = result.skipReason, reason != .noWeight {
            content.skippedSteps += 1
            if content.skipped.count < 500 { content.skipped.append(step) }
        }
    }

    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        content.state = "running, epoch \(trainer.state.epoch + 1) done"
        try write(trainer)
    }

    public override func onFitEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        content.state = "finished"
        try write(trainer)
        progress.isFitting = false
    }

    public override func onTestEnd(_ trainer: Trainer, _ module: TrainingModule) throws { try write(trainer) }

    public override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) {
        guard progress.isFitting else { return }
        progress.isFitting = false
        content.state = "ended by an error"
        content.error = "\(error)"
        guard !progress.isPathTaken else { return }  // this run has not begun
        try? write(trainer)  // what ended training is the error to report
    }

    private func write(_ trainer: Trainer) throws {
        content.precision = trainer.precision?.rawValue ?? "auto"
        if progress.isFitting { content.seconds = clock() - progress.fitStart }
        let seconds = progress.trainingSeconds
        content.samplesPerSecond = seconds > 0 ? Double(content.samples) / seconds : 0
        content.trainerState = trainer.state
        content.options = RunReportContent.options(of: trainer)
        content.numerics =
            trainer.callbacks.lazy.compactMap { $0 as? NumericsReport }.first { !$0.layers.isEmpty }
            .map { NumericsPage.sections(of: $0.layers, heading: $0.heading(trainer)) }
        content.notices = trainer.notices
        try PageFile.write(page, to: path)
    }
}
