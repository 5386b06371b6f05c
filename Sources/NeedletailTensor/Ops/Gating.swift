// Gated activations.

/// silu(gate) · x: what a feed-forward layer with SwiGLU does between its products.
///
/// Shapes: gate and x alike. Precision: float32 inside, one rounding.
/// Gradients: with s the sigmoid: dx = dy silu(gate), dgate = dy x s (1 + gate (1 - s)), each rounded once.
/// Source: Shazeer, arXiv 2002.05202.
public func swiGLU(gate: Tensor, _ x: Tensor) -> Tensor {
    require(
        gate.shape == x.shape && gate.dtype == x.dtype && x.dtype.isFloatingPoint,
        "swiGLU: found \(gate.dtype) \(gate.shape) and \(x.dtype) \(x.shape), expected two floating-point tensors alike"
    )
    let plainGate = gate.detached().contiguous(), plain = x.detached().contiguous()
    let needed = (gate.node != nil, x.node != nil)
    return Kernels.binary(.siluMultiply, plainGate, plain).recorded("swiGLU", [gate, x]) { dy in
        let gradients = Kernels.siluMultiplyGradient(
            gate: plainGate, plain, dy: dy.contiguous(), forGate: needed.0, forX: needed.1)
        return [gradients.gate, gradients.x]
    }
}
