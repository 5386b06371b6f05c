// The rectifier as a layer.
public import NeedletailTensor

/// y = max(x, 0), element by element, NaN kept. Shapes and type: y as x.
public final class ReLU: Module, Layer {
    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { x.relu() }
}
