// Optimizer options as plain values, for checkpoints and logs.
import Foundation

/// One option of an optimizer, such as a learning rate or whether to use Nesterov momentum.
public enum HyperParameter: Codable, Sendable, Equatable {
    /// A switch.
    case flag(Bool)
    /// A number.
    case number(Double)

    /// Reads `true`, `false` or a number.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else {
            self = .number(try container.decode(Double.self))
        }
    }

    /// Writes `true`, `false` or a number.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .flag(let flag): try container.encode(flag)
        case .number(let number): try container.encode(number)
        }
    }
}

extension OptimizerOptions {
    /// The options by name.
    public func hyperParameters() throws -> [String: HyperParameter] {
        try JSONDecoder().decode([String: HyperParameter].self, from: JSONEncoder().encode(self))
    }

    /// Options with the given values; throws where one is missing, of another kind or outside its range.
    public init(hyperParameters: [String: HyperParameter]) throws {
        self = try JSONDecoder().decode(Self.self, from: JSONEncoder().encode(hyperParameters))
        try validate()
    }

    /// Options of this type with the given values.
    fileprivate func replaced(by hyperParameters: [String: HyperParameter]) throws -> any OptimizerOptions {
        try Self(hyperParameters: hyperParameters)
    }
}

extension Optimizer {
    /// All options of all groups, as schedules have left them.
    public func hyperParameters() throws -> [[String: HyperParameter]] {
        try groups.map { try $0.options.hyperParameters() }
    }

    /// Puts back what `hyperParameters()` gave; throws, having changed nothing, where groups or options differ.
    public func setHyperParameters(_ values: [[String: HyperParameter]]) throws {
        guard values.count == groups.count else {
            throw OptimizerStateError(
                optimizer: "\(type(of: self))",
                problems: ["found the options of \(values.count) parameter groups, expected \(groups.count)"])
        }
        let options = try zip(groups, values).map { try $0.options.replaced(by: $1) }
        for (group, options) in zip(groups, options) { group.options = options }
    }
}
