// Records which exponents a model's values have while it trains, and says which 16-bit types would hold them.
public import NeedletailData
package import NeedletailFiles
import NeedletailNN
public import NeedletailOptim
import NeedletailTensor

/// Looks at weights, activations and gradients of every layer in some of the steps, and reports their range.
///
/// The report is a table on the console when fit ends, by an error too, and a page for a browser, which needs neither
/// network nor script. It names each layer's smallest and largest magnitude, the shares of values that float16 and bfloat16
/// would turn into zero, a subnormal number or infinity, and a ``PrecisionRecommendation``. Training's bits stay the same.
///
///     Trainer(maxEpochs: 3) { $0.callbacks = [NumericsReport(every: 100, to: "numerics.html")] }
///
/// Record in `32-true` to learn what a 16-bit mode would do: in a 16-bit mode values are seen after they were rounded.
/// Activations are results of `Layer`s that are called as `layer(x)`. A window of accumulated batches counts as one step;
/// gradients of a step that overflowed are left out.
public final class NumericsReport: Callback, OutputWriter {
    /// One of so many steps is recorded, beginning with the first; skipped steps count.
    public let every: Int
    /// Where the page goes; nil for none.
    public let path: String?
    /// What was counted, in the order of the model's layers.
    public var layers: [LayerNumerics] { record.rows.filter { !$0.seen.isEmpty } }
    /// How many steps were recorded.
    public var recordedSteps: Int { record.recordedSteps }
    /// In how many of them an optimizer's gradients were not finite and were left out.
    public var overflowedSteps: Int { record.overflowedSteps }
    private let console: Console
    private var record = Record()
    private var isFitting = false, isRecording = false
    private var observed: [Module] = []
    private var owners: [ObjectIdentifier: Int] = [:]
    private var arrived: [(layer: Int, gradient: Tensor)] = []

    /// What was counted in one fit.
    private struct Record {
        var rows: [LayerNumerics] = []
        var steps = 0, recordedSteps = 0, overflowedSteps = 0
    }

    /// A report on every so many steps, as a page at `path`, which is replaced when fit begins, and as a table on `console`.
    public init(every: Int = 50, to path: String? = nil, console: Console = .standardOutput) {
        require(every >= 1, "NumericsReport: every is \(every), expected at least 1")
        self.every = every
        self.path = path
        self.console = console
    }

    /// The table that the console is given.
    public func text(_ trainer: Trainer) -> String { NumericsText.table(of: layers, heading: heading(trainer)) }

    /// The page.
    public func page(_ trainer: Trainer) -> String { NumericsPage.text(of: layers, heading: heading(trainer)) }

    func heading(_ trainer: Trainer) -> String {
        let overflowed = overflowedSteps == 0 ? "" : ", gradients of \(overflowedSteps) left out: not finite"
        let steps = recordedSteps == 1 ? "1 step" : "\(recordedSteps) steps"
        return "of \(steps) in \(trainer.precision?.rawValue ?? "auto")\(overflowed)"
    }

    package var outputs: [OutputFile] { path.map { [OutputFile($0, .page)] } ?? [] }

    public override func reset() {
        stopRecording()
        record = Record()
        isFitting = false
    }

    public override func setup(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) {
        isFitting = stage == .fit
    }

    /// Replaces the page of an earlier run.
    public override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) throws { try write(trainer) }

    public override func onTrainBatchStart(
        _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
    ) throws {
        guard !isRecording, record.steps % every == 0 else { return }
        isRecording = true
        startRecording(module)
    }

    public override func onBeforeOptimizerStep(
        _ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer, _ gradients: UnscaledGradients
    ) throws {
        guard isRecording else { return }
        defer { arrived = [] }
        guard gradients.check.isFinite else {
            record.overflowedSteps += 1
            return
        }
        let scale = gradients.check.gradientScale
        for (layer, gradient) in arrived {
            record.rows[layer][.activationGradients] += exponentHistogram(gradient, scale: scale)
        }
        for parameter in optimizer.parameters {
            guard let layer = owners[ObjectIdentifier(parameter)], let gradient = parameter.gradient else { continue }
            record.rows[layer][.weightGradients] += exponentHistogram(gradient, scale: scale)
        }
    }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        guard result.closesWindow else { return }
        record.steps += 1
        if isRecording { record.recordedSteps += 1 }
        stopRecording()
    }

    public override func onFitEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        try write(trainer)
        console.write(text(trainer))
        isFitting = false
    }

    public override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) {
        guard isFitting, recordedSteps > 0 else { return }
        isFitting = false
        try? write(trainer)  // what ended training is the error to report
        console.write(text(trainer))
    }

    public override func teardown(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) {
        stopRecording()
    }

    /// Counts the weights, and looks at the outputs of all layers that consist of no other ones until recording stops.
    private func startRecording(_ module: Module) {
        var row = 0
        owners = [:]
        for (name, part) in module.namedModules() {
            var own: [Parameter] = []
            var hasModules = false
            for member in part.members() {
                switch member {
                case .parameter(_, let parameter):
                    guard owners[ObjectIdentifier(parameter)] == nil else { continue }  // shared: its first layer's
                    owners[ObjectIdentifier(parameter)] = row
                    own.append(parameter)
                case .module: hasModules = true
                case .buffer: break
                }
            }
            let isLayer = part is any Layer && !hasModules
            guard isLayer || !own.isEmpty else { continue }
            if row == record.rows.count {
                let elements = own.reduce(0) { $0 + $1.shape.reduce(1, *) }
                record.rows.append(
                    LayerNumerics(name: name, type: String(describing: type(of: part)), parameterCount: elements))
            }
            for parameter in own { record.rows[row][.weights] += exponentHistogram(parameter.master) }
            if isLayer { observe(part, as: row) }
            row += 1
        }
    }

    private func observe(_ layer: Module, as row: Int) {
        observed.append(layer)
        layer.outputObserver = { [unowned self] y in
            guard y.dtype.isFloatingPoint else { return }
            record.rows[row][.activations] += exponentHistogram(y)
            y.observeGradient { [unowned self] in arrived.append((row, $0)) }
        }
    }

    private func stopRecording() {
        for layer in observed { layer.outputObserver = nil }
        observed = []
        owners = [:]
        arrived = []
        isRecording = false
    }

    private func write(_ trainer: Trainer) throws {
        guard let path else { return }
        try PageFile.write(page(trainer), to: path)
    }
}
