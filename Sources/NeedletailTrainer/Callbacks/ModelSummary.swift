// Prints the weights summary.
import NeedletailData
public import NeedletailNN
public import NeedletailOptim
import NeedletailTensor

/// Prints the weights summary when fit begins.
///
/// Where the module has ``TrainingModule/exampleInputs``, it is run on them once (`predictStep`, in evaluation mode, without
/// gradients), and the summary shows each layer's sizes and floating-point operations too.
public final class ModelSummary: Callback {
    private let console: Console

    package override var isLeftOutOfBarebones: Bool { true }

    /// A summary on `console`.
    public init(console: Console = .standardOutput) { self.console = console }

    public override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        let summary = try Self.summary(trainer, module)
        console.write(Self.text(of: summary, width: console.isTerminal ? console.width : nil))
    }

    /// The summary of what `trainer` trains, with sizes where there are example inputs.
    static func summary(_ trainer: Trainer, _ module: TrainingModule) throws -> WeightsSummary {
        var calls: LayerCalls?
        if let inputs = module.exampleInputs {
            let compute = try trainer.chosenPolicy().compute
            let examples = inputs.dtype.isFloatingPoint ? inputs.cast(to: compute) : inputs
            let outcome = try module.measured { _ in
                module.evaluate()
                return try withoutGradients {
                    try operationOutcome { try LayerCalls { _ = try module.predictStep(Batch(examples: examples), 0) } }
                }
            }
            do { calls = try outcome.get() } catch {
                throw TrainerError.badExampleInputs(shape: inputs.shape, why: error.message)
            }
        }
        return WeightsSummary(of: module, optimizers: trainer.step?.slots.map(\.optimizer) ?? [], calls: calls)
    }

    /// The summary of a module as text; see ``WeightsSummary``.
    public static func text(of module: Module, optimizers: [Optimizer] = []) -> String {
        text(of: WeightsSummary(of: module, optimizers: optimizers))
    }

    /// A summary as text: a table, then totals.
    public static func text(of summary: WeightsSummary) -> String { text(of: summary, width: nil) }

    private static func text(of summary: WeightsSummary, width: Int?) -> String {
        let (titles, rows, isNumber) = summary.cells()
        return TextTable(titles: titles, rows: rows, isNumber: isNumber).text(width: width)
            + summary.totals.map { $0 + "\n" }.joined()
    }

    /// The number with commas between its thousands.
    package static func grouped(_ number: Int) -> String {
        var digits = String(number.magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (number < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }
}
