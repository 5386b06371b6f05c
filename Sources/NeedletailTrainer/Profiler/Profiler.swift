// Where the time of a run goes.
import Foundation
import NeedletailData
package import NeedletailFiles
import NeedletailNN
import NeedletailOptim
import NeedletailTensor

/// Measures a fit and prints where its time went: `Trainer(maxEpochs: 1) { $0.profiler = Profiler(.simple) }`.
///
/// The simple profile has a row for each part of a step (waiting for data, forward, backward, update, …) and one for each
/// kind of operation with its rates; the advanced one has a row for each operation of each layer and its shapes. A trace
/// is a JSON file that chrome://tracing and Perfetto show, with every part, layer and operation of the first steps.
///
/// | column | meaning |
/// |---|---|
/// | Calls, Mean, Total | how often, for how long on average, and in all |
/// | Share | of the time between the fit's begin and end |
/// | GFLOP/s | 2·m·n·k for a matrix product, else one for each element |
/// | GB/s | bytes of all tensors that are read and written, each once |
///
/// Times include the Swift code around a kernel. Bits do not change; a step takes some microseconds longer.
public final class Profiler: OutputWriter {
    /// How much is told apart.
    public enum Detail: String, Sendable, CaseIterable {
        /// Parts of a step, and kinds of operations.
        case simple
        /// Also each operation by layer and shapes.
        case advanced
    }

    /// How much is told apart.
    public let detail: Detail
    /// Where the trace goes; nil for none.
    public let tracePath: String?
    let console: Console
    /// The first and the last callback: what lies between them is other callbacks' and the module's time.
    let first = ProfilerMarks(isFirst: true), last = ProfilerMarks(isFirst: false)
    private let clock: () -> Double
    private(set) var actions = ProfileTable(), operations = ProfileTable()
    private(set) var trace: ChromeTrace?
    private var start = 0.0, end = 0.0, mark = 0.0
    private var current = ""
    private var isRunning = false
    private var observer: ProfilingObserver?

    /// A profiler that prints its tables on `console` when fit ends; `trace` is the path of a trace to write.
    public convenience init(_ detail: Detail = .simple, trace: String? = nil, console: Console = .standardOutput) {
        self.init(detail, trace: trace, console: console, clock: monotonicSeconds)
    }

    /// A profiler with a clock of one's own, in seconds.
    package init(_ detail: Detail, trace: String?, console: Console, clock: @escaping () -> Double) {
        self.detail = detail
        tracePath = trace
        self.console = console
        self.clock = clock
        (first.profiler, last.profiler) = (self, self)
    }

    package var outputs: [OutputFile] { tracePath.map { [OutputFile($0, .page)] } ?? [] }

    /// The tables.
    public var text: String {
        let total = (isRunning ? clock() : end) - start
        var text =
            "Profile of \(ProfileTable.time(total)) of training\n" + actions.text(total: total, names: ["Action"])
        if !operations.isEmpty {
            let names = detail == .simple ? ["Operation"] : ["Layer", "Operation", "Shapes"]
            text += operations.text(total: total, names: names)
        }
        return text
    }

    /// Seconds by part of a step.
    package var actionSeconds: [String: Double] {
        Dictionary(uniqueKeysWithValues: actions.names.map { ($0[0], actions.seconds($0)) })
    }

    /// Floating-point operations of those operations whose row has a name that is chosen.
    package func operations(where isChosen: (String) -> Bool) -> Double {
        operations.names.filter { $0.contains(where: isChosen) }.reduce(0) { $0 + operations.operations($1) }
    }

    // MARK: What the marks call

    /// Forgets what was measured in an earlier fit.
    func reset() {
        (actions, operations) = (ProfileTable(), ProfileTable())
        (trace, observer) = (nil, nil)
        (start, end, mark) = (0, 0, 0)
        (current, isRunning) = ("", false)
    }

    func begin(_ module: Module) throws {
        trace = tracePath == nil ? nil : ChromeTrace()
        if let tracePath { try trace?.write(to: tracePath) }  // that of an earlier run goes
        observer = ProfilingObserver(module, self)
        start = clock()
        (mark, current, isRunning) = (start, "setup", true)
    }

    /// Ends the part that runs, and begins another one.
    func enter(_ action: String) {
        guard isRunning else { return }
        let now = clock()
        actions.add([current], seconds: now - mark)
        trace?.add(current, "action", from: mark - start, seconds: now - mark)
        (current, mark) = (action, now)
        observer?.mark = now
    }

    /// What one update reads and writes beside the time that it takes.
    func count(_ cost: OperationCost, of action: String) { actions.count(cost, of: [action]) }

    func observe(_ trainer: Trainer, _ isOn: Bool) {
        guard let observer, isRunning else { return }
        trainer.graphObservers.remove(observer)
        guard isOn else { return }
        trainer.graphObservers.add(observer)
        observer.beginBatch()
    }

    func finish() throws {
        guard isRunning else { return }
        enter("")
        end = mark
        isRunning = false
        observer = nil
        console.write(text)
        if let tracePath { try trace?.write(to: tracePath) }
    }

    // MARK: What the observer calls

    /// An operation that has taken the time since the observer's mark; the mark moves on.
    func add(_ layer: String, _ operation: String, _ shapes: String, _ cost: OperationCost, since mark: Double)
        -> Double
    {
        let now = clock()
        if current == ProfilerMarks.callbacks { return now }  // what they compute is no part of the step
        operations.add(detail == .simple ? [operation] : [layer, operation, shapes], seconds: now - mark, cost)
        trace?.add(
            operation, "operation", from: mark - start, seconds: now - mark,
            arguments: [("layer", .string(layer)), ("shapes", .string(shapes))])
        return now
    }

    func addLayer(_ name: String, from begin: Double) {
        trace?.add(name, "layer", from: begin - start, seconds: clock() - begin)
    }

    var now: Double { clock() }
    var isAdvanced: Bool { detail == .advanced || trace != nil }
}

/// The hooks at which one part of a step ends and another one begins.
final class ProfilerMarks: Callback {
    weak var profiler: Profiler?
    private let isFirst: Bool
    private var updateCost: OperationCost?

    init(isFirst: Bool) { self.isFirst = isFirst }

    override var runsLast: Bool { !isFirst }

    /// The time of callbacks and of the module's hook begins with the first callback, the trainer's own with the last one.
    private func mark(_ action: String) { profiler?.enter(isFirst ? Self.callbacks : action) }

    static let callbacks = "callbacks, loggers and hooks"

    override func reset() {
        updateCost = nil
        if isFirst { profiler?.reset() }
    }

    override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        if isFirst { try profiler?.begin(module) } else { mark("setup") }
        let bytes = WeightsSummary(of: module, optimizers: trainer.step?.slots.map(\.optimizer) ?? []).bytes
        var cost = OperationCost()
        cost.bytes = Double(bytes.gradient + 2 * bytes.stored + 2 * bytes.state + bytes.shadow)
        updateCost = isFirst ? nil : cost
    }
    override func onSanityCheckEnd(_ trainer: Trainer, _ module: TrainingModule) { mark("setup") }
    override func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) { mark("setup") }
    override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) { mark("waiting for data") }
    override func onTrainBatchStart(
        _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
    ) {
        mark("forward")
        if !isFirst { profiler?.observe(trainer, true) }
    }
    override func onBeforeZeroGrad(_ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer) {
        mark("forget gradients")
    }
    override func onBeforeBackward(_ trainer: Trainer, _ module: TrainingModule, _ loss: Tensor) { mark("backward") }
    override func onAfterBackward(_ trainer: Trainer, _ module: TrainingModule) { mark("finite check") }
    override func onBeforeOptimizerStep(
        _ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer, _ gradients: UnscaledGradients
    ) {
        mark("update")
        if let updateCost { profiler?.count(updateCost, of: "update") }
    }
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) {
        if isFirst { profiler?.observe(trainer, false) }
        mark("waiting for data")
    }
    override func onValidationStart(_ trainer: Trainer, _ module: TrainingModule) {
        mark(trainer.isSanityChecking ? "sanity check" : "validation")
    }
    override func onValidationEnd(_ trainer: Trainer, _ module: TrainingModule) {
        mark(trainer.isSanityChecking ? "setup" : "waiting for data")
    }
    override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) { mark("waiting for data") }
    override func onTrainEnd(_ trainer: Trainer, _ module: TrainingModule) { mark("end") }
    override func onFitEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        if isFirst { mark("") } else { try profiler?.finish() }
    }
    override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) {
        profiler?.observe(trainer, false)
        if !isFirst { try? profiler?.finish() }
    }
}
