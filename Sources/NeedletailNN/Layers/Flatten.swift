// Joins axes into one.
public import NeedletailTensor

/// Joins the axes from `startAxis` on: [N, C, H, W] gives [N, C H W]. A view; type as x.
public final class Flatten: Module, Layer {
    /// The first axis that is joined; 1 keeps the batch apart.
    public let startAxis: Int

    /// Makes the layer.
    public init(from startAxis: Int = 1) { self.startAxis = startAxis }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { x.flattened(from: startAxis) }
}
