// Values on the command line, and how they are read.
public import ArgumentParser
import Foundation
public import Needletail

extension PrecisionChoice: ExpressibleByArgument {
    /// One of the modes' names, their aliases, or `auto`.
    public init?(argument: String) { try? self.init(parsing: argument) }

    /// What help and errors list.
    public static var allValueStrings: [String] { allowedNames }
}

extension MatMulAccumulation: ExpressibleByArgument {
    /// `float32` or `chunked:32`.
    public init?(argument: String) { try? self.init(parsing: argument) }
}

extension GradientClipping: ExpressibleByArgument {
    /// `NUMBER` clips by the 2-norm, `norm1:NUMBER`, `norm2:`, `norm3:` and `norm-inf:` by that norm, `value:NUMBER` by value.
    public init?(argument: String) {
        let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let limit = Double(parts[parts.count - 1]), limit > 0 else { return nil }
        switch parts.count == 1 ? "norm2" : parts[0] {
        case "norm1": self = .norm(limit, order: .one)
        case "norm2": self = .norm(limit)
        case "norm3": self = .norm(limit, order: .three)
        case "norm-inf": self = .norm(limit, order: .infinity)
        case "value": self = .value(limit)
        default: return nil
        }
    }

    /// What reads back as this value.
    public var defaultValueDescription: String {
        switch self {
        case .norm(let limit, .two): "\(limit)"
        case .norm(let limit, .one): "norm1:\(limit)"
        case .norm(let limit, .three): "norm3:\(limit)"
        case .norm(let limit, .infinity): "norm-inf:\(limit)"
        case .value(let limit): "value:\(limit)"
        }
    }
}

/// How updates are rounded to parameters that are stored in 16 bits.
enum UpdateRoundingChoice: String, CaseIterable, ExpressibleByArgument {
    case nearest, stochastic, kahan

    /// The rounding, stochastic with the run's seed.
    func rounding(seed: UInt64) -> UpdateRounding {
        switch self {
        case .nearest: .nearest
        case .stochastic: .stochastic(seed: seed)
        case .kahan: .kahan
        }
    }
}

/// How pixels enter the model.
enum Scaling: String, CaseIterable, ExpressibleByArgument {
    /// Mean 0 and deviation 1 over the training images.
    case standard
    /// 0 for the smallest value, 1 for the largest that the data can have.
    case unit
}

/// Widths of layers, separated by commas.
struct LayerWidths: ExpressibleByArgument, CustomStringConvertible {
    let values: [Int]

    init(values: [Int]) { self.values = values }

    init?(argument: String) {
        let widths = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
        guard widths.allSatisfy({ $0 > 0 }) else { return nil }
        values = widths
    }

    var description: String { values.map(String.init).joined(separator: ",") }
}

/// The option that the commands that compute share.
struct ThreadOptions: ParsableArguments {
    @Option(
        name: .customLong("threads"),
        help: "Threads (default: OMP_NUM_THREADS, else one a CPU within the CPU quota). Results do not depend on it.")
    var count: Int?

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--threads is \(count), expected at least 1") }
    }

    func apply() { setThreadCount(count ?? 0) }
}

extension Double {
    /// The number with a fixed count of decimals.
    func formatted(decimals: Int) -> String { String(format: "%.\(decimals)f", self) }
}
