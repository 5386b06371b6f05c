import CSIMD
import Glibc
import Testing

/// Unary and binary operations on every row: float32 against formulas in Double, 16 bit against float32 (one rounding of the
/// same row's float32 result), float64 against the formulas, then tails, threads, broadcasting and aliasing.
@Suite struct ElementwiseTests {
    struct Function: Sendable, CustomTestStringConvertible {
        let name: String
        let op: csimd_unary_op
        /// Largest error in float32 ulps of the exact result; CSIMD.h promises 2 (exp, log, tanh, sigmoid) and 4 (gelu, silu).
        let ulps: Double
        let exact: @Sendable (Double) -> Double
        var testDescription: String { name }
    }

    static func sigmoid(_ x: Double) -> Double { x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)) }
    static func normalDistribution(_ x: Double) -> Double { 0.5 * erfc(-x * 0.5.squareRoot()) }
    static func normalDensity(_ x: Double) -> Double { exp(-0.5 * x * x) / (2 * Double.pi).squareRoot() }

    /// The argument of the sigmoid in the tanh form of gelu, and its derivative.
    static func geluTanhArgument(_ x: Double) -> Double { 1.5957691216057307 * (x + 0.044715 * x * x * x) }
    static func geluTanhSlope(_ x: Double) -> Double { 1.5957691216057307 * (1 + 0.134145 * x * x) }
    static func geluTanh(_ x: Double) -> Double { x == -.infinity ? -0.0 : x * sigmoid(geluTanhArgument(x)) }

    /// Its derivative, and what the magnitudes of that one's two terms sum to.
    static func geluTanhDerivative(_ x: Double) -> (value: Double, terms: Double) {
        if abs(x) > 100 { return x > 0 ? (1, 1) : (0, 0) }
        let w = geluTanhArgument(x), s = sigmoid(w), rest = x * geluTanhSlope(x) * sigmoid(-w)
        return (s * (1 + rest), s * (1 + abs(rest)))
    }

    // The bounds of vector_math_body.h: largest errors measured over every 211th float32, rounded up. The square and the root
    // are one correctly rounded operation, half an ulp.
    static let functions: [Function] = [
        Function(name: "exp", op: CSIMD_EXP, ulps: 1.1) { exp($0) },
        Function(name: "log", op: CSIMD_LOG, ulps: 1) { log($0) },
        Function(name: "tanh", op: CSIMD_TANH, ulps: 1.5) { tanh($0) },
        Function(name: "sigmoid", op: CSIMD_SIGMOID, ulps: 1.1) { sigmoid($0) },
        Function(name: "silu", op: CSIMD_SILU, ulps: 1.1) { $0 == -.infinity ? -0.0 : $0 * sigmoid($0) },
        Function(name: "gelu", op: CSIMD_GELU, ulps: 3.5) { $0 == -.infinity ? -0.0 : $0 * normalDistribution($0) },
        Function(name: "gelu tanh", op: CSIMD_GELU_TANH, ulps: 1.6) { geluTanh($0) },
        Function(name: "sqrt", op: CSIMD_SQRT, ulps: 0.5) { $0.squareRoot() },
        Function(name: "power 2", op: CSIMD_POWER, ulps: 0.5) { $0 * $0 },
    ]

    /// Distance between neighbours of float32 around |x|, without an upper end of the exponents.
    static func ulp(_ x: Double) -> Double {
        let magnitude = abs(x)
        return magnitude < 0x1p-126
            ? 0x1p-149 : Double(sign: .plus, exponent: min(magnitude.exponent, 127) - 23, significand: 1)
    }

    /// Every 40,009th float32, all special values, and the neighbourhood of points where a formula changes or overflows.
    static let sweep: [Float] = {
        var x = stride(from: UInt64(0), through: UInt64(UInt32.max), by: 40_009).map { Float(bitPattern: UInt32($0)) }
        x += [
            0, -0.0, .infinity, -.infinity, .nan, .leastNonzeroMagnitude, .leastNormalMagnitude,
            .greatestFiniteMagnitude,
        ]
        let points: [Float] = [
            88.72284, -87.33655, -103.97208, 0.625, -0.625, 1, 0.70710677, -13, -14.2, -14.4, -15, 15, 120, -108, -120,
            -10.8, 11, -11,
        ]
        for point in points { x += (-40...40).map { Float(bitPattern: point.bitPattern &+ UInt32(bitPattern: $0)) } }
        x += (-4000...4000).map { Float($0) / 32 }
        return x
    }()

    func unary(_ op: csimd_unary_op, _ x: [Float], _ p: Double = 0, _ q: Double = 0) -> [Float] {
        var y = [Float](repeating: -1, count: x.count)
        #expect(csimd_unary(op, CSIMD_F32, x.count, x, p, q, &y) == CSIMD_OK)
        return y
    }

    func binary(_ op: csimd_binary_op, _ a: [Float], _ b: [Float]) -> [Float] {
        var y = [Float](repeating: -1, count: a.count)
        a.withUnsafeBytes { a in
            b.withUnsafeBytes { b in
                let left = csimd_operand(base: a.baseAddress, row_stride: y.count, column_stride: 1)
                let right = csimd_operand(base: b.baseAddress, row_stride: y.count, column_stride: 1)
                #expect(csimd_binary(op, CSIMD_F32, 1, y.count, left, right, &y) == CSIMD_OK)
            }
        }
        return y
    }

    func round(_ x: [Float], to type: csimd_type) -> [UInt16] {
        var y = [UInt16](repeating: 0, count: x.count)
        #expect(csimd_convert(CSIMD_F32, x, type, &y, x.count) == CSIMD_OK)
        return y
    }

    func widen(_ x: [UInt16], from type: csimd_type) -> [Float] {
        var y = [Float](repeating: 0, count: x.count)
        #expect(csimd_convert(type, x, CSIMD_F32, &y, x.count) == CSIMD_OK)
        return y
    }

    func sameBits(_ a: Float, _ b: Float) -> Bool { a.bitPattern == b.bitPattern || (a.isNaN && b.isNaN) }

    /// The first element with `error <= bound` false, in words; NaN and infinite results have to be met exactly.
    func violation(
        _ x: [Float], _ got: [Float], _ label: String, exact: (Double) -> Double,
        bound: (_ x: Double, _ y: Double) -> Double
    ) -> String? {
        for index in x.indices {
            let expected = exact(Double(x[index]))
            let y = got[index]
            let ok: Bool
            if expected.isNaN || expected.isInfinite {
                ok = sameBits(Float(expected), y)
            } else if y.isInfinite {
                ok = abs(expected) + bound(Double(x[index]), expected) >= 0x1.ffffffp127 && (y > 0) == (expected > 0)
            } else {
                ok = abs(Double(y) - expected) <= bound(Double(x[index]), expected)
            }
            if !ok { return "\(label)(\(x[index])): got \(y), expected \(expected)" }
        }
        return nil
    }

    @Test(arguments: functions) func functionStaysWithinItsBound(_ function: Function) {
        forEachRow { row in
            let y = unary(function.op, Self.sweep, 2)
            let label = "\(row) \(function.name)"
            #expect(
                violation(Self.sweep, y, label, exact: function.exact) { _, y in function.ulps * Self.ulp(y) } == nil)
        }
    }

    @Test func simpleOperationsAreExactAndKeepNaN() {
        let shift: Float = -0.3
        let expected: [(csimd_unary_op, Double, Double, (Float) -> Float)] = [
            (CSIMD_NEGATE, 0, 0, { -$0 }),
            (CSIMD_ABS, 0, 0, { abs($0) }),
            (CSIMD_RELU, 0, 0, { $0 < 0 ? 0 : $0 }),
            (CSIMD_CLAMP, -1.5, 2, { $0.isNaN ? $0 : min(max($0, -1.5), 2) }),
            (CSIMD_DIVIDE_BY, 1.7, 0, { $0 / 1.7 }),
            (CSIMD_DIVIDE_INTO, 1.7, 0, { 1.7 / $0 }),
            (CSIMD_SCALE_SHIFT, 1.7, Double(shift), { shift.addingProduct($0, 1.7) }),
        ]
        forEachRow { row in
            for (op, p, q, formula) in expected {
                let y = unary(op, Self.sweep, p, q)
                let bad = y.indices.first { !sameBits(y[$0], formula(Self.sweep[$0])) }
                #expect(bad == nil, "\(row) op \(op.rawValue) of \(bad.map { Self.sweep[$0] } ?? 0)")
            }
        }
    }

    /// Exponents with loops of their own, odd and even integers up to those that float64 no longer tells apart, fractions, and
    /// those whose powers leave float32 at once.
    static let exponents: [Double] = [
        -2, -1, -0.5, 0, 0.5, 1, 2, 3, 1.7, -0.0, -3, 4, 5, 1.0 / 3, -1.0 / 3, 0.001, 2.5, 15, 100, 1e6, -1e6,
        33_554_433,
        -33_554_433, 9_007_199_254_740_991, 9_007_199_254_740_992, 1e300, 1e-300, .infinity, -.infinity, .nan,
    ]

    /// Within 2⁻³⁶ of the result in float64 (power_body.h), or libm's float64, then rounded to float32: half an ulp and a little.
    @Test(arguments: exponents) func powersAreThoseOfPow(_ p: Double) {
        forEachRow { row in
            let y = unary(CSIMD_POWER, Self.sweep, p)
            let found = violation(Self.sweep, y, "\(row) power \(p)", exact: { pow($0, p) }) { _, y in
                0.501 * Self.ulp(y)
            }
            #expect(found == nil)
            // The signs of zeros, which the distance above does not see.
            let bad = y.indices.first { y[$0] == 0 && y[$0].sign != pow(Double(Self.sweep[$0]), p).sign }
            #expect(bad == nil, "\(row) power \(p) of \(bad.map { Self.sweep[$0] } ?? 0)")
        }
    }

    /// Every number of a 16-bit type: the power in float64, rounded once to float32 and then to the type.
    @Test(arguments: [CSIMD_F16.rawValue, CSIMD_BF16.rawValue]) func powersOfSixteenBitsExhaustively(_ rawType: UInt32)
    {
        let type = csimd_type(rawValue: rawType), x = Array(UInt16.min...UInt16.max)
        let wide = widen(x, from: type)
        for p in Self.exponents {
            // A float32 in the middle between two of the type is met only by exact powers: the vectors' last bits do not show.
            let expected = round(wide.map { Float(pow(Double($0), p)) }, to: type)
            forEachRow { row in
                var y = [UInt16](repeating: 0, count: x.count)
                #expect(csimd_unary(CSIMD_POWER, type, x.count, x, p, 0, &y) == CSIMD_OK)
                let bad = firstDifference(y, expected, type)
                #expect(bad == nil, "\(row) type \(rawType) power \(p) of pattern \(bad ?? 0)")
            }
        }
    }

    @Test func powersOfFloat64AreThoseOfPow() {
        let x = Self.sweep.map { Double($0) * 1.1 } + [1e-160, 1e-154, 1e154, 1e200, -1e-200, 0x1p-1060]
        forEachRow { row in
            for p in Self.exponents {
                var y = [Double](repeating: 0, count: x.count)
                #expect(csimd_unary(CSIMD_POWER, CSIMD_F64, x.count, x, p, 0, &y) == CSIMD_OK)
                let bad = x.indices.first {
                    let expected = pow(x[$0], p)
                    // Two operations, each half an ulp, where a few compute the power; libm's own otherwise.
                    return
                        !(expected.isNaN ? y[$0].isNaN : y[$0] == expected || abs(y[$0] - expected) <= 2 * expected.ulp)
                        || (expected == 0 && y[$0].sign != expected.sign)
                }
                #expect(bad == nil, "\(row) power \(p) of \(bad.map { x[$0] } ?? 0)")
            }
        }
    }

    @Test func gradientsStayWithinTheirBounds() {
        let x = Self.sweep
        let ones = [Float](repeating: 1, count: x.count)
        forEachRow { row in
            // Where the two terms cancel no relative bound can hold: 5 ulps of the sum of their magnitudes.
            let gelu = violation(x, binary(CSIMD_GELU_GRADIENT, x, ones), "\(row) gelu gradient") {
                $0.isInfinite ? ($0 > 0 ? 1 : 0) : Self.normalDistribution($0) + $0 * Self.normalDensity($0)
            } bound: { x, _ in
                5 * Self.ulp(Self.normalDistribution(x) + (x.isInfinite ? 0 : abs(x) * Self.normalDensity(x)))
            }
            #expect(gelu == nil)
            let silu = violation(x, binary(CSIMD_SILU_GRADIENT, x, ones), "\(row) silu gradient") {
                $0.isInfinite ? ($0 > 0 ? 1 : 0) : Self.sigmoid($0) * (1 + $0 * Self.sigmoid(-$0))
            } bound: { x, _ in
                5 * Self.ulp(Self.sigmoid(x) * (1 + (x.isInfinite ? 0 : abs(x) * Self.sigmoid(-x))))
            }
            #expect(silu == nil)
            let geluTanh = violation(x, binary(CSIMD_GELU_TANH_GRADIENT, x, ones), "\(row) gelu tanh gradient") {
                $0.isNaN ? $0 : Self.geluTanhDerivative($0).value
            } bound: { x, _ in
                5 * Self.ulp(Self.geluTanhDerivative(x).terms)
            }
            #expect(geluTanh == nil)
            // y of tanh and sigmoid lies in [-1, 1]. 1 - a^2 is rounded once, 1 - a at most once, then one or two products:
            // three half ulps, each at most one ulp of the result.
            let y = x.filter { abs($0) <= 1 }
            let threes = [Float](repeating: 3, count: y.count)
            let tanh = violation(y, binary(CSIMD_TANH_GRADIENT, y, threes), "\(row) tanh gradient") {
                3 * (1 - $0 * $0)
            } bound: { _, gradient in
                3 * Self.ulp(gradient)
            }
            #expect(tanh == nil)
            let sigmoid = violation(y, binary(CSIMD_SIGMOID_GRADIENT, y, threes), "\(row) sigmoid gradient") {
                3 * ($0 * (1 - $0))
            } bound: { _, gradient in
                3 * Self.ulp(gradient)
            }
            #expect(sigmoid == nil)
        }
    }

    @Test func binaryOperationsAreExactAndPropagateNaN() {
        let special: [Float] = [0, -0.0, 1, -1.5, 3e38, -3e38, 0x1p-130, -0x1p-149, .infinity, -.infinity, .nan, 0.1]
        let a = special.flatMap { x in special.map { _ in x } } + Self.sweep.dropLast()
        let b = special.flatMap { _ in special } + Self.sweep.dropFirst().map { $0 * 0.75 }
        let expected: [(csimd_binary_op, (Float, Float) -> Float)] = [
            (CSIMD_ADD, { $0 + $1 }), (CSIMD_SUBTRACT, { $0 - $1 }), (CSIMD_MULTIPLY, { $0 * $1 }),
            (CSIMD_DIVIDE, { $0 / $1 }),
            (CSIMD_MAXIMUM, { $0.isNaN || $0 > $1 ? $0 : $1 }), (CSIMD_MINIMUM, { $0.isNaN || $0 < $1 ? $0 : $1 }),
            (CSIMD_RELU_GRADIENT, { $0 > 0 ? $1 : 0 }), (CSIMD_ABS_GRADIENT, { $0 > 0 ? $1 : $0 < 0 ? -$1 : 0 }),
        ]
        forEachRow { row in
            for (op, formula) in expected {
                let y = binary(op, a, b)
                let bad = y.indices.first { !sameBits(y[$0], formula(a[$0], b[$0])) }
                #expect(bad == nil, "\(row) op \(op.rawValue) of \(bad.map { "\(a[$0]), \(b[$0]): \(y[$0])" } ?? "")")
            }
        }
    }

    @Test(arguments: [CSIMD_F16, CSIMD_BF16]) func sixteenBitResultsAreTheRoundedFloat32Results(_ type: csimd_type) {
        let x = Array(UInt16.min...UInt16.max)
        let wide = widen(x, from: type)
        let shuffled = x.map { $0 &* 40_503 }
        let wideShuffled = widen(shuffled, from: type)
        forEachRow { row in
            for op in 0...CSIMD_SCALE_SHIFT.rawValue {
                var y = [UInt16](repeating: 0, count: x.count)
                #expect(csimd_unary(csimd_unary_op(op), type, x.count, x, 2, 1.25, &y) == CSIMD_OK)
                let expected = round(unary(csimd_unary_op(op), wide, 2, 1.25), to: type)
                let bad = firstDifference(y, expected, type)
                #expect(bad == nil, "\(row) type \(type.rawValue) unary \(op): pattern \(bad ?? 0)")
            }
            for op in 0...CSIMD_SILU_MULTIPLY.rawValue {
                var y = x
                shuffled.withUnsafeBytes { shuffled in
                    y.withUnsafeMutableBytes { y in  // y is also operand a
                        let a = csimd_operand(base: y.baseAddress, row_stride: 0, column_stride: 1)
                        let b = csimd_operand(base: shuffled.baseAddress, row_stride: 0, column_stride: 1)
                        #expect(csimd_binary(csimd_binary_op(op), type, 1, x.count, a, b, y.baseAddress) == CSIMD_OK)
                    }
                }
                let expected = round(binary(csimd_binary_op(op), wide, wideShuffled), to: type)
                let bad = firstDifference(y, expected, type)
                #expect(bad == nil, "\(row) type \(type.rawValue) binary \(op): pattern \(bad ?? 0)")
            }
        }
    }

    /// The first index with different bits, NaN of any payload being equal to each other.
    func firstDifference(_ got: [UInt16], _ expected: [UInt16], _ type: csimd_type) -> Int? {
        if memcmp(got, expected, 2 * got.count) == 0 { return nil }
        let infinity: UInt16 = type == CSIMD_F16 ? 0x7C00 : 0x7F80
        return got.indices.first {
            got[$0] != expected[$0] && !(got[$0] & 0x7FFF > infinity && expected[$0] & 0x7FFF > infinity)
        }
    }

    @Test func float64FollowsTheFormulas() {
        let x = stride(from: -30.0, through: 30, by: 0.37).map { $0 } + [0, -.infinity, .infinity, .nan, 1e-300, 750]
        // libm within one ulp a call, a few operations each: 8 ulps cover every formula.
        forEachRow { row in
            for function in Self.functions {
                var y = [Double](repeating: 0, count: x.count)
                #expect(csimd_unary(function.op, CSIMD_F64, x.count, x, 2, 0, &y) == CSIMD_OK)
                for (x, y) in zip(x, y) {
                    let expected = function.exact(x)
                    let ok = expected.isNaN ? y.isNaN : y == expected || abs(y - expected) <= 8 * expected.ulp
                    #expect(ok, "\(row) \(function.name)(\(x)): got \(y), expected \(expected)")
                }
            }
        }
    }

    @Test func everyShortLengthStaysInsideItsArrays() {
        for (type, size) in [(CSIMD_F32, 4), (CSIMD_F16, 2), (CSIMD_BF16, 2), (CSIMD_F64, 8)] {
            let x = GuardedBuffer<UInt8>((0..<130 * size).map { UInt8(truncatingIfNeeded: $0 &* 29) & 0x3F }, fill: 0)
            let y = GuardedBuffer<UInt8>(count: 130 * size, fill: 0)
            defer {
                x.release()
                y.release()
            }
            var whole = [UInt8](repeating: 0, count: 130 * size)
            var wholeSum = whole
            forEachRow { row in
                let all = csimd_operand(base: x.pointer, row_stride: 130, column_stride: 1)
                #expect(csimd_unary(CSIMD_TANH, type, 130, x.pointer, 0, 0, &whole) == CSIMD_OK)
                #expect(csimd_binary(CSIMD_ADD, type, 1, 130, all, all, &wholeSum) == CSIMD_OK)
                for count in 0...130 {
                    let unread = (130 - count) * size
                    y.elements.update(repeating: 0xA5)
                    #expect(
                        csimd_unary(CSIMD_TANH, type, count, x.pointer + unread, 0, 0, y.pointer + unread) == CSIMD_OK)
                    let untouched = y.elements.prefix(unread).allSatisfy { $0 == 0xA5 }
                    // An element's result does not depend on where in a vector or tail it stands.
                    let equal = memcmp(y.pointer + unread, Array(whole[unread...]), count * size) == 0
                    #expect(untouched && equal, "\(row) unary, type \(type.rawValue), count \(count)")
                    y.elements.update(repeating: 0xA5)
                    let part = csimd_operand(base: x.pointer + unread, row_stride: count, column_stride: 1)
                    #expect(csimd_binary(CSIMD_ADD, type, 1, count, part, part, y.pointer + unread) == CSIMD_OK)
                    let equalSum = memcmp(y.pointer + unread, Array(wholeSum[unread...]), count * size) == 0
                    #expect(
                        y.elements.prefix(unread).allSatisfy { $0 == 0xA5 } && equalSum,
                        "\(row) binary, type \(type.rawValue), count \(count)")
                }
            }
        }
    }

    @Test func operandsBroadcastAlongRowsAndColumns() {
        let layouts: [(name: String, row: (Int) -> Int, column: Int)] = [
            ("matrix", { $0 }, 1), ("row", { _ in 0 }, 1), ("column", { _ in 1 }, 0), ("scalar", { _ in 0 }, 0),
            ("strided", { $0 + 3 }, 1),
        ]
        for (rows, columns) in [(0, 5), (5, 0), (1, 1), (7, 1), (1, 19), (5, 10), (3, 33), (2, 64)] {
            let x = (0..<max(1, rows * (columns + 3))).map { Float($0 % 97) - 40 }
            let w = x.map { $0 * 0.5 + 1 }
            for left in layouts {
                for right in layouts {
                    let (leftRow, rightRow) = (left.row(columns), right.row(columns))
                    var expected: [Float] = []
                    for i in 0..<rows {
                        for j in 0..<columns {
                            expected.append(x[i * leftRow + j * left.column] - w[i * rightRow + j * right.column])
                        }
                    }
                    forEachRow { row in
                        var y = [Float](repeating: .nan, count: rows * columns)
                        let status = x.withUnsafeBytes { x in
                            w.withUnsafeBytes { w in
                                let a = csimd_operand(
                                    base: x.baseAddress, row_stride: leftRow, column_stride: left.column)
                                let b = csimd_operand(
                                    base: w.baseAddress, row_stride: rightRow, column_stride: right.column)
                                return csimd_binary(CSIMD_SUBTRACT, CSIMD_F32, rows, columns, a, b, &y)
                            }
                        }
                        #expect(
                            status == CSIMD_OK && y == expected,
                            "\(row) \(left.name) - \(right.name), \(rows) x \(columns)")
                    }
                }
            }
        }
    }

    @Test func threadsChangeNoBit() {
        let count = 300_007
        let x = (0..<count).map { Float($0 &* 7919 % 20_011) / 1000 - 10 }
        forEachRow { row in
            let alone = withThreads(1) { (unary(CSIMD_GELU, x), binary(CSIMD_ADD, x, x)) }
            let together = withThreads(4) { (unary(CSIMD_GELU, x), binary(CSIMD_ADD, x, x)) }
            #expect(
                memcmp(alone.0, together.0, 4 * count) == 0 && memcmp(alone.1, together.1, 4 * count) == 0, "\(row)")
            // Rows shared among threads, and (two rows, four threads) columns.
            for rows in [2, 1000] {
                let columns = 300_000 / rows
                var y = [[Float]](repeating: [Float](repeating: 0, count: rows * columns), count: 2)
                for (index, threads) in [Int32(1), 4].enumerated() {
                    withThreads(threads) {
                        x.withUnsafeBytes { x in
                            let a = csimd_operand(base: x.baseAddress, row_stride: columns, column_stride: 1)
                            let b = csimd_operand(base: x.baseAddress, row_stride: 1, column_stride: 0)
                            #expect(csimd_binary(CSIMD_MULTIPLY, CSIMD_F32, rows, columns, a, b, &y[index]) == CSIMD_OK)
                        }
                    }
                }
                #expect(memcmp(y[0], y[1], 4 * rows * columns) == 0, "\(row), \(rows) rows")
                #expect(y[0][columns + 5] == x[columns + 5] * x[1])
            }
        }
    }

    /// From 32 MiB on results go past the caches, whole lines at a time: the same bits as in pieces that do not, on one thread and
    /// on several, from a first element inside a line, for rows of whole lines and (those do not) of others.
    @Test(arguments: [CSIMD_F32.rawValue, CSIMD_F16.rawValue, CSIMD_BF16.rawValue])
    func storesPastTheCachesChangeNoBit(_ rawType: UInt32) {
        let type = csimd_type(rawValue: rawType), size = type == CSIMD_F32 ? 4 : 2
        let count = (32 << 20) / (2 * size) + 1037, piece = 100_003
        let arrays = (0..<3).map { _ in
            UnsafeMutableRawBufferPointer.allocate(byteCount: (count + 2) * size, alignment: 64)
        }
        defer { for array in arrays { array.deallocate() } }
        let (x, expected, got) = (arrays[0], arrays[1], arrays[2])
        let values = (0..<piece).map { Float($0 &* 7919 % 20_011) / 1000 - 10 }
        for start in stride(from: 0, to: count, by: piece) {
            #expect(
                csimd_convert(CSIMD_F32, values, type, x.baseAddress! + start * size, min(piece, count - start))
                    == CSIMD_OK)
        }
        func inPieces(_ length: Int, _ body: (_ start: Int, _ length: Int) -> csimd_status) {
            for start in stride(from: 0, to: count, by: length) {
                #expect(body(start, min(length, count - start)) == CSIMD_OK)
            }
        }
        func check(_ count: Int, _ shift: Int, _ label: String, _ run: (UnsafeMutableRawPointer) -> csimd_status) {
            for threads: Int32 in [1, 4] {
                memset(got.baseAddress!, 7, got.count)
                withThreads(threads) { #expect(run(got.baseAddress! + shift * size) == CSIMD_OK) }
                let same = memcmp(got.baseAddress! + shift * size, expected.baseAddress!, count * size) == 0
                let isInside = got[shift * size + count * size] == 7 && (shift == 0 || got[0] == 7)
                #expect(same && isInside, "\(label), \(threads) threads, shifted by \(shift)")
            }
        }
        forEachRow { row in
            if row == "ref" { return }  // has no such stores, and takes its time
            for op in [CSIMD_RELU, CSIMD_EXP] {
                withThreads(1) {
                    inPieces(piece) {
                        csimd_unary(op, type, $1, x.baseAddress! + $0 * size, 0, 0, expected.baseAddress! + $0 * size)
                    }
                }
                for shift in [0, 1] {
                    check(count, shift, "\(row) \(op)") { csimd_unary(op, type, count, x.baseAddress!, 0, 0, $0) }
                }
            }
            for columns in [1024, 100] {
                let rows = count / columns
                func operand(_ row: Int, _ stride: Int) -> csimd_operand {
                    csimd_operand(base: x.baseAddress! + row * columns * size, row_stride: stride, column_stride: 1)
                }
                withThreads(1) {
                    for row in stride(from: 0, to: rows, by: 50) {
                        #expect(
                            csimd_binary(
                                CSIMD_ADD, type, min(50, rows - row), columns, operand(row, columns), operand(0, 0),
                                expected.baseAddress! + row * columns * size) == CSIMD_OK)
                    }
                }
                check(rows * columns, 1, "\(row) rows of \(columns)") {
                    csimd_binary(CSIMD_ADD, type, rows, columns, operand(0, columns), operand(0, 0), $0)
                }
            }
        }
    }

    @Test func refusesWhatItDoesNotKnow() {
        var y: [Float] = [5]
        let operand = csimd_operand(base: nil, row_stride: 0, column_stride: 2)
        #expect(csimd_unary(csimd_unary_op(99), CSIMD_F32, 1, [1] as [Float], 0, 0, &y) == CSIMD_INVALID_ARGUMENT)
        #expect(csimd_unary(CSIMD_EXP, csimd_type(7), 1, [1] as [Float], 0, 0, &y) == CSIMD_INVALID_ARGUMENT)
        #expect(csimd_binary(CSIMD_ADD, CSIMD_F32, 1, 1, operand, operand, &y) == CSIMD_INVALID_ARGUMENT)
        #expect(y == [5])
    }
}
