// The weights summary: what a model consists of and how many bytes its training takes.
public import NeedletailNN
public import NeedletailOptim
import NeedletailTensor

/// Prints the weights summary when fit begins.
public final class ModelSummary: Callback {
    private let console: Console

    /// A summary on `console`.
    public init(console: Console = .standardOutput) { self.console = console }

    public override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) {
        console.write(ModelSummary.text(of: module, optimizers: trainer.step?.slots.map(\.optimizer) ?? []))
    }

    /// The summary: a row for each module that holds parameters or has no sub-modules, then totals and exact bytes.
    ///
    /// Parameters are counted as elements. Gradients and optimizer state exist for trainable parameters only; the state is
    /// that of `optimizers`.
    public static func text(of module: Module, optimizers: [Optimizer] = []) -> String {
        let named = module.namedParameters()
        var rows = [["Name", "Type", "Params", "Stored / computed"]]
        for (name, part) in module.namedModules() where !name.isEmpty {
            var own: [Parameter] = []
            var hasModules = false
            for member in part.members() {
                switch member {
                case .parameter(_, let parameter): own.append(parameter)
                case .module: hasModules = true
                }
            }
            if !own.isEmpty || !hasModules { rows.append(row(name, part, own)) }
        }
        let roots = module.members().compactMap { if case .parameter(_, let parameter) = $0 { parameter } else { nil } }
        if !roots.isEmpty { rows.insert(row("(own)", module, roots), at: 1) }
        return table(rows) + totals(named.map(\.parameter), optimizers)
    }

    private static func row(_ name: String, _ module: Module, _ own: [Parameter]) -> [String] {
        var types: [String] = []
        for parameter in own {
            let text = "\(parameter.storageType) / \(parameter.computeType)"
            if !types.contains(text) { types.append(text) }
        }
        let count = own.reduce(0) { $0 + elements(of: $1) }
        return [
            name, String(describing: type(of: module)), own.isEmpty ? "0" : grouped(count),
            types.joined(separator: ", "),
        ]
    }

    private static func table(_ rows: [[String]]) -> String {
        let widths = (0..<4).map { column in rows.map { $0[column].count }.max() ?? 0 }
        let rule = String(repeating: "-", count: widths.reduce(0, +) + 9) + "\n"
        var text = rule
        for (index, row) in rows.enumerated() {
            let cells = row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 2 && index > 0 ? padding + cell : cell + padding
            }
            text += cells.joined(separator: " | ").trimmingTrailingSpaces + "\n" + (index == 0 ? rule : "")
        }
        return text + rule
    }

    private static func totals(_ parameters: [Parameter], _ optimizers: [Optimizer]) -> String {
        let trainable = parameters.filter(\.requiresGradient)
        let total = parameters.reduce(0) { $0 + elements(of: $1) }
        let learned = trainable.reduce(0) { $0 + elements(of: $1) }
        let master = parameters.reduce(0) { $0 + elements(of: $1) * $1.storageType.byteCount }
        let shadow = parameters.filter { $0.computeType != $0.storageType }
            .reduce(0) { $0 + elements(of: $1) * $1.computeType.byteCount }
        let gradient = trainable.reduce(0) { $0 + elements(of: $1) * $1.storageType.accumulationType.byteCount }
        var state = 0
        for group in optimizers.flatMap({ optimizer in optimizer.groups.map { (optimizer, $0) } }) {
            let moments = group.0.momentNames(in: group.1).count
            for parameter in group.1.parameters where parameter.requiresGradient {
                state += moments * elements(of: parameter) * parameter.storageType.accumulationType.byteCount
            }
        }
        return """
            \(grouped(learned)) trainable parameters
            \(grouped(total - learned)) non-trainable parameters
            \(grouped(total)) parameters in total
            \(grouped(master)) bytes master, \(grouped(shadow)) shadow, \(grouped(gradient)) gradient, \
            \(grouped(state)) optimizer state

            """
    }

    private static func elements(of parameter: Parameter) -> Int { parameter.shape.reduce(1, *) }

    /// Digits in groups of three: 136,074.
    static func grouped(_ number: Int) -> String {
        var digits = String(number.magnitude), groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (number < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }
}

extension String {
    fileprivate var trimmingTrailingSpaces: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
