// Means of a fixed number of windows as a layer.
public import NeedletailTensor

/// The means of windows that cover the image, as many as wanted: ``adaptiveAveragePool2d(_:output:)``.
///
/// Shapes: x [N, C, H, W], y [N, C, output height, output width]. Precision: sums in float32, one rounding to the type of x.
public final class AdaptiveAveragePool2d: Module, Layer {
    /// How many windows there are.
    public let output: Pair

    /// Makes the layer.
    public init(_ output: Pair) { self.output = output }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { adaptiveAveragePool2d(x, output: output) }
}
