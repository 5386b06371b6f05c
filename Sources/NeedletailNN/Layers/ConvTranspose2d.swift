// The transposed convolution as a layer.
public import NeedletailTensor

/// The transpose of a convolution, as it makes images larger; bias and activation in its last pass.
///
/// ```text
/// y = activation(x ⋆ᵀ W + b)
/// ```
///
/// Shapes: x [N, channels, H, W], `weight` [channels, outputs / groups, kernel height, kernel width], `bias` [outputs],
/// y [N, outputs, H', W']; see ``convTranspose2d(_:weight:bias:stride:padding:outputPadding:dilation:groups:activation:)``.
/// Precision: as of ``Conv2d``. Initialisation: U(-1 / sqrt(n), 1 / sqrt(n)) with n = outputs / groups · kernel area, as
/// `torch.nn.ConvTranspose2d`.
public final class ConvTranspose2d: Module, FusingLayer {
    /// The kernels.
    public let weight: Parameter
    /// The vector b [outputs], if the layer has one.
    public let bias: Parameter?
    /// Stride, padding, dilation, groups of the convolution that this is the transpose of.
    public let options: ConvolutionOptions
    /// Rows and columns more at the lower and right edge, where the stride leaves several sizes possible.
    public let outputPadding: Pair
    /// The function applied to the sum.
    public let activation: Activation

    /// Makes a layer with PyTorch's default initialisation drawn from `generator`.
    public init(
        _ channels: Int, _ outputs: Int, kernel: Pair, _ options: ConvolutionOptions = ConvolutionOptions(),
        outputPadding: Pair = 0, bias: Bool = true, activation: Activation = .identity,
        using generator: inout SeededGenerator
    ) {
        options.check("ConvTranspose2d", channels: channels, outputs: outputs, kernel: kernel)
        let own = outputs / options.groups
        let initializer = Initializer.linearDefault(inputs: own * kernel.height * kernel.width)
        weight = initializer.parameter([channels, own, kernel.height, kernel.width], using: &generator)
        self.bias = bias ? initializer.parameter([outputs], using: &generator) : nil
        self.options = options
        self.outputPadding = outputPadding
        self.activation = activation
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { forward(x, activation: activation) }

    func forward(_ x: Tensor, activation: Activation) -> Tensor {
        convTranspose2d(
            x, weight: weight.borrowedValue, bias: bias?.borrowedValue, stride: options.stride,
            padding: options.padding,
            outputPadding: outputPadding, dilation: options.dilation, groups: options.groups, activation: activation)
    }
}
