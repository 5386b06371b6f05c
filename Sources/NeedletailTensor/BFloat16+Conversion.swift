// Conversions between BFloat16 and the other number types. Widening is exact; narrowing rounds once, to nearest even.

extension BFloat16 {
    /// `value` rounded to nearest, ties to even; |value| ≥ 2¹²⁸ - 2¹¹⁹ (bits 0x7F7F8000) becomes infinity.
    ///
    /// A NaN keeps its sign and the top seven fraction bits, and becomes quiet.
    @inlinable
    public init(_ value: Float) {
        let bits = value.bitPattern
        if bits & 0x7FFF_FFFF > 0x7F80_0000 {
            self.init(bitPattern: UInt16(truncatingIfNeeded: bits >> 16) | 0x0040)
        } else {
            // Adding 0x7FFF plus the lowest kept bit rounds to nearest even, and carries into infinity where it must.
            self.init(bitPattern: UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16))
        }
    }

    /// `value` rounded once, to nearest, ties to even; a NaN is treated as by the conversion from `Float`.
    public init(_ value: Double) {
        if value.isNaN {
            let bits = value.bitPattern
            let sign = UInt16(truncatingIfNeeded: bits >> 48) & 0x8000
            self.init(bitPattern: sign | 0x7FC0 | UInt16(truncatingIfNeeded: bits >> 45) & 0x7F)
        } else {
            self.init(Float(roundingToOdd: value))
        }
    }

    #if !(os(macOS) && arch(x86_64))
        /// `value` rounded to nearest, ties to even; never overflows.
        public init(_ value: Float16) { self.init(Float(value)) }
    #endif

    #if arch(x86_64) && !os(Windows) && !os(Android)
        /// `value` rounded once, to nearest, ties to even.
        public init(_ value: Float80) { self.init(Double(roundingToOdd: value)) }
    #endif

    /// The same number.
    @inlinable
    public init(_ value: BFloat16) { self = value }

    /// `value` rounded once, to nearest, ties to even, from any binary floating-point type.
    public init<Source: BinaryFloatingPoint>(_ value: Source) {
        switch value {
        case let value as BFloat16: self = value
        case let value as Float: self.init(value)
        case let value as Double: self.init(value)
        default: self.init(Double(roundingToOdd: value))
        }
    }

    /// `value` if it is a bfloat16 number, else nil; nil for NaN.
    public init?<Source: BinaryFloatingPoint>(exactly value: Source) {
        self.init(value)
        guard Source(self) == value else { return nil }
    }

    /// `value` rounded to nearest, ties to even.
    public init(_ value: Int) { self.init(rounding: value) }

    /// `value` rounded once, to nearest, ties to even; infinity from 2¹²⁸ - 2¹¹⁹.
    public init<Source: BinaryInteger>(_ value: Source) { self.init(rounding: value) }

    /// `value` if it is a bfloat16 number, else nil.
    public init?<Source: BinaryInteger>(exactly value: Source) {
        self.init(rounding: value)
        guard isFinite, Source(exactly: Double(self)) == value else { return nil }
    }

    /// The integer's highest 32 bits, the lowest of them set if any bit below was (rounding to odd), then rounded to
    /// nearest.
    private init<Source: BinaryInteger>(rounding value: Source) {
        let words = Array(value.magnitude.words)
        guard let top = words.lastIndex(where: { $0 != 0 }) else {
            self.init()
            return
        }
        let leading = words[top].leadingZeroBitCount
        var significand = words[top] << leading
        var rest: UInt = 0
        if top > 0 {
            if leading > 0 { significand |= words[top - 1] >> (UInt.bitWidth - leading) }
            rest = words[top - 1] << leading
            for word in words[..<(top - 1)] { rest |= word }
        }
        // 32 bits are kept: exact in Double, whose rounding to BFloat16 is the one rounding.
        let shift = UInt.bitWidth - 32
        if significand << (UInt.bitWidth - shift) != 0 { rest = 1 }
        let kept = Double(UInt32(truncatingIfNeeded: significand >> shift) | (rest != 0 ? 1 : 0))
        let exponent = top * UInt.bitWidth + UInt.bitWidth - leading - 32
        self.init(Double(sign: value < 0 ? .minus : .plus, exponent: Swift.min(exponent, 500), significand: kept))
    }
}

extension BFloat16: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
    /// The literal, read as a `Double` and rounded from there.
    public init(floatLiteral value: Double) { self.init(value) }
    /// The literal, rounded to nearest, ties to even.
    public init(integerLiteral value: Int) { self.init(value) }
}

extension BFloat16: Codable {
    /// Reads what `encode` wrote: a `Float`, rounded to nearest even.
    ///
    /// Throws `DecodingError.dataCorrupted` for a finite number beyond the range of bfloat16.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let value = try container.decode(Float.self)
        self.init(value)
        if isInfinite && value.isFinite {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription:
                    "found \(value), expected a number of magnitude up to 3.39e+38 (bfloat16); store it as Float")
        }
    }

    /// Writes the number as a `Float`, as the standard library's `Float16` does.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(Float(self))
    }
}

extension Float {
    /// The same number, exactly; a NaN's bits are kept.
    @inlinable
    public init(_ value: BFloat16) { self.init(bitPattern: UInt32(value.bitPattern) << 16) }
}

extension Double {
    /// The same number, exactly.
    @inlinable
    public init(_ value: BFloat16) { self.init(Float(value)) }
}

#if !(os(macOS) && arch(x86_64))
    extension Float16 {
        /// `value` rounded to nearest, ties to even; infinity from 65520.
        @inlinable
        public init(_ value: BFloat16) { self.init(Float(value)) }
    }
#endif

extension Float {
    /// `value` if exact, else the one of its two neighbours whose last bit is set: rounding to odd.
    ///
    /// Rounding this to nearest in a format with at least two bits less gives `value` rounded once: the set last bit
    /// keeps "just beside a tie" apart from "a tie" (Boldo and Melquiond, IEEE Trans. Computers 57, 2008).
    fileprivate init(roundingToOdd value: Double) {
        self.init(value)
        let back = Double(self)
        guard back != value else { return }
        // One step toward zero where the conversion went away from it, infinity included.
        self.init(bitPattern: (back.magnitude > value.magnitude ? bitPattern - 1 : bitPattern) | 1)
    }
}

extension Double {
    /// `value` rounded to odd, as `Float(roundingToOdd:)`, from a format that may be wider; NaN stays NaN.
    fileprivate init<Source: BinaryFloatingPoint>(roundingToOdd value: Source) {
        self.init(value)
        let back = Source(self)
        guard back != value, !value.isNaN else { return }
        self.init(bitPattern: (back.magnitude > value.magnitude ? bitPattern - 1 : bitPattern) | 1)
    }
}
