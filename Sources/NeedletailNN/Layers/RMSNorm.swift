// Root-mean-square normalisation.
public import NeedletailTensor

/// Rows brought to a mean square of 1, then scaled by a parameter.
///
/// ```text
/// y = x / sqrt(mean(x^2) + epsilon) * weight, over the last axis
/// ```
///
/// Shapes: x [..., size], `weight` [size], y [..., size].
/// Precision: statistics in float32; x is cast to the parameter's compute type, y has it.
/// Initialisation: weight 1, as `torch.nn.RMSNorm`, whose default epsilon depends on the type.
public final class RMSNorm: Module, Layer {
    /// The scale [size].
    public let weight: Parameter
    /// Added to the mean square.
    public let epsilon: Double

    /// Makes a layer for rows of `size`.
    public init(_ size: Int, epsilon: Double = 1e-6) {
        require(size >= 0, "RMSNorm(\(size)): the size must not be negative")
        weight = Parameter(.ones([size]))
        self.epsilon = epsilon
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { rmsNorm(x, weight: weight.borrowedValue, epsilon: epsilon) }
}
