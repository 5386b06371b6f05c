// Values on the command line, and how they are read.
public import ArgumentParser
import Foundation
public import Needletail

extension OptimizerChoice: ExpressibleByArgument {}

extension PrecisionChoice: ExpressibleByArgument {
    /// One of the modes' names, their aliases, or `auto`.
    public init?(argument: String) { try? self.init(parsing: argument) }

    /// What help and errors list.
    public static var allValueStrings: [String] { allowedNames }
}

extension GradientClipping: ExpressibleByArgument {
    /// `NUMBER` clips by norm, `value:NUMBER` by value.
    public init?(argument: String) {
        let prefix = "value:"
        let isByValue = argument.hasPrefix(prefix)
        guard let limit = Double(isByValue ? String(argument.dropFirst(prefix.count)) : argument), limit > 0 else {
            return nil
        }
        self = isByValue ? .value(limit) : .norm(limit)
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
    @Option(name: .customLong("threads"), help: "Threads (default: one a CPU). Results do not depend on it.")
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
