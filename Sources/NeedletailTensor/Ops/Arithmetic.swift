// Arithmetic with broadcasting. Operands of different types meet in the wider one, as DType.promoted says.

extension Tensor {
    /// a + b, elementwise. Gradients: dy, dy.
    public static func + (a: Tensor, b: Tensor) -> Tensor {
        binary(.add, "add", a, b) { _, _, dy in (dy, dy) }
    }

    /// a - b, elementwise. Gradients: dy, -dy.
    public static func - (a: Tensor, b: Tensor) -> Tensor {
        binary(.subtract, "subtract", a, b) { _, _, dy in (dy, -dy) }
    }

    /// a · b, elementwise. Gradients: dy b, dy a.
    public static func * (a: Tensor, b: Tensor) -> Tensor {
        binary(.multiply, "multiply", a, b) { a, b, dy in (dy * b, dy * a) }
    }

    /// a / b, elementwise; integers truncate. Gradients: dy / b, -dy a / b².
    public static func / (a: Tensor, b: Tensor) -> Tensor {
        binary(.divide, "divide", a, b) { a, b, dy in
            let da = dy / b
            return (da, -(da * a / b))
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

    /// -x. Gradients: -dy.
    public static prefix func - (x: Tensor) -> Tensor {
        guard x.dtype.isFloatingPoint else { return Tensor(0, dtype: x.dtype) - x }
        return Kernels.unary(.negate, x).recorded("negate", x) { [-$0] }
    }

    /// x + s in the type of x.
    public static func + (x: Tensor, s: Double) -> Tensor { x.scaledShifted("add", 1, s) }
    /// s + x in the type of x.
    public static func + (s: Double, x: Tensor) -> Tensor { x.scaledShifted("add", 1, s) }
    /// x - s in the type of x.
    public static func - (x: Tensor, s: Double) -> Tensor { x.scaledShifted("subtract", 1, -s) }
    /// s - x in the type of x.
    public static func - (s: Double, x: Tensor) -> Tensor { x.scaledShifted("subtract", -1, s) }
    /// x · s in the type of x.
    public static func * (x: Tensor, s: Double) -> Tensor { x.scaledShifted("multiply", s, 0) }
    /// s · x in the type of x.
    public static func * (s: Double, x: Tensor) -> Tensor { x.scaledShifted("multiply", s, 0) }
    /// x / s in the type of x: a true division, not a product with 1/s.
    public static func / (x: Tensor, s: Double) -> Tensor { x / Tensor(s, dtype: x.dtype) }
    /// s / x in the type of x.
    public static func / (s: Double, x: Tensor) -> Tensor { Tensor(s, dtype: x.dtype) / x }

    /// p x + q, with one fused multiply-add and one rounding for floating-point types. Gradients: p dy.
    private func scaledShifted(_ name: StaticString, _ p: Double, _ q: Double) -> Tensor {
        guard dtype.isFloatingPoint else {
            let product = Tensor.binary(.multiply, name, self, Tensor(p, dtype: dtype))
            return Tensor.binary(.add, name, product, Tensor(q, dtype: dtype))
        }
        return Kernels.unary(.scaleShift, self, p, q).recorded(name, self) { [$0 * p] }
    }

    private static func binary(
        _ operation: BinaryOperation, _ name: StaticString, _ a: Tensor, _ b: Tensor,
        gradient: @escaping (_ a: Tensor, _ b: Tensor, _ dy: Tensor) -> (Tensor, Tensor) = { _, _, dy in (dy, dy) }
    ) -> Tensor {
        let type = DType.promoted(a.dtype, b.dtype)
        let a = a.cast(to: type), b = b.cast(to: type)
        guard type.isFloatingPoint else {
            let (left, right) = broadcastTogether(a, b, "\(operation)")
            return Kernels.integer(operation, left.contiguous(), right.contiguous())
        }
        let y = Kernels.binary(operation, a, b)
        if a.node == nil && b.node == nil { return y.observed(name, a, b) }
        let (plainA, plainB) = (a.detached(), b.detached())
        return y.recorded(name, a, b) { dy in
            let (da, db) = gradient(plainA, plainB, dy)
            return [da.summed(to: plainA.shape), db.summed(to: plainB.shape)]
        }
    }

    static func broadcastTogether(_ a: Tensor, _ b: Tensor, _ operation: String) -> (Tensor, Tensor) {
        guard let shape = Shapes.broadcast(a.shape, b.shape) else { Kernels.broadcastFailure(operation, a, b) }
        return (a.broadcast(to: shape), b.broadcast(to: shape))
    }
}
