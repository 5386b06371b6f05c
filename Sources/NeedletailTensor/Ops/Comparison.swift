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
    /// Elementwise x = s.
    public static func .== (x: Tensor, s: Double) -> Tensor { compare(.equal, x, Tensor(s, dtype: x.dtype)) }
    /// Elementwise x ≠ s.
    public static func .!= (x: Tensor, s: Double) -> Tensor { compare(.notEqual, x, Tensor(s, dtype: x.dtype)) }
    /// Elementwise x < s.
    public static func .< (x: Tensor, s: Double) -> Tensor { compare(.less, x, Tensor(s, dtype: x.dtype)) }
    /// Elementwise x ≤ s.
    public static func .<= (x: Tensor, s: Double) -> Tensor { compare(.lessOrEqual, x, Tensor(s, dtype: x.dtype)) }
    /// Elementwise x > s.
    public static func .> (x: Tensor, s: Double) -> Tensor { compare(.greater, x, Tensor(s, dtype: x.dtype)) }
    /// Elementwise x ≥ s.
    public static func .>= (x: Tensor, s: Double) -> Tensor { compare(.greaterOrEqual, x, Tensor(s, dtype: x.dtype)) }

    private static func compare(_ comparison: Comparison, _ a: Tensor, _ b: Tensor) -> Tensor {
        let type = DType.promoted(a.dtype, b.dtype)
        let (left, right) = broadcastTogether(
            a.detached().cast(to: type), b.detached().cast(to: type), "comparison")
        return Kernels.compare(comparison, left, right)
    }

    /// condition ? a : b, elementwise, with broadcasting.
    ///
    /// Gradients: dy where chosen, 0 elsewhere.
    public static func `where`(_ condition: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
        require(condition.dtype == .bool, "where: the condition is \(condition.dtype), bool was expected")
        let type = DType.promoted(a.dtype, b.dtype)
        var (left, right) = broadcastTogether(a.cast(to: type), b.cast(to: type), "where")
        let choose: Tensor
        (choose, left) = broadcastTogether(condition, left, "where")
        right = right.broadcast(to: left.shape)
        let mask = choose.contiguous()
        let y = Kernels.select(mask, left.contiguous(), right.contiguous())
        guard type.isFloatingPoint else { return y }
        return y.recorded("where", left, right) { dy in
            let zero = Tensor(0, dtype: dy.dtype)
            return [Tensor.where(mask, dy, zero), Tensor.where(mask, zero, dy)]
        }
    }
}
