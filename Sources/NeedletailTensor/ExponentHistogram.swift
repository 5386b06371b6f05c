// What exponents the values of tensors have, and how many of them float16 and bfloat16 cannot hold.

/// Counts of floating-point values by their binary exponent, and of those at which a 16-bit type would fail.
///
/// A value x that is finite and not zero counts under floor(log2 |x|). What becomes of it in a 16-bit type follows the
/// conversions, which round to nearest, ties to even:
///
/// | type | becomes zero | subnormal | becomes infinite |
/// |---|---|---|---|
/// | float16 | at most 2^-25 | above that, below 2^-14 | from 65520 |
/// | bfloat16 | at most 2^-134 | above that, below 2^-126 | from (2 - 2^-8) 2^127, bits 0x7F7F8000 |
public struct ExponentHistogram: Sendable, Equatable {
    /// Counts of values that a 16-bit type represents badly, zeros, infinities and NaN left out.
    public struct Losses: Sendable, Equatable {
        /// Values that round to zero.
        public package(set) var flushed = 0
        /// Values in the subnormal range, where fewer bits are kept.
        public package(set) var subnormal = 0
        /// Finite values that round to infinity.
        public package(set) var saturated = 0
    }

    /// The exponents that a float64, and so every value, can have.
    public static let exponents = -1074...1023

    /// How many values have each of ``exponents``.
    public package(set) var counts = [Int](repeating: 0, count: exponents.count)
    /// How many values are finite and not zero: the sum of ``counts``.
    public package(set) var finiteNonZero = 0
    /// How many values are zero.
    public package(set) var zeros = 0
    /// How many values are infinite or NaN.
    public package(set) var nonFinite = 0
    /// The smallest magnitude of a value that is not zero; infinite where there is none.
    public package(set) var smallest = Double.infinity
    /// The largest finite magnitude; 0 where there is none.
    public package(set) var largest = 0.0
    /// What float16 would lose.
    public package(set) var float16 = Losses()
    /// What bfloat16 would lose.
    public package(set) var bfloat16 = Losses()

    /// A histogram of no values.
    public init() {}

    /// How many values were counted.
    public var total: Int { finiteNonZero + zeros + nonFinite }

    /// How many values have an exponent; 0 outside of ``exponents``.
    public subscript(exponent: Int) -> Int {
        Self.exponents.contains(exponent) ? counts[exponent - Self.exponents.lowerBound] : 0
    }

    /// The smallest and the largest exponent that occur; nil where every value is zero or not finite.
    public var occupied: ClosedRange<Int>? {
        guard let first = counts.firstIndex(where: { $0 > 0 }), let last = counts.lastIndex(where: { $0 > 0 }) else {
            return nil
        }
        return first + Self.exponents.lowerBound...last + Self.exponents.lowerBound
    }

    /// Adds another histogram's counts.
    public static func += (a: inout ExponentHistogram, b: ExponentHistogram) {
        for index in a.counts.indices { a.counts[index] += b.counts[index] }
        a.finiteNonZero += b.finiteNonZero
        a.zeros += b.zeros
        a.nonFinite += b.nonFinite
        a.smallest = min(a.smallest, b.smallest)
        a.largest = max(a.largest, b.largest)
        a.float16.add(b.float16)
        a.bfloat16.add(b.bfloat16)
    }
}

extension ExponentHistogram.Losses {
    fileprivate mutating func add(_ other: Self) {
        flushed += other.flushed
        subnormal += other.subnormal
        saturated += other.saturated
    }
}
