// Sums, maxima, argmax, and the one-read finite check with its norms.
internal import CSIMD

extension Kernels {
    /// Sum (times `scale`) or maximum over the middle of [outer, count, inner]. With `accumulate`, adds to y.
    static func reduce(
        _ x: Tensor, outer: Int, count: Int, inner: Int, maximum: Bool = false, scale: Double = 1,
        accumulate: Bool = false, to y: Tensor
    ) {
        let status = withMemory(of: x, y) {
            csimd_reduce(
                maximum ? CSIMD_MAX : CSIMD_SUM, x.dtype.csimd, outer, count, inner, $0, scale, accumulate,
                y.dtype.csimd, $1)
        }
        expectSuccess(status, "reduce")
    }

    /// y[i, k] = the first j of the largest x[i, j, k]; x as [outer, count, inner] of a floating-point type.
    static func argmax(_ x: Tensor, outer: Int, count: Int, inner: Int, to y: Tensor) {
        let status = withMemory(of: x, y.elements(Int64.self)) {
            x.dtype.isFloatingPoint
                ? csimd_argmax(x.dtype.csimd, outer, count, inner, $0, $1.baseAddress)
                : csimd_integer_argmax(x.dtype.element, outer, count, inner, $0, $1.baseAddress)
        }
        expectSuccess(status, "argmax")
    }
}

/// One read of a floating-point tensor: the sum of its squares in float64, and the row-major index of its first infinity or
/// NaN, if any. Finiteness is decided element by element, never by the sum.
package func finiteCheck(_ x: Tensor) -> (sumOfSquares: Double, firstNonFinite: Int?) {
    let (sum, first) = powerSum(of: x, order: .two)
    return (sum, first)
}

/// One read of a floating-point tensor: Σ |x|^p (max |x| for the infinity norm) in float64, NaN where an element is, and the
/// row-major index of its first infinity or NaN, if any.
package func powerSum(of x: Tensor, order: NormOrder) -> (powerSum: Double, firstNonFinite: Int?) {
    let x = x.contiguous()
    var sum = 0.0
    var first = 0
    let status = withMemory(of: x) {
        csimd_finite_check(x.dtype.csimd, order.csimd, x.count, $0, &sum, &first)
    }
    expectSuccess(status, "powerSum")
    return (sum, first < x.count ? first : nil)
}

extension NormOrder {
    fileprivate var csimd: csimd_norm {
        switch self {
        case .one: CSIMD_NORM_1
        case .two: CSIMD_NORM_2
        case .three: CSIMD_NORM_3
        case .infinity: CSIMD_NORM_INFINITY
        }
    }
}
