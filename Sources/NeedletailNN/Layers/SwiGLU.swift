// The gated feed-forward layer of Llama and its kin.
public import NeedletailTensor

/// y = (silu(x G^T) * (x U^T)) D^T, without biases.
///
/// Shapes: x [..., size], G `gate_proj.weight` and U `up_proj.weight` [hidden, size], D `down_proj.weight` [size, hidden].
/// Initialisation: as `Linear`. Source: Shazeer, arXiv 2002.05202; the names are Llama's.
public final class SwiGLU: Module, Layer {
    /// G.
    public let gate: Linear
    /// U.
    public let up: Linear
    /// D.
    public let down: Linear

    /// Makes a layer for rows of `size`.
    public init(_ size: Int, hidden: Int, using generator: inout SeededGenerator) {
        gate = Linear(size, hidden, bias: false, using: &generator)
        up = Linear(size, hidden, bias: false, using: &generator)
        down = Linear(hidden, size, bias: false, using: &generator)
    }

    public override func members() -> [ModuleMember] {
        [.module("gate_proj", gate), .module("up_proj", up), .module("down_proj", down)]
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { down(swiGLU(gate: gate(x), up(x))) }
}
