// Layer normalisation.
public import NeedletailTensor

/// Rows brought to mean 0 and variance 1, then scaled and shifted by parameters.
///
/// ```text
/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, over the last axis
/// ```
///
/// Shapes: x [..., size], `weight` and `bias` [size], y [..., size].
/// Precision: statistics in float32; x is cast to the parameters' compute type, y has it.
/// Initialisation: weight 1, bias 0, as `torch.nn.LayerNorm`.
public final class LayerNorm: Module, Layer {
    /// The scale [size].
    public let weight: Parameter
    /// The shift [size], if the layer has one.
    public let bias: Parameter?
    /// Added to the variance.
    public let epsilon: Double

    /// Makes a layer for rows of `size`.
    public init(_ size: Int, bias: Bool = true, epsilon: Double = 1e-5) {
        require(size >= 0, "LayerNorm(\(size)): the size must not be negative")
        weight = Parameter(.ones([size]))
        self.bias = bias ? Parameter(.zeros([size])) : nil
        self.epsilon = epsilon
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor {
        layerNorm(x, weight: weight.borrowedValue, bias: bias?.borrowedValue, epsilon: epsilon)
    }
}
