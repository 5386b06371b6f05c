import Foundation
import NeedletailTensor
import Testing

/// Every elementwise function and its gradient over all 65,536 values of both 16-bit types and over the ends of the wider ones,
/// against Double: the limit at the infinities, finite where the derivative is, NaN for NaN.
@Suite struct ActivationSweepTests {
    struct Activation: Sendable, CustomTestStringConvertible {
        let name: String
        let apply: @Sendable (Tensor) -> Tensor
        let value: @Sendable (Double) -> Double
        let derivative: @Sendable (Double) -> Double
        /// What errors of the derivative are relative to: the sum of its terms' magnitudes, where they may cancel.
        var terms: (@Sendable (Double) -> Double)?
        /// By how much the derivative changes with a rounding of what is kept of the result, in units of that type's u.
        var keptError: @Sendable (Double) -> Double = { _ in 0 }
        /// Whether the derivative is chosen by comparisons, which NaN fails: 0 there.
        var isChosen = false
        var testDescription: String { name }
    }

    static func sigmoid(_ x: Double) -> Double { x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)) }
    static func normal(_ x: Double) -> Double { 0.5 * erfc(-x * 0.5.squareRoot()) }
    static func density(_ x: Double) -> Double { exp(-0.5 * x * x) / (2 * Double.pi).squareRoot() }
    static func argument(_ x: Double) -> Double { (8 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x) }

    /// 0 where `decays` does, however large x.
    static func product(_ x: Double, _ decays: Double) -> Double { decays == 0 ? 0 : x * decays }
    static func siluRest(_ x: Double) -> Double { product(x, sigmoid(-x)) }
    static func geluRest(_ x: Double) -> Double {
        product(x * (8 / Double.pi).squareRoot() * (1 + 0.134145 * x * x), sigmoid(-argument(x)))
    }

    static let gelu = Activation(
        name: "gelu", apply: { $0.gelu() }, value: { product($0, normal($0)) },
        derivative: { normal($0) + product($0, density($0)) }, terms: { normal($0) + abs(product($0, density($0))) })
    static let silu = Activation(
        name: "silu", apply: { $0.silu() }, value: { product($0, sigmoid($0)) },
        derivative: { product(1 + siluRest($0), sigmoid($0)) },
        terms: { product(1 + abs(siluRest($0)), sigmoid($0)) })
    static let relu = Activation(
        name: "relu", apply: { $0.relu() }, value: { $0 > 0 ? $0 : $0.isNaN ? $0 : 0 }, derivative: { $0 > 0 ? 1 : 0 },
        isChosen: true)
    static let one = Tensor(1, dtype: .float64).reshape([1, 1])

    static let all: [Activation] = [
        gelu, silu, relu,
        Activation(
            name: "gelu by tanh", apply: { $0.geluTanh() }, value: { product($0, sigmoid(argument($0))) },
            derivative: { product(1 + geluRest($0), sigmoid(argument($0))) },
            terms: { product(1 + abs(geluRest($0)), sigmoid(argument($0))) }),
        Activation(
            name: "tanh", apply: { $0.tanh() }, value: { Foundation.tanh($0) },
            derivative: { (1 - Foundation.tanh($0)) * (1 + Foundation.tanh($0)) },
            keptError: { 4 * Foundation.tanh($0) * Foundation.tanh($0) }),
        Activation(
            name: "sigmoid", apply: { $0.sigmoid() }, value: { sigmoid($0) },
            derivative: { sigmoid($0) * sigmoid(-$0) }, keptError: { 2 * sigmoid($0) }),
        Activation(name: "exp", apply: { $0.exp() }, value: { Foundation.exp($0) }, derivative: { Foundation.exp($0) }),
        Activation(name: "log", apply: { $0.log() }, value: { Foundation.log($0) }, derivative: { 1 / $0 }),
        Activation(
            name: "sqrt", apply: { $0.sqrt() }, value: { $0.squareRoot() }, derivative: { 0.5 / abs($0.squareRoot()) },
            keptError: { $0 > 0 ? 0.5 / $0.squareRoot() : 0 }),
        Activation(
            name: "abs", apply: { $0.abs() }, value: { Swift.abs($0) }, derivative: { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 },
            isChosen: true),
        Activation(
            name: "clamp", apply: { $0.clamp(min: -1.5, max: 2) }, value: { $0.isNaN ? $0 : min(max($0, -1.5), 2) },
            derivative: { -1.5 <= $0 && $0 <= 2 ? 1 : 0 }, isChosen: true),
        Activation(name: "square", apply: { $0.pow(2) }, value: { $0 * $0 }, derivative: { 2 * $0 }),
        Activation(
            name: "cube", apply: { $0.pow(3) }, value: { Foundation.pow($0, 3) },
            derivative: { 3 * Foundation.pow($0, 2) }),
        Activation(
            name: "reciprocal", apply: { $0.pow(-1) }, value: { Foundation.pow($0, -1) },
            derivative: { -Foundation.pow($0, -2) }),
        Activation(
            name: "root by pow", apply: { $0.pow(0.5) }, value: { Foundation.pow($0, 0.5) },
            derivative: { 0.5 * Foundation.pow($0, -0.5) }),
        Activation(
            name: "swiGLU", apply: { swiGLU(gate: $0, Tensor.ones($0.shape, dtype: $0.dtype)) }, value: silu.value,
            derivative: silu.derivative, terms: silu.terms),
        Activation(
            name: "linear with gelu", apply: { linear($0, weight: one.cast(to: $0.dtype), activation: .gelu) },
            value: gelu.value, derivative: gelu.derivative, terms: gelu.terms),
        Activation(
            name: "linear with relu", apply: { linear($0, weight: one.cast(to: $0.dtype), activation: .relu) },
            value: relu.value, derivative: relu.derivative, isChosen: true),
        Activation(
            name: "feed-forward with gelu",
            apply: {
                let weight = one.cast(to: $0.dtype)
                return geluFeedForward($0, innerWeight: weight, innerBias: nil, outputWeight: weight, outputBias: nil)
            }, value: gelu.value, derivative: gelu.derivative, terms: gelu.terms),
    ]

    /// All values of a 16-bit type; powers of two, their neighbours, zeros, ends and random bits of a wider one.
    static func sweep(_ dtype: DType) -> Tensor {
        var generator = SeededGenerator(seed: 11)
        switch dtype {
        case .float16, .bfloat16:
            let bytes = (0...UInt16.max).flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
            return Tensor(bytes: bytes, shape: [65536, 1], dtype: dtype)
        case .float32:
            var x: [Float] = [0, .infinity, .nan, .greatestFiniteMagnitude]
            for exponent in -149...127 {
                let power = Float(sign: .plus, exponent: exponent, significand: 1)
                x += [power, power.nextUp, power.nextDown]
            }
            x += (0..<20000).map { _ in Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &generator)) }
            x += (0..<4000).map { Float($0) / 32 }
            return Tensor(x + x.map { -$0 }, shape: [2 * x.count, 1])
        default:
            var x: [Double] = [0, .infinity, .nan, .greatestFiniteMagnitude]
            for exponent in -1074...1023 {
                let power = Double(sign: .plus, exponent: exponent, significand: 1)
                x += [power, power.nextUp, power.nextDown]
            }
            x += (0..<20000).map { _ in Double(bitPattern: UInt64.random(in: 0...UInt64.max, using: &generator)) }
            x += (0..<4000).map { Double($0) / 32 }
            return Tensor(x + x.map { -$0 }, shape: [2 * x.count, 1])
        }
    }

    /// Where a type's values end, and half its least subnormal (0 for float64: see below).
    static func range(_ dtype: DType) -> (infinite: Double, floor: Double) {
        switch dtype {
        case .float16: (65520, 0x1p-25)
        case .bfloat16: (0x1.FFp127, 0x1p-134)
        case .float32: (0x1.ffffffp127, 0x1p-150)
        default: (.infinity, 0)
        }
    }

    /// Values within 4 ulps, 8 u, of float32 and one rounding to the type; derivatives within 5 ulps of their terms and two
    /// products, 16 u, of float32, what a kept result's rounding to the type does, and two roundings of gradients. Subnormal
    /// arithmetic: a least subnormal of float32 once, and once times dy. For float64 both sides are libm on the formulas: an
    /// exponent of up to 750 costs 750 u, times a few.
    @Test(arguments: all, floatingTypes)
    func valuesAndGradientsAreThoseOfDouble(_ activation: Activation, _ dtype: DType) {
        let x = Self.sweep(dtype), exact: [Double] = x.scalars()
        let isDouble = dtype == .float64, (infinite, floor) = Self.range(dtype)
        let u = unitRoundoff(dtype), wide = isDouble ? 4000 * 0x1p-53 : 16 * 0x1p-24,
            least = isDouble ? 0x1p-1074 : 0x1p-149
        func isRight(_ got: Double, _ expected: Double, _ bound: Double) -> Bool {
            if expected.isNaN { return got.isNaN }
            if expected.isInfinite || got.isInfinite {
                return got.isInfinite && (got > 0) == (expected > 0)
                    && abs(expected) + bound >= infinite * (1 - 2 * wide)
            }
            return abs(got - expected) <= bound
        }
        for dy: Double in [1, 0, -1, dtype == .float16 ? 4096 : 0x1p60] {
            let tracked = x.trackingGradient(), y = activation.apply(tracked)
            let factor = Tensor.full(y.shape, dy, dtype: dtype)
            let slopes: [Double] = gradients(of: (y * factor).sum(), withRespectTo: [tracked])[0].scalars()
            let values: [Double] = y.scalars()
            var wrong: String?
            for (index, x) in exact.enumerated() where wrong == nil {
                let value = activation.value(x), bound = abs(value) * (wide + u) + floor + least
                if !isRight(values[index], value, bound) { wrong = "value at \(x): \(values[index]), not \(value)" }
                let slope = x.isNaN ? (activation.isChosen ? 0 : x) : activation.derivative(x)
                let expected = dy == 0 && !slope.isNaN ? 0 : dy * slope
                var slopeBound = 2 * u * abs(expected) + 2 * floor + least
                if dy != 0 {
                    let terms = activation.terms?(x) ?? abs(slope)
                    slopeBound += abs(dy) * (wide * terms + activation.keptError(x) * u + least + floor)
                }
                if !x.isNaN || !activation.isChosen, !isRight(slopes[index], expected, slopeBound) {
                    wrong = "gradient at \(x), dy \(dy): \(slopes[index]), not \(expected)"
                }
            }
            #expect(wrong == nil, "\(activation.name) \(dtype): \(wrong ?? "")")
        }
    }
}
