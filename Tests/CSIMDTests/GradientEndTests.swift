import CSIMD
import Glibc
import Testing

/// The derivatives' kernels at the ends of their types, times gradients of 0, 1, -1 and large ones, on every row: the limit where
/// there is one, 0 where the gradient is 0, NaN only for NaN.
@Suite struct GradientEndTests {
    struct Derivative: Sendable {
        let op: csimd_binary_op
        let exact: @Sendable (Double) -> Double
        /// The sum of its terms' magnitudes, which its error is relative to.
        let terms: @Sendable (Double) -> Double

        init(
            _ op: csimd_binary_op, terms: (@Sendable (Double) -> Double)? = nil,
            exact: @escaping @Sendable (Double) -> Double
        ) {
            (self.op, self.exact) = (op, exact)
            self.terms = terms ?? { abs(exact($0)) }
        }
    }

    static func isEnd(_ x: Double) -> Bool { abs(x) > 1000 }

    static let derivatives: [Derivative] = [
        Derivative(CSIMD_EXP_GRADIENT) { exp($0) }, Derivative(CSIMD_LOG_GRADIENT) { 1 / $0 },
        Derivative(CSIMD_SQRT_GRADIENT) { 0.5 / abs($0) }, Derivative(CSIMD_POWER_GRADIENT) { $0 },
        Derivative(CSIMD_RELU_GRADIENT) { $0 > 0 ? 1 : 0 },
        Derivative(CSIMD_ABS_GRADIENT) { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 },
        Derivative(CSIMD_GELU_GRADIENT) { x in
            let density = isEnd(x) ? 0 : abs(x) * ElementwiseTests.normalDensity(x)
            return ElementwiseTests.normalDistribution(x) + density
        } exact: { x in
            let density = isEnd(x) ? 0 : x * ElementwiseTests.normalDensity(x)
            return ElementwiseTests.normalDistribution(x) + density
        },
        Derivative(CSIMD_GELU_TANH_GRADIENT) {
            ElementwiseTests.geluTanhDerivative($0).terms
        } exact: {
            $0.isNaN ? $0 : ElementwiseTests.geluTanhDerivative($0).value
        },
        Derivative(CSIMD_SILU_GRADIENT) { x in
            ElementwiseTests.sigmoid(x) * (1 + (isEnd(x) ? 0 : abs(x) * ElementwiseTests.sigmoid(-x)))
        } exact: { x in
            ElementwiseTests.sigmoid(x) * (1 + (isEnd(x) ? 0 : x * ElementwiseTests.sigmoid(-x)))
        },
    ]

    /// Powers of two and their neighbours over all exponents, zeros, infinities, NaN, and random bits.
    static func sweep(_ type: csimd_type) -> [Double] {
        var random = TestRandom(5)
        if type == CSIMD_F64 {
            var x: [Double] = [0, .infinity, .nan, .greatestFiniteMagnitude, .leastNonzeroMagnitude]
            for exponent in stride(from: -1070, through: 1023, by: 3) {
                let power = Double(sign: .plus, exponent: exponent, significand: 1)
                x += [power, power.nextUp, power.nextDown]
            }
            x += (0..<2000).map { _ in Double(bitPattern: random.bits()) } + (0..<500).map { _ in random.normal() * 8 }
            return x + x.map { -$0 }
        }
        var x: [Float] = [0, .infinity, .nan, .greatestFiniteMagnitude, .leastNonzeroMagnitude]
        for exponent in -149...127 {
            let power = Float(sign: .plus, exponent: exponent, significand: 1)
            x += [power, power.nextUp, power.nextDown]
        }
        x += (0..<5000).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: random.bits())) }
        x += (0..<2000).map { _ in Float(random.normal() * 30) }
        return (x + x.map { -$0 }).map(Double.init)
    }

    /// Bounds relative to |dy| times the terms: float32's kernels are within 5 ulps of them and one product more, 6 ulps, 12 u;
    /// those of exp are two exponentials of 1.1 ulps and two products, less than that. Absolute: the derivative may be off by a
    /// least subnormal, times dy, and the product by one. Float64 by libm on the formulas: an argument of exp up to 750 is off
    /// by a few u relatively, 3000 u of the result.
    @Test(arguments: [CSIMD_F32.rawValue, CSIMD_F64.rawValue])
    func gradientsAreFiniteWhereTheLimitIs(_ rawType: UInt32) {
        let type = csimd_type(rawType), x = Self.sweep(type), isDouble = type == CSIMD_F64
        let relative = isDouble ? 3000 * 0x1p-53 : 12 * 0x1p-24, least = isDouble ? 0x1p-1074 : 0x1p-149
        let most = isDouble ? Double.greatestFiniteMagnitude : 0x1.ffffffp127
        let arena = BufferArena()
        defer { arena.release() }
        let a = arena.make(type, x), y = arena.make(type, count: x.count)
        forEachRow { row in
            for derivative in Self.derivatives {
                for dy: Double in [0, 1, -1, isDouble ? 1e300 : 0x1p120] {
                    let b = arena.make(type, [dy])
                    let left = csimd_operand(base: a.pointer, row_stride: 0, column_stride: 1)
                    let right = csimd_operand(base: b.pointer, row_stride: 0, column_stride: 0)
                    #expect(csimd_binary(derivative.op, type, 1, x.count, left, right, y.pointer) == CSIMD_OK)
                    for index in x.indices {
                        let slope = derivative.exact(x[index])
                        let expected = dy == 0 && !x[index].isNaN ? 0 : dy * slope, got = y[index]
                        let bound = (dy == 0 ? 0 : abs(dy) * (relative * derivative.terms(x[index]) + least)) + least
                        let isRight =
                            expected.isNaN
                            ? got.isNaN
                            : abs(expected) > most || got.isInfinite
                                ? got.isInfinite && abs(expected) * (1 + relative) >= most
                                    && (got > 0) == (expected > 0)
                                : abs(got - expected) <= bound
                        if !isRight {
                            Issue.record(
                                "\(row) op \(derivative.op.rawValue) at \(x[index]), dy \(dy): \(got), not \(expected)")
                            break
                        }
                    }
                }
            }
        }
    }

    /// The gradients of silu(gate) x: no product of dy and x in between that is infinite, either alone, in place, any length.
    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func gatedGradientsAreRoundedOnce(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        let large: Double = type == CSIMD_F16 ? 40000 : type == CSIMD_F64 ? 1e100 : 0x1p60
        let values: [Double] = [0, -0.0, 1, -1.5, 2.25, -30, 30, large, -large, -200]
        let all =
            values.flatMap { gate in values.flatMap { x in values.map { (gate, x, $0) } } } + [
                (-.infinity, 3, 2), (.infinity, 3, 2),
            ]
        let u = arithmeticRoundoff(type) * (type == CSIMD_F64 ? 1000 : 12)
        forEachRow { row in
            for count in [1, 7, 19, all.count] {
                let arena = BufferArena(), cases = all.suffix(count)
                defer { arena.release() }
                let gate = arena.make(type, cases.map(\.0)), x = arena.make(type, cases.map(\.1))
                let dy = arena.make(type, cases.map(\.2)), inPlace = arena.copy(of: gate)
                let ofGate = arena.make(type, count: count), ofX = arena.make(type, count: count)
                func run(_ gate: TypedBuffer, _ first: TypedBuffer?, _ second: TypedBuffer?) {
                    #expect(
                        csimd_silu_multiply_gradient(
                            type, count, gate.pointer, x.pointer, dy.pointer, first?.pointer, second?.pointer)
                            == CSIMD_OK)
                }
                run(gate, ofGate, ofX)
                run(inPlace, inPlace, nil)
                #expect(inPlace.hasSameBits(as: ofGate), "\(row) type \(rawType)")
                for index in 0..<count {
                    let g = gate[index], s = ElementwiseTests.sigmoid(g)
                    let slope = Self.derivatives.last!.exact(g), terms = Self.derivatives.last!.terms(g)
                    let silu = g == -.infinity ? 0 : g * s
                    for (got, factor, exact, size) in [
                        (ofGate[index], dy[index] * x[index], slope, terms), (ofX[index], dy[index], silu, abs(silu)),
                    ] {
                        let expected = exact * factor
                        var largest = storageRounding(type, abs(expected))
                        largest +=
                            abs(factor) * (u * size + (type == CSIMD_F64 ? 0x1p-1074 : 0x1p-149)) + abs(x[index])
                            * 0x1p-149
                        let limit: Double = type == CSIMD_F16 ? 65520 : type == CSIMD_F64 ? .infinity : 0x1.FFp127
                        let isRight = abs(expected) + largest >= limit ? true : abs(got - expected) <= largest
                        #expect(
                            isRight,
                            "\(row) type \(rawType) gate \(g), x \(x[index]), dy \(dy[index]): \(got), not \(expected)")
                    }
                }
            }
        }
    }
}
