// Arithmetic of a tensor and a number. The number enters in float32 (float64 for float64 tensors), and the result is rounded once.
//
// A floating-point tensor keeps its type. An integer or bool tensor becomes float32 beside a number that may have a fraction; beside
// an `Int` it keeps its type (bool becomes int64), and the number wraps into it.

extension Tensor {
    /// x + s, elementwise.
    public static func + (x: Tensor, s: Double) -> Tensor { x.scaledShifted("add", 1, s) }
    /// s + x, elementwise.
    public static func + (s: Double, x: Tensor) -> Tensor { x.scaledShifted("add", 1, s) }
    /// x - s, elementwise; of a bool tensor an error.
    public static func - (x: Tensor, s: Double) -> Tensor {
        requireDifference(x)
        return x.scaledShifted("subtract", 1, -s)
    }
    /// s - x, elementwise; of a bool tensor an error.
    public static func - (s: Double, x: Tensor) -> Tensor {
        requireDifference(x)
        return x.scaledShifted("subtract", -1, s)
    }
    /// x · s, elementwise.
    public static func * (x: Tensor, s: Double) -> Tensor { x.scaledShifted("multiply", s, -0.0) }
    /// s · x, elementwise.
    public static func * (s: Double, x: Tensor) -> Tensor { x.scaledShifted("multiply", s, -0.0) }

    /// x / s, elementwise: a true division, not a product with 1/s. Gradients: dy / s.
    public static func / (x: Tensor, s: Double) -> Tensor {
        let x = x.cast(to: x.dtype.withFloatingPointScalar)
        return Kernels.unary(.divideBy, x, s).recorded("divide", x, using: []) { [$0 / s] }
    }

    /// s / x, elementwise. Gradients: -dy s / x².
    public static func / (s: Double, x: Tensor) -> Tensor {
        let x = x.cast(to: x.dtype.withFloatingPointScalar)
        let plain = x.detached()
        return Kernels.unary(.divideInto, x, s).recorded("divide", x) { dy in
            let wide = dy.dtype.accumulationType
            let divisor = plain.cast(to: wide)
            return [(-(dy.cast(to: wide) / divisor * (s / divisor))).cast(to: dy.dtype)]
        }
    }

    /// x + s, elementwise, in the type of x.
    public static func + (x: Tensor, s: Int) -> Tensor {
        x.dtype.isFloatingPoint ? x + Double(s) : binary(.add, "add", x, x.integer(s))
    }
    /// s + x, elementwise, in the type of x.
    public static func + (s: Int, x: Tensor) -> Tensor { x + s }
    /// x - s, elementwise, in the type of x; of a bool tensor an error.
    public static func - (x: Tensor, s: Int) -> Tensor { x.dtype.isFloatingPoint ? x - Double(s) : x - x.integer(s) }
    /// s - x, elementwise, in the type of x; of a bool tensor an error.
    public static func - (s: Int, x: Tensor) -> Tensor { x.dtype.isFloatingPoint ? Double(s) - x : x.integer(s) - x }
    /// x · s, elementwise, in the type of x.
    public static func * (x: Tensor, s: Int) -> Tensor {
        x.dtype.isFloatingPoint ? x * Double(s) : binary(.multiply, "multiply", x, x.integer(s))
    }
    /// s · x, elementwise, in the type of x.
    public static func * (s: Int, x: Tensor) -> Tensor { x * s }
    /// x / s, elementwise: a true division; of an integer tensor float32.
    public static func / (x: Tensor, s: Int) -> Tensor { x / Double(s) }
    /// s / x, elementwise: a true division; of an integer tensor float32.
    public static func / (s: Int, x: Tensor) -> Tensor { Double(s) / x }

    /// The operand that an `Int` is beside this integer tensor.
    private func integer(_ value: Int) -> Tensor {
        Tensor([Int64(value)], shape: []).cast(to: dtype.withIntegerScalar)
    }

    /// p x + q, with one fused multiply-add and one rounding. A q of -0 leaves the product's sign of zero. Gradients: p dy.
    private func scaledShifted(_ name: StaticString, _ p: Double, _ q: Double) -> Tensor {
        let x = cast(to: dtype.withFloatingPointScalar)
        return Kernels.unary(.scaleShift, x, p, q).recorded(name, x, using: []) { [$0 * p] }
    }
}
