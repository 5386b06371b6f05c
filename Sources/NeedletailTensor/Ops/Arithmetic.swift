// Arithmetic of two tensors, with broadcasting. Operands of different types meet as Promotion.swift says.

extension Tensor {
    /// a + b, elementwise. Gradients: dy, dy.
    public static func + (a: Tensor, b: Tensor) -> Tensor {
        binary(.add, "add", a, b, using: []) { _, _, dy in (dy, dy) }
    }

    /// a - b, elementwise; bool tensors have no difference. Gradients: dy, -dy.
    public static func - (a: Tensor, b: Tensor) -> Tensor {
        requireDifference(a, b)
        return binary(.subtract, "subtract", a, b, using: []) { _, _, dy in (dy, -dy) }
    }

    /// a · b, elementwise. Gradients: dy b, dy a.
    public static func * (a: Tensor, b: Tensor) -> Tensor {
        binary(.multiply, "multiply", a, b, using: (a.node == nil ? [] : [b]) + (b.node == nil ? [] : [a])) {
            a, b, dy in (dy * b, dy * a)
        }
    }

    /// a / b, elementwise; the quotient of integers is float32. Gradients: dy / b, -dy a / b².
    public static func / (a: Tensor, b: Tensor) -> Tensor {
        let type = commonType(a, b).ofQuotient
        return binary(.divide, "divide", a.cast(to: type), b.cast(to: type)) { a, b, dy in
            let wide = dy.dtype.accumulationType
            let da = dy.cast(to: wide) / b.cast(to: wide)
            return (da.cast(to: dy.dtype), (-(da * (a.cast(to: wide) / b.cast(to: wide)))).cast(to: dy.dtype))
        }
    }

    /// The larger of two elements, NaN if either is. Gradients: dy to the larger; to both halves where they are equal.
    public static func maximum(_ a: Tensor, _ b: Tensor) -> Tensor {
        binary(.maximum, "maximum", a, b) { a, b, dy in split(dy, a .> b, a .== b) }
    }

    /// The smaller of two elements, NaN if either is. Gradients: dy to the smaller; to both halves where they are equal.
    public static func minimum(_ a: Tensor, _ b: Tensor) -> Tensor {
        binary(.minimum, "minimum", a, b) { a, b, dy in split(dy, a .< b, a .== b) }
    }

    private static func split(_ dy: Tensor, _ first: Tensor, _ tie: Tensor) -> (Tensor, Tensor) {
        let share = first.cast(to: dy.dtype) + tie.cast(to: dy.dtype) * 0.5
        let da = dy * share
        return (da, dy - da)
    }

    /// -x; the negative of a bool is an error. Gradients: -dy.
    public static prefix func - (x: Tensor) -> Tensor {
        requireDifference(x)
        guard x.dtype.isFloatingPoint else { return Tensor(0, dtype: x.dtype) - x }
        return Kernels.unary(.negate, x).recorded("negate", x, using: []) { [-$0] }
    }

    /// Stops where an operand of `-` is bool.
    static func requireDifference(_ operands: Tensor...) {
        for x in operands {
            require(
                x.dtype != .bool, "subtract: an operand is bool, which has no difference: cast it, or compare with .!=")
        }
    }

    static func binary(
        _ operation: BinaryOperation, _ name: StaticString, _ a: Tensor, _ b: Tensor, using used: [Tensor]? = nil,
        gradient: @escaping (_ a: Tensor, _ b: Tensor, _ dy: Tensor) -> (Tensor, Tensor) = { _, _, dy in (dy, dy) }
    ) -> Tensor {
        let type = commonType(a, b)
        let a = a.cast(to: type), b = b.cast(to: type)
        guard type.isFloatingPoint else {
            let (left, right) = broadcastTogether(a, b, "\(operation)")
            return Kernels.integer(operation, left.contiguous(), right.contiguous())
        }
        let y = Kernels.binary(operation, a, b)
        if a.node == nil && b.node == nil { return y.observed(name, a, b) }
        let (plainA, plainB) = (a.detached(), b.detached())
        return y.recorded(name, a, b, using: used) { dy in
            let (da, db) = gradient(plainA, plainB, dy)
            return [da.summed(to: plainA.shape), db.summed(to: plainB.shape)]
        }
    }

    static func broadcastTogether(_ a: Tensor, _ b: Tensor, _ operation: String) -> (Tensor, Tensor) {
        guard let shape = Shapes.broadcast(a.shape, b.shape) else { Kernels.broadcastFailure(operation, a, b) }
        return (a.broadcast(to: shape), b.broadcast(to: shape))
    }
}
