// What a model consists of, layer by layer, and how many bytes its training takes.
public import NeedletailNN
public import NeedletailOptim
import NeedletailTensor

/// The rows and totals that ``ModelSummary`` prints.
///
/// A row for each module that holds parameters or has no sub-modules. Parameters are counted as elements, a shared one
/// where it comes first. Bytes are exact: shadows are the rounded copies that layers compute with; gradients and optimizer
/// state exist for trainable parameters only.
public struct WeightsSummary {
    /// Bytes that training keeps for parameters.
    public struct Bytes: Sendable, Equatable {
        /// What is stored, the rounded copies, float32 gradients (float64 in 64-true), and the optimizers' state.
        public fileprivate(set) var stored = 0, shadow = 0, gradient = 0, state = 0
    }

    /// One module.
    public struct Row: Sendable {
        /// The module's dotted name; "(own)" for the model's own parameters.
        public let name: String
        /// Its class.
        public let type: String
        /// How many elements its own parameters have.
        public let parameters: Int
        /// "train" or "eval", and whether its parameters are frozen.
        public let mode: String
        /// Storage and compute types of its parameters, such as `float32 / bfloat16`.
        public let types: String
        /// The bytes of its own parameters; nil where it has none.
        public let bytes: Bytes?
        /// What it was called with and what it returned; nil where that is not known.
        public fileprivate(set) var call: LayerCall?
    }

    /// The modules in their order.
    public private(set) var rows: [Row] = []
    /// Elements of all parameters, and of those that are trained.
    public let total: Int, trainable: Int
    /// The bytes of all parameters.
    public let bytes: Bytes
    /// Floating-point operations of one forward pass over the example; nil where there is no example.
    public private(set) var operations: Double?

    /// The summary of `module` with the state of `optimizers`.
    public init(of module: Module, optimizers: [Optimizer] = []) {
        self.init(of: module, optimizers: optimizers, calls: nil)
    }

    /// With the calls of a forward pass where they were observed.
    package init(of module: Module, optimizers: [Optimizer], calls: LayerCalls?) {
        let moments = Self.momentCounts(optimizers)
        var seen: Set<ObjectIdentifier> = []
        for (name, part) in module.namedModules() {
            var own: [Parameter] = []
            var hasModules = false
            for member in part.members() {
                switch member {
                case .parameter(_, let parameter):
                    if seen.insert(ObjectIdentifier(parameter)).inserted { own.append(parameter) }
                case .module: hasModules = true
                case .buffer: break
                }
            }
            guard !own.isEmpty || (!hasModules && !name.isEmpty) else { continue }
            var types: [String] = []
            for parameter in own {
                let text = "\(parameter.storageType) / \(parameter.computeType)"
                if !types.contains(text) { types.append(text) }
            }
            let isFrozen = !own.isEmpty && !own.contains(where: \.requiresGradient)
            rows.append(
                Row(
                    name: name.isEmpty ? "(own)" : name, type: String(describing: type(of: part)),
                    parameters: own.reduce(0) { $0 + Self.elements(of: $1) },
                    mode: (part.isTraining ? "train" : "eval") + (isFrozen ? ", frozen" : ""),
                    types: types.joined(separator: ", "), bytes: own.isEmpty ? nil : Self.bytes(of: own, moments),
                    call: calls?[part]))
        }
        let parameters = module.parameters()
        total = parameters.reduce(0) { $0 + Self.elements(of: $1) }
        trainable = parameters.filter(\.requiresGradient).reduce(0) { $0 + Self.elements(of: $1) }
        bytes = Self.bytes(of: parameters, moments)
        operations = calls?.operations
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

    private static func bytes(of parameters: [Parameter], _ moments: [ObjectIdentifier: Int]) -> Bytes {
        var bytes = Bytes()
        for parameter in parameters {
            let count = elements(of: parameter)
            bytes.stored += count * parameter.storageType.byteCount
            if parameter.computeType != parameter.storageType {
                bytes.shadow += count * parameter.computeType.byteCount
            }
            guard parameter.requiresGradient else { continue }
            let accumulated = count * parameter.storageType.accumulationType.byteCount
            bytes.gradient += accumulated
            bytes.state += accumulated * moments[ObjectIdentifier(parameter), default: 0]
        }
        return bytes
    }

    private static func elements(of parameter: Parameter) -> Int { parameter.shape.reduce(1, *) }
}

extension WeightsSummary {
    /// The columns' titles and the rows' cells; sizes and operations only where a call was observed.
    func cells() -> (titles: [String], rows: [[String]], isNumber: [Bool]) {
        let hasCalls = rows.contains { $0.call != nil }
        let middle = hasCalls ? ["In", "Out", "FLOPs"] : []
        let titles =
            ["Name", "Type", "Params", "Mode"] + middle
            + ["Stored / computed", "Stored bytes", "Shadow", "Gradient", "State"]
        let cells = rows.map { row in
            let bytes = row.bytes.map { [$0.stored, $0.shadow, $0.gradient, $0.state].map(ModelSummary.grouped) }
            let call = row.call.map {
                ["\($0.input)", "\($0.output)", ModelSummary.grouped(Int($0.operations))]
            }
            return [row.name, row.type, ModelSummary.grouped(row.parameters), row.mode]
                + (hasCalls ? call ?? ["", "", ""] : []) + [row.types] + (bytes ?? ["", "", "", ""])
        }
        let isNumber = titles.map { !["Name", "Type", "Mode", "In", "Out", "Stored / computed"].contains($0) }
        return (titles, cells, isNumber)
    }

    /// The totals, a line each.
    var totals: [String] {
        [
            "\(ModelSummary.grouped(trainable)) trainable parameters",
            "\(ModelSummary.grouped(total - trainable)) non-trainable parameters",
            "\(ModelSummary.grouped(total)) parameters in total",
        ] + (operations.map { ["\(ModelSummary.grouped(Int($0))) FLOPs of a forward pass over the example"] } ?? [])
            + [
                "\(ModelSummary.grouped(bytes.stored)) bytes master, \(ModelSummary.grouped(bytes.shadow)) shadow, "
                    + "\(ModelSummary.grouped(bytes.gradient)) gradient, "
                    + "\(ModelSummary.grouped(bytes.state)) optimizer state"
            ]
    }
}
