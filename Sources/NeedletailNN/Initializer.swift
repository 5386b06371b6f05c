// How parameters get their first values.
public import NeedletailTensor

/// A rule for the first values of a parameter; random ones come from a seeded generator that is passed in.
public enum Initializer: Sendable, Equatable {
    /// Every element is the given value.
    case constant(Double)
    /// U(-bound, bound).
    case uniform(bound: Double)
    /// N(0, deviation^2).
    case normal(deviation: Double)

    /// PyTorch's default for `Linear`, kaiming_uniform with a = sqrt(5): U(-1 / sqrt(n), 1 / sqrt(n)) for n inputs.
    ///
    /// gain = sqrt(2 / (1 + a^2)) = sqrt(1 / 3) and bound = gain sqrt(3 / n), so bound = 1 / sqrt(n), for the weight
    /// and, by a rule of its own, for the bias. Without inputs the bound is 0.
    public static func linearDefault(inputs: Int) -> Initializer {
        .uniform(bound: inputs > 0 ? 1 / Double(inputs).squareRoot() : 0)
    }

    /// A parameter with first values after this rule, float32, elements drawn in row-major order.
    public func parameter(_ shape: [Int], using generator: inout SeededGenerator) -> Parameter {
        switch self {
        case .constant(let value): Parameter(.full(shape, value, dtype: .float32))
        case .uniform(let bound) where bound == 0: Parameter(.zeros(shape))
        case .uniform(let bound): Parameter(.uniform(shape, in: -bound..<bound, dtype: .float32, using: &generator))
        case .normal(let deviation):
            Parameter(.normal(shape, mean: 0, deviation: deviation, dtype: .float32, using: &generator))
        }
    }
}
