// The one rule by which operands of different types meet: PyTorch's, tabulated in docs/numerics.md.

extension DType {
    /// The type in which elements of two types meet: floating-point beats integer, integer beats bool, wider beats narrower, and
    /// float16 with bfloat16 gives float32.
    static func promoted(_ a: DType, _ b: DType) -> DType {
        if a == b { return a }
        if a.is16Bit && b.is16Bit { return .float32 }
        func rank(_ type: DType) -> Int {
            switch type {
            case .bool: 0
            case .uint8: 1
            case .int32: 2
            case .int64: 3
            case .bfloat16, .float16: 4
            case .float32: 5
            case .float64: 6
            }
        }
        return rank(a) > rank(b) ? a : b
    }

    /// The type of the result where a tensor of this type meets a number that may have a fraction.
    var withFloatingPointScalar: DType { isFloatingPoint ? self : .float32 }

    /// The type of the result where a tensor of this type meets an integer.
    var withIntegerScalar: DType { self == .bool ? .int64 : self }

    /// The type of the quotient of two tensors whose elements meet in this type.
    var ofQuotient: DType { isFloatingPoint ? self : .float32 }

    /// As ``promoted(_:_:)``, but that a 0-dimensional tensor, of type `scalar`, raises this type only to another kind: from bool
    /// to integer or floating-point, or from integer to floating-point.
    fileprivate func promoted(withZeroDimensional scalar: DType) -> DType {
        if isFloatingPoint { return self }
        return self == .bool || scalar.isFloatingPoint ? DType.promoted(self, scalar) : self
    }
}

extension Tensor {
    /// The type in which the elements of two tensors meet.
    static func commonType(_ a: Tensor, _ b: Tensor) -> DType {
        if a.rank > 0 && b.rank == 0 { return a.dtype.promoted(withZeroDimensional: b.dtype) }
        if b.rank > 0 && a.rank == 0 { return b.dtype.promoted(withZeroDimensional: a.dtype) }
        return DType.promoted(a.dtype, b.dtype)
    }
}
