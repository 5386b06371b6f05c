// The two-dimensional convolution as a layer.
public import NeedletailTensor

/// Where the windows of a convolutional layer lie.
public struct ConvolutionOptions: Sendable, Equatable {
    /// How far windows are apart.
    public var stride: Pair
    /// Rows and columns of zeros around the image, on each side.
    public var padding: Pair
    /// How far a kernel's elements are apart.
    public var dilation: Pair
    /// Groups of channels that are convolved apart.
    public var groups: Int

    /// Options, PyTorch's defaults where not given.
    public init(stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: Int = 1) {
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
    }

    /// Only rows and columns of zeros.
    public static func padding(_ padding: Pair) -> ConvolutionOptions { ConvolutionOptions(padding: padding) }

    func check(_ layer: String, channels: Int, outputs: Int, kernel: Pair) {
        require(
            channels > 0 && outputs > 0 && kernel.height > 0 && kernel.width > 0,
            "\(layer)(\(channels), \(outputs)): channels and kernel sizes must be at least 1")
        require(
            groups > 0 && channels % groups == 0 && outputs % groups == 0,
            "\(layer)(\(channels), \(outputs)): \(groups) groups must divide both numbers of channels")
    }
}

/// A convolution of images, bias and activation in its last pass.
///
/// ```text
/// y = activation(x ⋆ W + b)
/// ```
///
/// Shapes: x [N, channels, H, W], `weight` [outputs, channels / groups, kernel height, kernel width], `bias` [outputs],
/// y [N, outputs, H', W']; see ``conv2d(_:weight:bias:stride:padding:dilation:groups:activation:)``.
/// Precision: computed in the parameters' compute type (x is cast to it), accumulated in float32, rounded once.
/// Initialisation: weight, then bias, from U(-1 / sqrt(n), 1 / sqrt(n)), n = channels / groups · kernel area, as `torch.nn.Conv2d`.
///
///     Conv2d(32, 64, kernel: 3, .padding(1), activation: .relu, using: &generator)
public final class Conv2d: Module, FusingLayer {
    /// The kernels.
    public let weight: Parameter
    /// The vector b [outputs], if the layer has one.
    public let bias: Parameter?
    /// Stride, padding, dilation, groups.
    public let options: ConvolutionOptions
    /// The function applied to the sum.
    public let activation: Activation

    /// Makes a layer with PyTorch's default initialisation drawn from `generator`.
    public init(
        _ channels: Int, _ outputs: Int, kernel: Pair, _ options: ConvolutionOptions = ConvolutionOptions(),
        bias: Bool = true, activation: Activation = .identity, using generator: inout SeededGenerator
    ) {
        options.check("Conv2d", channels: channels, outputs: outputs, kernel: kernel)
        let own = channels / options.groups
        let initializer = Initializer.linearDefault(inputs: own * kernel.height * kernel.width)
        weight = initializer.parameter([outputs, own, kernel.height, kernel.width], using: &generator)
        self.bias = bias ? initializer.parameter([outputs], using: &generator) : nil
        self.options = options
        self.activation = activation
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { forward(x, activation: activation) }

    func forward(_ x: Tensor, activation: Activation) -> Tensor {
        conv2d(
            x, weight: weight.borrowedValue, bias: bias?.borrowedValue, stride: options.stride,
            padding: options.padding,
            dilation: options.dilation, groups: options.groups, activation: activation)
    }
}
