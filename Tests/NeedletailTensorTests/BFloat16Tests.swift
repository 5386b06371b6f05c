// BFloat16 against its definition: every pattern, every rounding boundary, arithmetic against Double rounded once.
import Foundation
import NeedletailTensor
import Testing

/// Every finite number, from -greatest to +greatest in bit order of the magnitude.
private let finitePatterns: [UInt16] = (0...UInt16.max).filter { $0 & 0x7F80 != 0x7F80 }

/// `x` rounded to the nearest multiple of 2^(floor(log2 |x|) - 7), not below 2^-133, ties to even: the formula. The scalings are
/// by powers of two and thus exact.
private func reference(_ x: Double) -> Double {
    guard x.isFinite, x != 0 else { return x }
    let quantum = Double(sign: .plus, exponent: max(x.exponent, -126) - 7, significand: 1)
    let rounded = (x / quantum).rounded(.toNearestOrEven) * quantum
    return rounded.magnitude >= 0x1p128 ? .infinity * (x < 0 ? -1 : 1) : rounded
}

private func same(_ x: BFloat16, _ y: Double) -> Bool {
    x.isNaN ? y.isNaN : Double(x) == y && (x.sign == y.sign)
}

private func report(_ failures: [String]) {
    #expect(failures.isEmpty, "\(failures.count) failures, first: \(failures.prefix(5).joined(separator: "; "))")
}

@Suite struct BFloat16Tests {
    @Test func everyPatternWidensExactlyAndReturns() {
        var failures: [String] = []
        for bits in 0...UInt16.max {
            let x = BFloat16(bitPattern: bits)
            let quiet = x.isNaN ? bits | 0x40 : bits
            let ok =
                Float(x).bitPattern == UInt32(bits) << 16 && BFloat16(Float(x)).bitPattern == quiet
                && BFloat16(Double(x)).bitPattern == quiet
                && (x.isNaN || (Double(x) == Double(Float(x)) && BFloat16(exactly: Double(x)) == x))
            if !ok { failures.append(String(bits, radix: 16)) }
        }
        report(failures)
    }

    @Test func fieldsOfEveryPattern() {
        var failures: [String] = []
        for bits in 0...UInt16.max {
            let x = BFloat16(bitPattern: bits)
            let (e, f) = (Int(bits >> 7) & 0xFF, Int(bits) & 0x7F)
            var ok =
                x.sign == (bits >> 15 == 1 ? .minus : .plus) && x.exponentBitPattern == UInt(e)
                && x.significandBitPattern == UInt8(f) && x.isFinite == (e < 255) && x.isNormal == (e > 0 && e < 255)
                && x.isSubnormal == (e == 0 && f > 0) && x.isZero == (e == 0 && f == 0)
                && x.isInfinite == (e == 255 && f == 0) && x.isNaN == (e == 255 && f > 0)
                && x.isSignalingNaN == (e == 255 && f > 0 && f < 64) && (-x).bitPattern == bits ^ 0x8000
                && x.magnitude.bitPattern == bits & 0x7FFF
                && BFloat16(
                    sign: x.sign, exponentBitPattern: x.exponentBitPattern,
                    significandBitPattern: x.significandBitPattern
                ).bitPattern == bits
            if x.isFinite && !x.isZero {
                let significand = Double(x.significand)
                ok =
                    ok && significand >= 1 && significand < 2
                    && significand * Double(sign: x.sign, exponent: x.exponent, significand: 1) == Double(x)
                    && Double(x.binade) == Double(sign: x.sign, exponent: x.exponent, significand: 1)
                    && BFloat16(sign: x.sign, exponent: x.exponent, significand: x.significand) == x
                    && (significand * Double(1 << x.significandWidth)).remainder(dividingBy: 2).magnitude == 1
            } else {
                ok = ok && x.exponent == (x.isZero ? Int.min : Int.max) && x.significandWidth == -1
            }
            if !ok { failures.append(String(bits, radix: 16)) }
        }
        report(failures)
    }

    @Test func constants() {
        #expect(Double(BFloat16.greatestFiniteMagnitude) == 0x1.FEp127)
        #expect(Double(BFloat16.leastNormalMagnitude) == 0x1p-126)
        #expect(Double(BFloat16.leastNonzeroMagnitude) == 0x1p-133)
        #expect(Double(BFloat16.ulpOfOne) == 0x1p-7 && BFloat16(1).nextUp - 1 == BFloat16.ulpOfOne)
        #expect(BFloat16.pi < BFloat16(4) && Double(BFloat16.pi) == 3.140625)
        #expect(BFloat16.nan.isNaN && !BFloat16.nan.isSignalingNaN && BFloat16.signalingNaN.isSignalingNaN)
        #expect(BFloat16().isZero && BFloat16(signOf: -1, magnitudeOf: 3) == -3)
        #expect(BFloat16.infinity.exponent == .max && BFloat16.radix == 2)
    }

    /// Every boundary between neighbours, and the Float and Double numbers on both sides of it.
    @Test func roundingBoundaries() {
        var failures: [String] = []
        for bits in UInt16(0)..<0x7F80 {
            let even = bits & 1 == 0 ? bits : bits + 1
            for sign in [UInt16(0), 0x8000] {
                let tie = Float(bitPattern: UInt32(sign | bits) << 16 | 0x8000)
                let below = Float(bitPattern: tie.bitPattern - 1)
                let above = Float(bitPattern: tie.bitPattern + 1)
                let wide = Double(tie)
                let outward = sign == 0 ? wide.nextUp : wide.nextDown
                let inward = sign == 0 ? wide.nextDown : wide.nextUp
                let ok =
                    BFloat16(tie).bitPattern == sign | even && BFloat16(below).bitPattern == sign | bits
                    && BFloat16(above).bitPattern == sign | (bits + 1) && BFloat16(wide).bitPattern == sign | even
                    && BFloat16(inward).bitPattern == sign | bits && BFloat16(outward).bitPattern == sign | (bits + 1)
                if !ok { failures.append(String(sign | bits, radix: 16)) }
            }
        }
        report(failures)
        #expect(BFloat16(Double.greatestFiniteMagnitude) == .infinity)
        #expect(BFloat16(-Double.leastNonzeroMagnitude).bitPattern == 0x8000)
        #expect(BFloat16(Float(bitPattern: 0x7F7F_7FFF)) == .greatestFiniteMagnitude)
        #expect(BFloat16(Float(bitPattern: 0x7F7F_8000)) == .infinity)
    }

    #if arch(x86_64) && !os(Windows) && !os(Android)
        @Test func float80RoundsOnce() {
            for bits in stride(from: UInt16(0x80), to: 0x7F00, by: 37) {
                let tie = Float80(Float(bitPattern: UInt32(bits) << 16 | 0x8000))
                #expect(BFloat16(tie.nextUp).bitPattern == bits + 1)
                #expect(BFloat16(tie.nextDown).bitPattern == bits)
                #expect(BFloat16(tie).bitPattern == bits + (bits & 1))
            }
            #expect(BFloat16(Float80.greatestFiniteMagnitude) == .infinity)
            #expect(BFloat16(Float80.leastNonzeroMagnitude).bitPattern == 0)
        }
    #endif

    @Test func nanKeepsSignAndTopPayloadBits() {
        for (float, expected) in [
            (0x7F80_0001, 0x7FC0), (0xFF80_0001, 0xFFC0), (0x7FD5_1234, 0x7FD5), (0xFFBF_FFFF, 0xFFFF),
        ] as [(UInt32, UInt16)] {
            let value = Float(bitPattern: float)
            #expect(BFloat16(value).bitPattern == expected)
            let double = UInt64(float & 0x8000_0000) << 32 | 0x7FF0_0000_0000_0000 | UInt64(float & 0x7F_FFFF) << 29
            #expect(BFloat16(Double(bitPattern: double)).bitPattern == expected)
        }
        #expect(BFloat16(Double(bitPattern: 0x7FF0_0000_0000_0001)).bitPattern == 0x7FC0)
        #expect(BFloat16(exactly: Double.nan) == nil && BFloat16(exactly: Float.nan) == nil)
    }

    @Test func float16BothWays() {
        var failures: [String] = []
        for bits in 0...UInt16.max {
            let half = Float16(bitPattern: bits)
            if !same(BFloat16(half), reference(Double(half))) { failures.append("from \(bits)") }
            let x = BFloat16(bitPattern: bits)
            if !x.isNaN && Float16(x) != Float16(Float(x)) || x.isNaN != Float16(x).isNaN {
                failures.append("to \(bits)")
            }
        }
        report(failures)
        #expect(Float16(BFloat16(65536)) == .infinity)
    }

    /// Integers: the result is a nearest one, an even one at ties, judged in Int128.
    @Test func integersRoundOnce() {
        var generator = SeededGenerator(seed: 3)
        var failures: [String] = []
        var values: [Int128] = [
            0, 1, -1, 255, 256, 257, 258, 259, 384, 385, -257, Int128(Int64.min), Int128(UInt64.max),
        ]
        for power in 8...120 {
            let base = Int128(1) << power
            let half = base >> 8
            values += [base, base + half, base + half - 1, base + half + 1, base + 3 * half, -(base + 3 * half + 1)]
            values.append((Int128(generator.next() >> 1) << 64 | Int128(generator.next())) >> (127 - power))
        }
        for value in values {
            let x = BFloat16(value)
            let error = (value - Int128(x)).magnitude
            var ok = x.isFinite
            for neighbour in [x.nextUp, x.nextDown] where neighbour.isFinite && x.magnitude > 128 {
                let other = (value - Int128(neighbour)).magnitude
                ok = ok && (error < other || (error == other && x.bitPattern & 1 == 0))
            }
            ok = ok && (x.magnitude > 128 || error == 0)
            ok = ok && BFloat16(exactly: value) == (error == 0 ? x : nil)
            if let narrow = Int64(exactly: value) { ok = ok && BFloat16(narrow) == x }
            if let narrow = UInt64(exactly: value) { ok = ok && BFloat16(narrow) == x }
            if !ok { failures.append("\(value) -> \(x)") }
        }
        report(failures)
        #expect(BFloat16(UInt128.max) == .infinity && BFloat16(exactly: UInt128.max) == nil)
        #expect(Int(BFloat16(3.7)) == 3 && Int(BFloat16(-200)) == -200 && Int8(exactly: BFloat16(128)) == nil)
        #expect(BFloat16(Int.min) == -0x1p63 && BFloat16(exactly: Int.max) == nil)
    }

    @Test func genericCodeConvertsExactly() {
        func through<T: BinaryFloatingPoint>(_ x: BFloat16, _ type: T.Type) -> BFloat16 { BFloat16(T(x)) }
        for bits in stride(from: UInt16(0), to: 0x7F80, by: 11) {
            let x = BFloat16(bitPattern: bits)
            #expect(through(x, Float.self) == x && through(x, Double.self) == x && through(x, BFloat16.self) == x)
        }
        #expect(through(.infinity, Double.self) == .infinity && through(.nan, Double.self).isNaN)
    }

    @Test func orderOfAllNumbers() {
        var x = -BFloat16.infinity
        var failures: [String] = []
        var steps = 0
        while x < .infinity {
            let y = x.nextUp
            let ok =
                x < y && x <= y && y > x && !(y < x) && x != y && y.nextDown == x
                && x.isTotallyOrdered(belowOrEqualTo: y)
                && (x.isInfinite || y.isInfinite || Double(x).magnitude > Double(y).magnitude
                    || Double(x.ulp) == Double(y) - Double(x))
            if !ok { failures.append("\(x) \(y)") }
            x = y
            steps += 1
        }
        report(failures)
        #expect(steps == 2 * 0x7F80)  // 0x7F7F magnitudes and infinity a side; the two zeros are one place
        #expect(BFloat16(0) == -BFloat16(0) && BFloat16(0).hashValue == (-BFloat16(0)).hashValue)
        let missing = BFloat16(bitPattern: 0xFFC1)
        #expect(missing != missing && !(missing < 1) && !(missing > 1) && !(missing <= missing))
        #expect(BFloat16.infinity.nextUp == .infinity && BFloat16.signalingNaN.nextUp.bitPattern == 0x7FE0)
        #expect(BFloat16.infinity.ulp.isNaN && BFloat16(0).ulp == .leastNonzeroMagnitude)
        #expect(Set([BFloat16(1), 1, 2]).count == 2 && BFloat16.minimum(2, .nan) == 2 && max(BFloat16(1), 2) == 2)
    }

    /// All pairs of significands at exponents that give equal, shifted, cancelling, subnormal and overflowing results. Products
    /// and quotients rounded in Double (53 >= 2 * 8 + 2, no subnormals) and then here are rounded once; so are sums
    /// of numbers whose exponents differ by at most 44.
    @Test(arguments: [
        (127, 127), (127, 126), (127, 119), (127, 118), (130, 100), (1, 0), (0, 0), (2, 1), (60, 60), (63, 57),
        (254, 254),
        (254, 128), (3, 130), (10, 127), (0, 128),
    ])
    func arithmetic(exponents: (Int, Int)) {
        var failures: [String] = []
        for i in UInt16(0)..<128 {
            let x = BFloat16(bitPattern: UInt16(exponents.0) << 7 | i)
            let wideX = Double(x)
            for j in UInt16(0)..<128 {
                let y = BFloat16(bitPattern: UInt16(exponents.1) << 7 | j | (i & 1) << 15)
                let wideY = Double(y)
                var ok = same(x * y, reference(wideX * wideY)) && same(x / y, reference(wideX / wideY))
                if abs(exponents.0 - exponents.1) <= 44 {
                    ok = ok && same(x + y, reference(wideX + wideY)) && same(x - y, reference(wideX - wideY))
                }
                if !ok { failures.append("\(x) and \(y)") }
            }
        }
        report(failures)
    }

    @Test func squareRootsRemaindersAndRounding() {
        var failures: [String] = []
        for bits in finitePatterns {
            let x = BFloat16(bitPattern: bits)
            let ok =
                same(x.squareRoot(), reference(Double(x).squareRoot()))
                && same(x.rounded(), Double(x).rounded()) && same(x.rounded(.down), Double(x).rounded(.down))
                && same(x.remainder(dividingBy: 3), Double(x).remainder(dividingBy: 3))
                && same(x.truncatingRemainder(dividingBy: 0.75), Double(x).truncatingRemainder(dividingBy: 0.75))
            if !ok { failures.append("\(x)") }
        }
        report(failures)
        var x: BFloat16 = 3
        x += 2
        x *= 4
        x -= 8
        x /= 3
        x.negate()
        #expect(x == -4 && x.distance(to: 1) == 5 && x.advanced(by: 1) == -3)
        #expect(Array(stride(from: BFloat16(0), to: 1, by: 0.25)) == [0, 0.25, 0.5, 0.75])
    }

    /// self + x y in exact integers: the product scaled by 2^a and the addend by 2^b, |a - b| <= 90, summed in Int128.
    @Test func addProductRoundsOnce() {
        var generator = SeededGenerator(seed: 11)
        var failures: [String] = []
        for trial in 0..<20_000 {
            let x = BFloat16(128 + generator.nextInteger(below: 128))
            let y = BFloat16(128 + generator.nextInteger(below: 128))
            let z = BFloat16(128 + generator.nextInteger(below: 128)) * (trial & 1 == 0 ? 1 : -1)
            let shift = generator.nextInteger(below: 90)
            let scale = BFloat16(sign: .plus, exponent: shift, significand: 1)
            let productAbove = trial & 2 == 0
            let exact =
                productAbove ? Int128(x) * Int128(y) << shift + Int128(z) : Int128(x) * Int128(y) + Int128(z) << shift
            let got = productAbove ? z.addingProduct(x * scale, y) : (z * scale).addingProduct(x, y)
            if got != BFloat16(exact) { failures.append("\(z) + \(x) * \(y), 2^\(shift): got \(got)") }
        }
        report(failures)
        // 259 = 7 * 37 and 261 = 9 * 29 are ties between multiples of 2; an addend far below Double's last bit decides them.
        let tiny = BFloat16.leastNonzeroMagnitude
        #expect(BFloat16(0).addingProduct(7, 37) == 260 && (-tiny).addingProduct(7, 37) == 258)
        #expect(BFloat16(0).addingProduct(9, 29) == 260 && tiny.addingProduct(9, 29) == 262)
        #expect(BFloat16.infinity.addingProduct(-.infinity, 1).isNaN)
        #expect((-BFloat16(0)).addingProduct(0, -1).sign == .minus)
    }
}
