// The weights summary: what a model consists of and how many bytes its training takes.
public import NeedletailNN
public import NeedletailOptim
import NeedletailTensor

/// Prints the weights summary when fit begins.
public final class ModelSummary: Callback {
    private let console: Console

    /// A summary on `console`.
    public init(console: Console = .standardOutput) { self.console = console }

    package override var isLeftOutOfBarebones: Bool { true }

    public override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) {
        console.write(ModelSummary.text(of: module, optimizers: trainer.step?.slots.map(\.optimizer) ?? []))
    }

    /// The summary: a row for each module that holds parameters or has no sub-modules, then totals; bytes are exact.
    ///
    /// Parameters are counted as elements, a shared one where it comes first. Shadows are the rounded copies that layers
    /// compute with; gradients and optimizer state exist for trainable parameters only; the state is that of `optimizers`.
    public static func text(of module: Module, optimizers: [Optimizer] = []) -> String {
        let moments = momentCounts(optimizers)
        var seen: Set<ObjectIdentifier> = []
        var rows = [["Name", "Type", "Params", "Stored / computed", "Stored bytes", "Shadow", "Gradient", "State"]]
        for (name, part) in module.namedModules() {
            var own: [Parameter] = []
            var hasModules = false
            for member in part.members() {
                switch member {
                case .parameter(_, let parameter):
                    if seen.insert(ObjectIdentifier(parameter)).inserted { own.append(parameter) }
                case .module: hasModules = true
                }
            }
            guard !own.isEmpty || (!hasModules && !name.isEmpty) else { continue }
            rows.append(row(name.isEmpty ? "(own)" : name, part, own, moments))
        }
        return table(rows) + totals(module.parameters(), moments)
    }

    /// How many state tensors each optimized parameter has.
    private static func momentCounts(_ optimizers: [Optimizer]) -> [ObjectIdentifier: Int] {
        var counts: [ObjectIdentifier: Int] = [:]
        for optimizer in optimizers {
            for group in optimizer.groups {
                for parameter in group.parameters {
                    counts[ObjectIdentifier(parameter)] = optimizer.stateNames(of: parameter, in: group).count
                }
            }
        }
        return counts
    }

    /// Bytes that training keeps for parameters.
    private struct Bytes {
        var stored = 0, shadow = 0, gradient = 0, state = 0

        init(_ parameters: [Parameter], _ moments: [ObjectIdentifier: Int]) {
            for parameter in parameters {
                let count = elements(of: parameter)
                stored += count * parameter.storageType.byteCount
                if parameter.computeType != parameter.storageType { shadow += count * parameter.computeType.byteCount }
                guard parameter.requiresGradient else { continue }
                let accumulated = count * parameter.storageType.accumulationType.byteCount
                gradient += accumulated
                state += accumulated * moments[ObjectIdentifier(parameter), default: 0]
            }
        }
    }

    private static func row(
        _ name: String, _ module: Module, _ own: [Parameter], _ moments: [ObjectIdentifier: Int]
    ) -> [String] {
        var types: [String] = []
        for parameter in own {
            let text = "\(parameter.storageType) / \(parameter.computeType)"
            if !types.contains(text) { types.append(text) }
        }
        let count = own.reduce(0) { $0 + elements(of: $1) }
        let bytes = Bytes(own, moments)
        return [
            name, String(describing: type(of: module)), own.isEmpty ? "0" : grouped(count),
            types.joined(separator: ", "),
        ] + (own.isEmpty ? [] : [bytes.stored, bytes.shadow, bytes.gradient, bytes.state]).map(grouped)
    }

    private static func table(_ rows: [[String]]) -> String {
        let columns = rows[0].count
        let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        let rule = String(repeating: "-", count: widths.reduce(0, +) + 3 * (columns - 1)) + "\n"
        var text = rule
        for (index, row) in rows.enumerated() {
            let cells = row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return (column == 2 || column > 3) && index > 0 ? padding + cell : cell + padding
            }
            text += cells.joined(separator: " | ").trimmingTrailingSpaces + "\n" + (index == 0 ? rule : "")
        }
        return text + rule
    }

    private static func totals(_ parameters: [Parameter], _ moments: [ObjectIdentifier: Int]) -> String {
        let total = parameters.reduce(0) { $0 + elements(of: $1) }
        let learned = parameters.filter(\.requiresGradient).reduce(0) { $0 + elements(of: $1) }
        let bytes = Bytes(parameters, moments)
        return """
            \(grouped(learned)) trainable parameters
            \(grouped(total - learned)) non-trainable parameters
            \(grouped(total)) parameters in total
            \(grouped(bytes.stored)) bytes master, \(grouped(bytes.shadow)) shadow, \(grouped(bytes.gradient)) gradient, \
            \(grouped(bytes.state)) optimizer state

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
