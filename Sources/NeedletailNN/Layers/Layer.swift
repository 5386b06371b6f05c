// What layers have in common: one tensor in, one tensor out.
public import NeedletailTensor

/// A module that maps one tensor to one tensor, and so can stand in a `Sequential`.
public protocol Layer: Module {
    /// The layer's result for `x`.
    func forward(_ x: Tensor) -> Tensor
}

extension Layer {
    /// `layer(x)` is `layer.forward(x)`.
    public func callAsFunction(_ x: Tensor) -> Tensor { observed(forward(x)) }
}
