// Normalisation of groups of channels as a layer.
public import NeedletailTensor

/// Normalisation of each example's groups of channels: ``groupNormalization(_:groups:weight:bias:epsilon:activation:)``.
///
/// ```text
/// y = activation((x - mean) / sqrt(variance + epsilon) * weight + bias)
/// ```
///
/// Shapes: x [N, channels, …], y as x; `weight` and `bias` [channels]. Initialisation: weight 1, bias 0, as `torch.nn.GroupNorm`.
/// Precision: statistics and arithmetic are float32, one rounding to the type of x.
/// Errors: a single example with one value a group, in training and in evaluation, is an error as in PyTorch: a ``Trainer`` throws
/// it in training, elsewhere it traps.
public final class GroupNorm: Module, FusingLayer {
    /// The factor of each channel.
    public let weight: Parameter
    /// What is added to each channel.
    public let bias: Parameter
    /// How many groups there are.
    public let groups: Int
    /// What is added to the variance.
    public let epsilon: Double
    /// The function applied to the result.
    public let activation: Activation

    /// Makes a layer for so many channels in so many groups.
    public init(_ groups: Int, _ channels: Int, epsilon: Double = 1e-5, activation: Activation = .identity) {
        require(
            groups > 0 && channels > 0 && channels % groups == 0,
            "GroupNorm(\(groups), \(channels)): the number of groups must divide that of channels")
        weight = Parameter(.ones([channels]))
        bias = Parameter(.zeros([channels]))
        (self.groups, self.epsilon, self.activation) = (groups, epsilon, activation)
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { forward(x, activation: activation) }

    func forward(_ x: Tensor, activation: Activation) -> Tensor {
        guard x.count != groups || x.rank < 2 || x.shape[1] != weight.shape[0] else {
            SingleValueLayers.refuse(
                self, x.shape, unit: "group", advice: "use fewer groups, or LayerNorm for vectors")
            return x
        }
        return groupNormalization(
            x, groups: groups, weight: weight.borrowedValue, bias: bias.borrowedValue, epsilon: epsilon,
            activation: activation)
    }
}
