// The one-dimensional convolution as a layer.
public import NeedletailTensor

/// A convolution along one axis, bias and activation in its last pass.
///
/// ```text
/// y = activation(x ⋆ W + b)
/// ```
///
/// Shapes: x [N, channels, L], `weight` [outputs, channels / groups, kernel], `bias` [outputs], y [N, outputs, L'].
/// Precision and initialisation: as of ``Conv2d``.
public final class Conv1d: Module, FusingLayer {
    /// The kernels.
    public let weight: Parameter
    /// The vector b [outputs], if the layer has one.
    public let bias: Parameter?
    /// How far windows are apart, zeros on each side, how far a kernel's elements are apart, groups of channels.
    public let stride: Int, padding: Int, dilation: Int, groups: Int
    /// The function applied to the sum.
    public let activation: Activation

    /// Makes a layer with PyTorch's default initialisation drawn from `generator`.
    public init(
        _ channels: Int, _ outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1,
        groups: Int = 1, bias: Bool = true, activation: Activation = .identity,
        using generator: inout SeededGenerator
    ) {
        ConvolutionOptions(groups: groups).check(
            "Conv1d", channels: channels, outputs: outputs, kernel: Pair(1, kernel))
        let initializer = Initializer.linearDefault(inputs: channels / groups * kernel)
        weight = initializer.parameter([outputs, channels / groups, kernel], using: &generator)
        self.bias = bias ? initializer.parameter([outputs], using: &generator) : nil
        (self.stride, self.padding, self.dilation, self.groups) = (stride, padding, dilation, groups)
        self.activation = activation
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { forward(x, activation: activation) }

    func forward(_ x: Tensor, activation: Activation) -> Tensor {
        conv1d(
            x, weight: weight.borrowedValue, bias: bias?.borrowedValue, stride: stride, padding: padding,
            dilation: dilation,
            groups: groups, activation: activation)
    }
}
