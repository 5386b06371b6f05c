// The maximum of windows as a layer.
public import NeedletailTensor

/// The largest element of each window: ``maxPool2d(_:kernel:stride:padding:)``.
///
/// Shapes: x [N, C, H, W], y [N, C, H', W']. Type: y as x.
public final class MaxPool2d: Module, Layer {
    /// The window's size, how far windows are apart, how far they begin outside the image.
    public let kernel: Pair, stride: Pair, padding: Pair

    /// Makes the layer; windows do not overlap where no stride is given.
    public init(_ kernel: Pair, stride: Pair? = nil, padding: Pair = 0) {
        (self.kernel, self.stride, self.padding) = (kernel, stride ?? kernel, padding)
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { maxPool2d(x, kernel: kernel, stride: stride, padding: padding) }
}
