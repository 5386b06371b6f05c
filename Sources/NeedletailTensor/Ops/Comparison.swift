// Comparisons give bool tensors; `where` chooses by them. Neither side of a comparison has a gradient.

infix operator .== : ComparisonPrecedence
infix operator .!= : ComparisonPrecedence
infix operator .< : ComparisonPrecedence
infix operator .<= : ComparisonPrecedence
infix operator .> : ComparisonPrecedence
infix operator .>= : ComparisonPrecedence

extension Tensor {
    /// Elementwise a = b, as IEEE: NaN equals nothing.
    public static func .== (a: Tensor, b: Tensor) -> Tensor { compare(.equal, a, b) }
    /// Elementwise a ≠ b.
    public static func .!= (a: Tensor, b: Tensor) -> Tensor { compare(.notEqual, a, b) }
    /// Elementwise a < b.
    public static func .< (a: Tensor, b: Tensor) -> Tensor { compare(.less, a, b) }
    /// Elementwise a ≤ b.
    public static func .<= (a: Tensor, b: Tensor) -> Tensor { compare(.lessOrEqual, a, b) }
    /// Elementwise a > b.
    public static func .> (a: Tensor, b: Tensor) -> Tensor { compare(.greater, a, b) }
    /// Elementwise a ≥ b.
    public static func .>= (a: Tensor, b: Tensor) -> Tensor { compare(.greaterOrEqual, a, b) }

    private static func compare(_ comparison: Comparison, _ a: Tensor, _ b: Tensor) -> Tensor {
        let type = commonType(a, b)
        let (left, right) = broadcastTogether(
            a.detached().cast(to: type), b.detached().cast(to: type), "comparison")
        return Kernels.compare(comparison, left, right)
    }

    /// condition ? a : b, elementwise, with broadcasting.
    ///
    /// Gradients: dy where chosen, 0 elsewhere.
    public static func `where`(_ condition: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
        require(condition.dtype == .bool, "where: the condition is \(condition.dtype), bool was expected")
        let type = commonType(a, b)
        var (left, right) = broadcastTogether(a.cast(to: type), b.cast(to: type), "where")
        let choose: Tensor
        (choose, left) = broadcastTogether(condition, left, "where")
        right = right.broadcast(to: left.shape)
        let mask = choose.contiguous()
        let y = Kernels.select(mask, left.contiguous(), right.contiguous())
        guard type.isFloatingPoint else { return y }
        return y.recorded("where", left, right, using: []) { dy in
            let zero = Tensor(0, dtype: dy.dtype)
            return [Tensor.where(mask, dy, zero), Tensor.where(mask, zero, dy)]
        }
    }
}

// Beside a number: the elements are compared with the number itself, which is not rounded to their type first.
extension Tensor {
    /// Elementwise x = s, exactly: a float32 element is never equal to 0.1, which is no float32.
    public static func .== (x: Tensor, s: Double) -> Tensor { Kernels.compare(.equal, x, s) }
    /// Elementwise x ≠ s, exactly.
    public static func .!= (x: Tensor, s: Double) -> Tensor { Kernels.compare(.notEqual, x, s) }
    /// Elementwise x < s, exactly.
    public static func .< (x: Tensor, s: Double) -> Tensor { Kernels.compare(.less, x, s) }
    /// Elementwise x ≤ s, exactly.
    public static func .<= (x: Tensor, s: Double) -> Tensor { Kernels.compare(.lessOrEqual, x, s) }
    /// Elementwise x > s, exactly.
    public static func .> (x: Tensor, s: Double) -> Tensor { Kernels.compare(.greater, x, s) }
    /// Elementwise x ≥ s, exactly.
    public static func .>= (x: Tensor, s: Double) -> Tensor { Kernels.compare(.greaterOrEqual, x, s) }
    /// Elementwise x = s, exactly.
    public static func .== (x: Tensor, s: Int) -> Tensor { Kernels.compare(.equal, x, s) }
    /// Elementwise x ≠ s, exactly.
    public static func .!= (x: Tensor, s: Int) -> Tensor { Kernels.compare(.notEqual, x, s) }
    /// Elementwise x < s, exactly.
    public static func .< (x: Tensor, s: Int) -> Tensor { Kernels.compare(.less, x, s) }
    /// Elementwise x ≤ s, exactly.
    public static func .<= (x: Tensor, s: Int) -> Tensor { Kernels.compare(.lessOrEqual, x, s) }
    /// Elementwise x > s, exactly.
    public static func .> (x: Tensor, s: Int) -> Tensor { Kernels.compare(.greater, x, s) }
    /// Elementwise x ≥ s, exactly.
    public static func .>= (x: Tensor, s: Int) -> Tensor { Kernels.compare(.greaterOrEqual, x, s) }
}
