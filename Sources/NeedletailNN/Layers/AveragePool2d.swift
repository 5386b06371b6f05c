// The mean of windows as a layer.
public import NeedletailTensor

/// The mean of each window: ``averagePool2d(_:kernel:stride:padding:countsPadding:)``.
///
/// Shapes: x [N, C, H, W], y [N, C, H', W']. Precision: sums in float32, one rounding to the type of x.
public final class AveragePool2d: Module, Layer {
    /// The window's size, how far windows are apart, how far they begin outside the image.
    public let kernel: Pair, stride: Pair, padding: Pair
    /// Whether zeros around the image count.
    public let countsPadding: Bool

    /// Makes the layer; windows do not overlap where no stride is given.
    public init(_ kernel: Pair, stride: Pair? = nil, padding: Pair = 0, countsPadding: Bool = true) {
        (self.kernel, self.stride, self.padding) = (kernel, stride ?? kernel, padding)
        self.countsPadding = countsPadding
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor {
        averagePool2d(x, kernel: kernel, stride: stride, padding: padding, countsPadding: countsPadding)
    }
}
