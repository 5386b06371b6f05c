// Elementwise functions of one tensor. Each computes in float32 (float64 for float64) and rounds once.

/// What a linear layer does to its result, in the last pass of the matrix product.
public enum Activation: String, Sendable, CaseIterable {
    /// z
    case identity
    /// max(z, 0)
    case relu
    /// z Φ(z), Φ the normal distribution function
    case gelu
}

extension Tensor {
    /// eˣ. Gradients: dy eˣ, 0 where dy is 0.
    public func exp() -> Tensor {
        unary(.exp, "exp") { x, _, dy in Kernels.binary(.expGradient, x, dy.contiguous()) }
    }

    /// ln x. Gradients: dy / x, 0 where dy is 0.
    public func log() -> Tensor {
        unary(.log, "log") { x, _, dy in Kernels.binary(.logGradient, x, dy.contiguous()) }
    }

    /// √x. Gradients: dy / (2 y), 0 where dy is 0.
    public func sqrt() -> Tensor {
        unary(.sqrt, "sqrt", needsInput: false) { _, y, dy in Kernels.binary(.sqrtGradient, y, dy.contiguous()) }
    }

    /// tanh x. Gradients: dy (1 - y²).
    public func tanh() -> Tensor {
        unary(.tanh, "tanh", needsInput: false) { _, y, dy in Kernels.binary(.tanhGradient, y, dy.contiguous()) }
    }

    /// 1 / (1 + e⁻ˣ). Gradients: dy y (1 - y).
    public func sigmoid() -> Tensor {
        unary(.sigmoid, "sigmoid", needsInput: false) { _, y, dy in Kernels.binary(.sigmoidGradient, y, dy.contiguous())
        }
    }

    /// x / (1 + e⁻ˣ), with s the sigmoid. Gradients: dy s (1 + x (1 - s)).
    public func silu() -> Tensor {
        unary(.silu, "silu") { x, _, dy in Kernels.binary(.siluGradient, x, dy.contiguous()) }
    }

    /// |x|. Gradients: dy sign x, 0 at 0.
    public func abs() -> Tensor {
        unary(.abs, "abs") { x, _, dy in Kernels.binary(.absGradient, x, dy.contiguous()) }
    }

    /// max(x, 0); NaN stays. Gradients: dy where x > 0, else 0.
    public func relu() -> Tensor {
        let y = Kernels.unary(.relu, self)
        return y.activated(.relu, of: self, saved: y)
    }

    /// x Φ(x), the exact (erf) form. Gradients: dy (Φ(x) + x φ(x)).
    public func gelu() -> Tensor {
        let x = detached().contiguous()
        return Kernels.unary(.gelu, x).activated(.gelu, of: self, saved: x)
    }

    /// ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), GELU's approximation in GPT-2's weights ("gelu_new").
    ///
    /// It is x s with s = 1 / (1 + e⁻ʷ) and w twice the argument of tanh. Gradients: dy s (1 + x w' (1 - s)).
    public func geluTanh() -> Tensor {
        unary(.geluTanh, "geluTanh") { x, _, dy in Kernels.binary(.geluTanhGradient, x, dy.contiguous()) }
    }

    /// xᵖ as C's pow. Gradients: dy p xᵖ⁻¹, 0 where dy is 0.
    public func pow(_ exponent: Double) -> Tensor {
        let x = detached()
        return Kernels.unary(.power, x, exponent).recorded("pow", self) { dy in
            if exponent == 0 { return [Tensor.zeros(x.shape, dtype: x.dtype)] }
            let wide = x.dtype.accumulationType
            let slope = Kernels.unary(.power, x.cast(to: wide), exponent - 1) * exponent
            return [Kernels.binary(.powerGradient, slope, dy.cast(to: wide).contiguous()).cast(to: x.dtype)]
        }
    }

    /// min(max(x, lower), upper); NaN stays. Gradients: dy where lower ≤ x ≤ upper, else 0.
    public func clamp(min lower: Double = -.infinity, max upper: Double = .infinity) -> Tensor {
        require(lower <= upper, "clamp: the bounds \(lower) and \(upper) are in the wrong order")
        let x = detached()
        // As the kernel takes them.
        let (lower, upper) = dtype == .float64 ? (lower, upper) : (Double(Float(lower)), Double(Float(upper)))
        return Kernels.unary(.clamp, x, lower, upper).recorded("clamp", self) { dy in
            let inside = (x .>= lower).cast(to: dy.dtype) * (x .<= upper).cast(to: dy.dtype)
            return [Tensor.where(inside .!= 0, dy, Tensor(0, dtype: dy.dtype))]
        }
    }

    private func unary(
        _ operation: UnaryOperation, _ name: StaticString, needsInput: Bool = true,
        gradient: @escaping (_ x: Tensor, _ y: Tensor, _ dy: Tensor) -> Tensor
    ) -> Tensor {
        let x = detached().contiguous()
        let y = Kernels.unary(operation, x)
        return y.recorded(name, self, using: needsInput ? nil : []) { [gradient(x, y, $0)] }
    }

    /// This tensor as the result of an activation: recorded so that a matrix product behind it can take the derivative over.
    /// `saved` is what the derivative needs: the result for relu, the pre-activation for gelu.
    func activated(_ activation: Activation, of input: Tensor, saved: Tensor) -> Tensor {
        if activation == .identity { return self }
        let name = activation.operationName
        guard let source = input.node, GradientMode.isRecording else { return observed(name, input) }
        let saved = saved.detached()
        var result = self
        switch activation {
        case .identity: break
        case .relu:
            result.node = OperationNode(
                name, inputs: [source], activationGradient: .reluGradient(saved)
            ) { dy in [Kernels.binary(.reluGradient, saved, dy.contiguous())] }
        case .gelu:
            result.node = OperationNode(
                name, inputs: [source], using: UsedParameters(of: [input]), activationGradient: .geluGradient(saved)
            ) { dy in [Kernels.binary(.geluGradient, saved, dy.contiguous())] }
        }
        return result.observed(name, input)
    }
}

extension Tensor {
    /// As ``activated(_:of:saved:)`` of a result whose memory is `saved`'s kind: contiguous [N, H, W, C], viewed as [N, C, H, W].
    func activatedChannelsLast(_ activation: Activation, of input: Tensor, saved: Tensor) -> Tensor {
        if activation == .identity { return self }
        let name = activation.operationName
        guard let source = input.node, GradientMode.isRecording else { return observed(name, input) }
        let saved = saved.detached()
        let isRelu = activation == .relu
        var result = self
        result.node = OperationNode(
            name, inputs: [source], channelsLastGradient: isRelu ? .reluGradient(saved) : .geluGradient(saved)
        ) { dy in
            [Kernels.binary(isRelu ? .reluGradient : .geluGradient, saved, dy.channelsLast()).viewedChannelsFirst()]
        }
        return result.observed(name, input)
    }
}

extension Activation {
    fileprivate var operationName: StaticString {
        switch self {
        case .identity: "identity"
        case .relu: "relu"
        case .gelu: "gelu"
        }
    }
}
