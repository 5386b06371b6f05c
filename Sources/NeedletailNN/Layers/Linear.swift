// The fully connected layer.
public import NeedletailTensor

/// A fully connected layer, bias and activation fused into the matrix product.
///
/// ```text
/// y = activation(x W^T + b)
/// ```
///
/// Shapes: x [..., inputs], W `weight` [outputs, inputs], b `bias` [outputs], y [..., outputs].
/// Precision: computed in the parameters' compute type (x is cast to it), accumulated in float32, rounded once.
/// Initialisation: weight, then bias, from U(-1 / sqrt(inputs), 1 / sqrt(inputs)), as `torch.nn.Linear`.
public final class Linear: Module, FusingLayer {
    /// The matrix W [outputs, inputs].
    public let weight: Parameter
    /// The vector b [outputs], if the layer has one.
    public let bias: Parameter?
    /// The function applied to the sum.
    public let activation: Activation

    /// What is learned beside a frozen weight; see `Module.addLowRankAdapters(to:rank:alpha:using:)`.
    public internal(set) var adapter: LowRankAdapter?

    /// Length of an input row.
    public var inputs: Int { weight.shape[1] }
    /// Length of an output row.
    public var outputs: Int { weight.shape[0] }

    /// Makes a layer with PyTorch's default initialisation drawn from `generator`.
    public init(
        _ inputs: Int, _ outputs: Int, bias: Bool = true, activation: Activation = .identity,
        using generator: inout SeededGenerator
    ) {
        require(inputs >= 0 && outputs >= 0, "Linear(\(inputs), \(outputs)): sizes must not be negative")
        let initializer = Initializer.linearDefault(inputs: inputs)
        weight = initializer.parameter([outputs, inputs], using: &generator)
        self.bias = bias ? initializer.parameter([outputs], using: &generator) : nil
        self.activation = activation
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { forward(x, activation: activation) }

    /// The layer with another activation than its own: `Sequential` fuses the next layer's this way.
    func forward(_ x: Tensor, activation: Activation) -> Tensor {
        if let adapter {
            let sum = linear(x, weight: weight.borrowedValue, bias: bias?.borrowedValue) + adapter.forward(x)
            switch activation {
            case .identity: return sum
            case .relu: return sum.relu()
            case .gelu: return sum.gelu()
            }
        }
        return linear(x, weight: weight.borrowedValue, bias: bias?.borrowedValue, activation: activation)
    }
}
