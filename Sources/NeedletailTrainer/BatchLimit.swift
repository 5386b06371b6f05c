// How many batches: a number of them, or a share of those that there are.

/// A number of batches (`20`) or a share of all of them (`0.25`): `1` is one batch, `1.0` is all.
public enum BatchLimit: Sendable, Equatable, CustomStringConvertible {
    /// So many batches.
    case count(Int)
    /// This share of the batches, from 0 to 1, rounded down.
    case fraction(Double)

    /// All batches.
    public static let all = BatchLimit.fraction(1)

    /// `20` or `0.25`.
    public var description: String {
        switch self {
        case .count(let count): "\(count)"
        case .fraction(let fraction): "\(fraction)"
        }
    }

    /// Whether it stands for a number of batches.
    var isValid: Bool {
        switch self {
        case .count(let count): count >= 0
        case .fraction(let fraction): (0...1).contains(fraction)
        }
    }

    /// Whether it allows no batch at all.
    var isNone: Bool { self == .count(0) || self == .fraction(0) }

    /// The batches of `total` that it allows.
    func batches(of total: Int) -> Int {
        switch self {
        case .count(let count): min(count, total)
        case .fraction(let fraction): Int(Double(total) * fraction)
        }
    }

    /// The batches of a loader ("validation 'noisy'") with `total` of them that the option `name` allows.
    ///
    /// Throws: ``TrainerError/badOption(name:found:expected:)`` for a share that is not zero and gives no batch.
    func batches(of total: Int, option name: String, loader: String) throws -> Int {
        let count = batches(of: total)
        if case .fraction(let fraction) = self, fraction > 0, count == 0, total > 0 {
            let batches = total == 1 ? "the one batch" : "the \(total) batches"
            throw TrainerError.badOption(
                name: name, found: "\(fraction), which gives none of \(batches) of the \(loader) loader",
                expected: "at least \(Self.leastShare(of: total)), or a count")
        }
        return count
    }

    /// A share of `total` batches that gives one, the least of those with as few digits as that takes.
    static func leastShare(of total: Int) -> Double {
        var unit = 10.0
        for _ in 0..<16 {
            let share = min(1, (unit / Double(total)).rounded(.up) / unit)
            let batches = share * Double(total)
            if batches >= 1, batches < 1.1 { return share }
            unit *= 10
        }
        return (1 / Double(total)).nextUp
    }
}

extension BatchLimit: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral {
    /// A number of batches.
    public init(integerLiteral value: Int) { self = .count(value) }
    /// A share of the batches.
    public init(floatLiteral value: Double) { self = .fraction(value) }
}
