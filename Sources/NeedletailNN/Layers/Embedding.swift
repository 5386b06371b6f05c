// A table of vectors, looked up by number.
public import NeedletailTensor

/// y = the rows of `weight` that the input names.
///
/// Shapes: x [...] integers in 0 ..< count, `weight` [count, size], y [..., size].
/// Precision: y has the parameter's compute type; the gradient is summed in float32.
/// Initialisation: N(0, deviation^2), by default the standard normal distribution, as `torch.nn.Embedding`.
public final class Embedding: Module, Layer {
    /// The table [count, size].
    public let weight: Parameter

    /// Makes a table of `count` vectors of `size`.
    public init(_ count: Int, _ size: Int, deviation: Double = 1, using generator: inout SeededGenerator) {
        require(count >= 0 && size >= 0, "Embedding(\(count), \(size)): sizes must not be negative")
        weight = Initializer.normal(deviation: deviation).parameter([count, size], using: &generator)
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { embedding(weight.borrowedValue, x) }
}
