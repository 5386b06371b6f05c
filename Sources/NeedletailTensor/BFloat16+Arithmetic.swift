// Arithmetic and comparison of BFloat16.
//
// + - * / and the square root are done in Float and rounded to bfloat16: two roundings that give the same as one. In
// the normal range that holds because 24 >= 2 * 8 + 2 (Figueroa, "When is double rounding innocuous?", SIGNUM 30,
// 1995). Both formats have the same exponent range, so where results are subnormal (bfloat16: multiples of 2^-133,
// Float: of 2^-149):
// - a sum or difference is a multiple of 2^-133 and thus exact in Float;
// - a product has at most 16 bits, so above 2^-134, half the least subnormal, it is a multiple of 2^-149 and exact;
//   below, Float's rounding reaches at most 2^-134, a tie that goes to 0 as the exact product does;
// - a quotient differs from a tie m = (2k+1) 2^-134 by |x - m y| / |y|, which is 0 or more than 2^-143, but Float's
//   rounding moves it by at most 2^-150;
// - a square root is never subnormal.
// The tests compare with Double, exhaustively over significands.

extension BFloat16 {
    /// x + y, rounded once.
    @inlinable
    public static func + (x: BFloat16, y: BFloat16) -> BFloat16 { BFloat16(Float(x) + Float(y)) }
    /// x - y, rounded once.
    @inlinable
    public static func - (x: BFloat16, y: BFloat16) -> BFloat16 { BFloat16(Float(x) - Float(y)) }
    /// x · y, rounded once.
    @inlinable
    public static func * (x: BFloat16, y: BFloat16) -> BFloat16 { BFloat16(Float(x) * Float(y)) }
    /// x / y, rounded once.
    @inlinable
    public static func / (x: BFloat16, y: BFloat16) -> BFloat16 { BFloat16(Float(x) / Float(y)) }

    /// x = x + y.
    @inlinable
    public static func += (x: inout BFloat16, y: BFloat16) { x = x + y }
    /// x = x - y.
    @inlinable
    public static func -= (x: inout BFloat16, y: BFloat16) { x = x - y }
    /// x = x · y.
    @inlinable
    public static func *= (x: inout BFloat16, y: BFloat16) { x = x * y }
    /// x = x / y.
    @inlinable
    public static func /= (x: inout BFloat16, y: BFloat16) { x = x / y }

    /// x with the other sign, also of zeros and NaNs.
    @inlinable
    public static prefix func - (x: BFloat16) -> BFloat16 { BFloat16(bitPattern: x.bitPattern ^ 0x8000) }
    /// Flips the sign, also of zeros and NaNs.
    @inlinable
    public mutating func negate() { bitPattern ^= 0x8000 }

    /// The square root, rounded once; NaN below -0.
    public mutating func formSquareRoot() { self = BFloat16(Float(self).squareRoot()) }

    /// self + x · y, rounded once.
    public mutating func addProduct(_ x: BFloat16, _ y: BFloat16) {
        // Float would not do: 24 bits are too few for innocuous double rounding of a sum of 8- and 16-bit numbers. The
        // product is exact in Double; the sum's rounding error is exact too (Knuth's two-sum; nothing here overflows
        // or is subnormal in Double) and turns the sum into one rounded to odd, which loses nothing before the last
        // rounding.
        let product = Double(x) * Double(y)
        let addend = Double(self)
        var sum = product + addend
        if sum.isFinite {
            let partOfAddend = sum - product
            let error = (product - (sum - partOfAddend)) + (addend - partOfAddend)
            if error != 0 && sum.significandBitPattern & 1 == 0 { sum = error > 0 ? sum.nextUp : sum.nextDown }
        }
        self = BFloat16(sum)
    }

    /// The IEEE 754 remainder: self - y · n, n the integer nearest to self / y; exact.
    public mutating func formRemainder(dividingBy other: BFloat16) {
        self = BFloat16(Float(self).remainder(dividingBy: Float(other)))
    }

    /// The remainder of truncating division, with the sign of self; exact.
    public mutating func formTruncatingRemainder(dividingBy other: BFloat16) {
        self = BFloat16(Float(self).truncatingRemainder(dividingBy: Float(other)))
    }

    /// Rounds to an integral value by `rule`; exact, as every integer below 2⁸ is a bfloat16 number.
    public mutating func round(_ rule: FloatingPointRoundingRule) { self = BFloat16(Float(self).rounded(rule)) }

    /// x == y in IEEE 754's sense: 0 equals -0, NaN equals nothing.
    @inlinable
    public func isEqual(to other: BFloat16) -> Bool { Float(self) == Float(other) }
    /// x < y; false where either is NaN.
    @inlinable
    public func isLess(than other: BFloat16) -> Bool { Float(self) < Float(other) }
    /// x <= y; false where either is NaN.
    @inlinable
    public func isLessThanOrEqualTo(_ other: BFloat16) -> Bool { Float(self) <= Float(other) }

    /// other - self, rounded.
    public func distance(to other: BFloat16) -> BFloat16 { other - self }
    /// self + amount, rounded.
    public func advanced(by amount: BFloat16) -> BFloat16 { self + amount }
}
