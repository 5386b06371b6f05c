// The Gaussian error linear unit as a layer.
public import NeedletailTensor

/// y = x Phi(x), element by element, Phi the normal distribution function (the exact form). Shapes and type: y as x.
public final class GELU: Module, Layer {
    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { x.gelu() }
}
