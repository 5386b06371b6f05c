// bfloat16 as a Swift floating-point value: the storage, its bit fields and its constants.
// Conversions, arithmetic and text stand in BFloat16+*.swift.

/// A bfloat16 number: one sign bit, eight exponent bits (the range of `Float`), seven fraction bits.
///
/// Two to three decimal digits: the largest finite value is about 3.39e38, the spacing above 1 is 2⁻⁷. Arithmetic
/// widens to `Float` or `Double` and rounds once, to nearest with ties to even.
///
///     let a: BFloat16 = 0.1
///     print(a, Float(a), a.bitPattern)  // 0.1 0.100097656 15821
public struct BFloat16: Sendable {
    /// The encoding: sign in bit 15, exponent in bits 14 to 7, fraction in bits 6 to 0.
    public var bitPattern: UInt16

    /// The number that `bitPattern` encodes; all 65,536 patterns are allowed.
    @inlinable
    public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

    /// Zero.
    @inlinable
    public init() { bitPattern = 0 }
}

extension BFloat16: BinaryFloatingPoint {
    /// The type of absolute values.
    public typealias Magnitude = BFloat16
    /// The type of differences.
    public typealias Stride = BFloat16
    /// The type of exponents as numbers.
    public typealias Exponent = Int
    /// The type of the fraction bits.
    public typealias RawSignificand = UInt8
    /// The type of the exponent bits.
    public typealias RawExponent = UInt

    /// Eight.
    public static var exponentBitCount: Int { 8 }
    /// Seven.
    public static var significandBitCount: Int { 7 }

    /// Positive infinity.
    public static var infinity: BFloat16 { BFloat16(bitPattern: 0x7F80) }
    /// A quiet NaN with no payload.
    public static var nan: BFloat16 { BFloat16(bitPattern: 0x7FC0) }
    /// A signalling NaN: the top fraction bit is clear, as in `Float.signalingNaN`.
    public static var signalingNaN: BFloat16 { BFloat16(bitPattern: 0x7FA0) }
    /// 2¹²⁸ - 2¹²⁰, about 3.39e38.
    public static var greatestFiniteMagnitude: BFloat16 { BFloat16(bitPattern: 0x7F7F) }
    /// 2⁻¹²⁶.
    public static var leastNormalMagnitude: BFloat16 { BFloat16(bitPattern: 0x0080) }
    /// 2⁻¹³³, the smallest positive subnormal.
    public static var leastNonzeroMagnitude: BFloat16 { BFloat16(bitPattern: 0x0001) }
    /// 2⁻⁷, the spacing of numbers from 1 to 2.
    public static var ulpOfOne: BFloat16 { BFloat16(bitPattern: 0x3C00) }
    /// 3.140625: π rounded toward zero, as the standard library's types have it.
    public static var pi: BFloat16 { BFloat16(bitPattern: 0x4049) }

    /// The number with these fields; bits of `exponentBitPattern` and `significandBitPattern` beyond the fields are
    /// dropped.
    @inlinable
    public init(sign: FloatingPointSign, exponentBitPattern: UInt, significandBitPattern: UInt8) {
        let exponent = UInt16(truncatingIfNeeded: exponentBitPattern) & 0xFF
        bitPattern = (sign == .minus ? 0x8000 : 0) | exponent << 7 | UInt16(significandBitPattern & 0x7F)
    }

    /// `significand` · 2^`exponent`, negated for `.minus`, rounded once.
    public init(sign: FloatingPointSign, exponent: Int, significand: BFloat16) {
        // Exact in Double wherever the result is not far beyond both ends of the range, so it is rounded once.
        self.init(Double(sign: sign, exponent: exponent, significand: Double(significand)))
    }

    /// The magnitude of one number with the sign of another.
    @inlinable
    public init(signOf sign: BFloat16, magnitudeOf magnitude: BFloat16) {
        bitPattern = (sign.bitPattern & 0x8000) | (magnitude.bitPattern & 0x7FFF)
    }

    /// The sign bit, which zeros and NaNs have too.
    @inlinable
    public var sign: FloatingPointSign { bitPattern & 0x8000 == 0 ? .plus : .minus }
    /// The biased exponent, 0 to 255.
    @inlinable
    public var exponentBitPattern: UInt { UInt((bitPattern >> 7) & 0xFF) }
    /// The seven stored fraction bits.
    @inlinable
    public var significandBitPattern: UInt8 { UInt8(bitPattern & 0x7F) }

    // A bfloat16 number is a Float whose low 16 bits are zero, so its mathematical fields are that Float's.

    /// floor(log₂|x|), also of subnormals; `Int.min` for zero, `Int.max` for infinity and NaN.
    public var exponent: Int { Float(self).exponent }
    /// |x| / 2^exponent, in [1, 2) for finite numbers that are not zero.
    public var significand: BFloat16 { BFloat16(Float(self).significand) }
    /// The power of two at or below |x|, with the sign of x.
    public var binade: BFloat16 { BFloat16(Float(self).binade) }
    /// The number of fraction bits that the significand needs; -1 for zero, infinity and NaN.
    public var significandWidth: Int { Float(self).significandWidth }

    /// The distance to the next number away from zero (of the same binade); NaN for infinity and NaN.
    public var ulp: BFloat16 {
        guard isFinite else { return .nan }
        let exponent = Int(Swift.max(exponentBitPattern, 1)) - 127 - BFloat16.significandBitCount
        return BFloat16(Float(sign: .plus, exponent: exponent, significand: 1))
    }

    /// The least number that compares greater.
    public var nextUp: BFloat16 {
        if isNaN { return BFloat16(bitPattern: bitPattern | 0x0040) }
        if isZero { return .leastNonzeroMagnitude }
        if bitPattern == 0x7F80 { return self }
        return BFloat16(bitPattern: sign == .plus ? bitPattern + 1 : bitPattern - 1)
    }

    /// Whether the number is neither zero, subnormal, infinite nor NaN.
    public var isNormal: Bool { exponentBitPattern != 0 && exponentBitPattern != 0xFF }
    /// Whether the number is neither infinite nor NaN.
    @inlinable
    public var isFinite: Bool { bitPattern & 0x7F80 != 0x7F80 }
    /// Whether the number is 0 or -0.
    @inlinable
    public var isZero: Bool { bitPattern & 0x7FFF == 0 }
    /// Whether the number is below the least normal magnitude and not zero.
    public var isSubnormal: Bool { exponentBitPattern == 0 && !isZero }
    /// Whether the number is an infinity.
    @inlinable
    public var isInfinite: Bool { bitPattern & 0x7FFF == 0x7F80 }
    /// Whether the value is a NaN.
    @inlinable
    public var isNaN: Bool { bitPattern & 0x7FFF > 0x7F80 }
    /// Whether the value is a signalling NaN.
    public var isSignalingNaN: Bool { isNaN && bitPattern & 0x0040 == 0 }
    /// True: every encoding is canonical.
    public var isCanonical: Bool { true }

    /// |x|.
    @inlinable
    public var magnitude: BFloat16 { BFloat16(bitPattern: bitPattern & 0x7FFF) }
}

extension BFloat16: Hashable {
    /// Feeds the value: 0 and -0, which are equal, feed the same.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(isZero ? 0 : bitPattern)
    }
}
