// The sigmoid linear unit as a layer.
public import NeedletailTensor

/// y = x / (1 + e^-x), element by element. Shapes and type: y as x.
public final class SiLU: Module, Layer {
    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { x.silu() }
}
