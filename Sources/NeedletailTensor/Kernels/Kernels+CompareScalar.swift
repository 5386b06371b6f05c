// Comparison of a tensor's elements with a number, exactly: the number is replaced by an element of the tensor's type that divides the
// elements of that type as it does.

extension Kernels {
    /// x ? s as bool, elementwise.
    static func compare(_ comparison: Comparison, _ x: Tensor, _ s: Double) -> Tensor {
        if s.isNaN { return Tensor.full(x.shape, comparison == .notEqual ? 1 : 0, dtype: .bool) }
        if x.dtype.isFloatingPoint { return compare(comparison, x, Neighbor(of: s, x.dtype)) }
        if s >= 0x1p63 { return compare(comparison, x, Neighbor(of: .max, side: 1, x.dtype)) }
        if s < -0x1p63 { return compare(comparison, x, Neighbor(of: .min, side: -1, x.dtype)) }
        let below = s.rounded(.down)
        return compare(comparison, x, Neighbor(of: Int64(below), side: below < s ? 1 : 0, x.dtype))
    }

    /// x ? s as bool, elementwise.
    static func compare(_ comparison: Comparison, _ x: Tensor, _ s: Int) -> Tensor {
        guard x.dtype.isFloatingPoint else {
            return compare(comparison, x, Neighbor(of: Int64(s), side: 0, x.dtype))
        }
        // Beyond 2^53 the number may lie beside the nearest Double.
        let nearest = Double(s), offset = nearest < 0x1p63 ? (s - Int(nearest)).signum() : -1
        return compare(comparison, x, Neighbor(of: nearest, offset: offset, x.dtype))
    }

    private static func compare(_ comparison: Comparison, _ x: Tensor, _ number: Neighbor) -> Tensor {
        guard number.side != 0 else { return compare(comparison, x, number.element) }
        let isAbove = number.side > 0
        switch comparison {
        case .equal, .notEqual: return Tensor.full(x.shape, comparison == .notEqual ? 1 : 0, dtype: .bool)
        case .less, .lessOrEqual: return compare(isAbove ? .lessOrEqual : .less, x, number.element)
        case .greater, .greaterOrEqual: return compare(isAbove ? .greater : .greaterOrEqual, x, number.element)
        }
    }
}

/// A number as seen from the elements of a type: the nearest element, and on which side of it the number lies, without an element
/// between: 0 where it is the element, 1 above it, -1 below it.
private struct Neighbor {
    let element: Tensor
    let side: Int

    /// Of s, or of a number that lies a little above (`offset` 1) or below (-1) it, in a floating-point type.
    init(of s: Double, offset: Int = 0, _ type: DType) {
        element = Tensor(s, dtype: type)
        let nearest = element.item()
        side = nearest < s ? 1 : nearest > s ? -1 : offset
    }

    /// Of an integer (`side` 0), or of a number a little above (1) or below (-1) it, in an integer type or bool.
    init(of value: Int64, side: Int, _ type: DType) {
        let bounds: (Int64, Int64) =
            switch type {
            case .bool: (0, 1)
            case .uint8: (Int64(UInt8.min), Int64(UInt8.max))
            case .int32: (Int64(Int32.min), Int64(Int32.max))
            default: (.min, .max)
            }
        let nearest = Swift.min(Swift.max(value, bounds.0), bounds.1)
        element = Tensor([nearest], shape: []).cast(to: type)
        self.side = nearest < value ? 1 : nearest > value ? -1 : side
    }
}
