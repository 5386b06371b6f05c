// Softmax and log-softmax along an axis.

extension Tensor {
    /// eˣ / Σ eˣ along an axis, in the tensor's type, float32 inside.
    ///
    /// Gradients: y (dy - Σ dy y).
    public func softmax(axis: Int = -1) -> Tensor { normalizedExponential(axis, log: false) }

    /// x - log Σ eˣ along an axis. 16-bit tensors give float32: log-probabilities do not fit 8 or 11 bits.
    ///
    /// Gradients: dy - eʸ Σ dy.
    public func logSoftmax(axis: Int = -1) -> Tensor {
        cast(to: dtype.accumulationType).normalizedExponential(axis, log: true)
    }

    private func normalizedExponential(_ axis: Int, log: Bool) -> Tensor {
        let axis = Shapes.axis(axis, of: shape, "softmax")
        if axis != rank - 1 {
            return transposed(axis, -1).normalizedExponential(-1, log: log).transposed(axis, -1)
        }
        let y = Kernels.softmax(detached().contiguous(), log: log)
        return y.recorded(log ? "logSoftmax" : "softmax", self) {
            [Kernels.softmaxGradient(y: y, dy: $0.contiguous(), log: log)]
        }
    }
}

/// ``Tensor/softmax(axis:)`` as a function.
public func softmax(_ x: Tensor, axis: Int = -1) -> Tensor { x.softmax(axis: axis) }

/// ``Tensor/logSoftmax(axis:)`` as a function.
public func logSoftmax(_ x: Tensor, axis: Int = -1) -> Tensor { x.logSoftmax(axis: axis) }
