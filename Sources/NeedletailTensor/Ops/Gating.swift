// Gated activations, and GELU as GPT-2 has it.

/// silu(gate) · x: what a feed-forward layer with SwiGLU does between its products.
///
/// Shapes: gate and x alike. Precision: float32 inside, one rounding.
/// Gradients: with s the sigmoid: dx = dy silu(gate), dgate = dy x s (1 + gate (1 - s)), dy x rounded once in between.
/// Source: Shazeer, arXiv 2002.05202.
public func swiGLU(gate: Tensor, _ x: Tensor) -> Tensor {
    require(
        gate.shape == x.shape && gate.dtype == x.dtype && x.dtype.isFloatingPoint,
        "swiGLU: found \(gate.dtype) \(gate.shape) and \(x.dtype) \(x.shape), expected two floating-point tensors alike"
    )
    let plainGate = gate.detached().contiguous(), plain = x.detached().contiguous()
    let needed = (gate.node != nil, x.node != nil)
    return Kernels.binary(.siluMultiply, plainGate, plain).recorded("swiGLU", [gate, x]) { dy in
        let dy = dy.contiguous()
        return [
            needed.0 ? Kernels.binary(.siluGradient, plainGate, Kernels.binary(.multiply, dy, plain)) : nil,
            needed.1 ? Kernels.binary(.siluMultiply, plainGate, dy) : nil,
        ]
    }
}

extension Tensor {
    /// ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), GELU's approximation in GPT-2's weights ("gelu_new"), in float32 (float64 for
    /// float64), rounded once.
    ///
    /// It is x sigmoid(2 u) with u the argument of tanh. Gradients: by those operations.
    public func geluTanh() -> Tensor {
        let x = cast(to: dtype.accumulationType)
        let slope = 2 * 0.797_884_560_802_865_4
        let u = x * (x * x * (slope * 0.044715) + slope)
        return (x * u.sigmoid()).cast(to: dtype)
    }
}
