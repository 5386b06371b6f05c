// BFloat16 as text: the shortest decimal that reads back as the same number, in the manner of the standard library.

extension BFloat16: LosslessStringConvertible, CustomDebugStringConvertible {
    /// The shortest decimal that reads back as this number; exponential below 1e-4 and above 256 (= 2⁸, up to where
    /// every integer is a bfloat16 number), as `Float` does above 2²⁴.
    public var description: String {
        if isNaN { return sign == .minus ? "-nan" : "nan" }
        let prefix = sign == .minus ? "-" : ""
        if isInfinite { return prefix + "inf" }
        if isZero { return prefix + "0.0" }
        let (digits, exponent) = shortestDecimal
        return prefix + BFloat16.text(digits: digits, exponent: exponent, exponential: exponent < -4 || magnitude > 256)
    }

    /// The same as `description`.
    public var debugDescription: String { description }

    /// The number that a decimal or hexadecimal text means, read as a `Double` and rounded from there; nil if it is no
    /// number.
    public init?(_ text: some StringProtocol) {
        guard let value = Double(text) else { return nil }
        self.init(value)
    }

    /// The fewest decimal digits d₁d₂… with d₁.d₂… · 10^exponent rounding to the magnitude.
    ///
    /// Four digits are always enough (1 + ⌈8 log₁₀ 2⌉). `Float`'s digits are a stand-in for the exact expansion: they
    /// could choose another last digit only within 1e-8 of a tie, and every candidate is read back before it is taken.
    private var shortestDecimal: (digits: [UInt8], exponent: Int) {
        let exact = BFloat16.decimal(of: Float(magnitude))
        for length in 1...4 {
            let (digits, exponent) = BFloat16.rounded(exact.digits, exponent: exact.exponent, length: length)
            let candidate = BFloat16.text(digits: digits, exponent: exponent, exponential: true)
            if let value = Double(candidate), BFloat16(value) == magnitude { return (digits, exponent) }
        }
        return exact
    }

    /// The number d₁.d₂… · 10^exponent rounded to at most `length` digits, without trailing zeros.
    private static func rounded(_ exact: [UInt8], exponent: Int, length: Int) -> (digits: [UInt8], exponent: Int) {
        guard exact.count > length else { return (exact, exponent) }
        var digits = Array(exact[..<length])
        guard exact[length] >= 5 else { return (digits, exponent) }
        while digits.last == 9 { digits.removeLast() }
        guard let last = digits.last else { return ([1], exponent + 1) }
        digits[digits.count - 1] = last + 1
        return (digits, exponent)
    }

    /// The digits and the power of ten of the first one, taken from `Float`'s own shortest text.
    private static func decimal(of value: Float) -> (digits: [UInt8], exponent: Int) {
        let parts = value.description.split(separator: "e")
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        var exponent = (parts.count > 1 ? Int(parts[1]) ?? 0 : 0) + mantissa[0].count - 1
        var digits = parts[0].utf8.filter { $0 != UInt8(ascii: ".") }.map { $0 - UInt8(ascii: "0") }
        while digits.count > 1 && digits[0] == 0 {
            digits.removeFirst()
            exponent -= 1
        }
        while digits.count > 1 && digits.last == 0 { digits.removeLast() }
        return (digits, exponent)
    }

    private static func text(digits: [UInt8], exponent: Int, exponential: Bool) -> String {
        func string(_ digits: some Sequence<UInt8>) -> String { digits.map { String($0) }.joined() }
        if exponential {
            let fraction = digits.count > 1 ? "." + string(digits[1...]) : ""
            let size = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
            return "\(digits[0])\(fraction)e\(exponent < 0 ? "-" : "+")\(size)"
        }
        if exponent < 0 { return "0." + String(repeating: "0", count: -exponent - 1) + string(digits) }
        let whole = (0...exponent).map { $0 < digits.count ? digits[$0] : 0 }
        let fraction = digits.count > exponent + 1 ? string(digits[(exponent + 1)...]) : "0"
        return string(whole) + "." + fraction
    }
}
