// Elementary functions in units in the last place; sums, maxima and the finite check where they are exact.
import Foundation
import NeedletailTensor

struct ElementwiseChecks {
    let ledger: VerificationLedger

    private struct Function: Sendable {
        let name: String
        /// The most that CSIMD/support/vector_math_body.h allows, in ulps of float32.
        let limit: Double
        let apply: @Sendable (Tensor) -> Tensor
        let exact: @Sendable (Double) -> Double
    }

    private static func sigmoid(_ x: Double) -> Double { x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)) }

    private static let functions: [Function] = [
        Function(name: "exp", limit: 1.1, apply: { $0.exp() }, exact: { exp($0) }),
        Function(name: "log", limit: 1, apply: { $0.log() }, exact: { log($0) }),
        Function(name: "tanh", limit: 1.5, apply: { $0.tanh() }, exact: { tanh($0) }),
        Function(name: "sigmoid", limit: 1.1, apply: { $0.sigmoid() }, exact: { sigmoid($0) }),
        Function(name: "silu", limit: 1.1, apply: { $0.silu() }, exact: { $0 == -.infinity ? -0.0 : $0 * sigmoid($0) }),
        Function(
            name: "gelu", limit: 3.5, apply: { $0.gelu() },
            exact: { $0 == -.infinity ? -0.0 : $0 * 0.5 * erfc(-$0 * 0.5.squareRoot()) }),
        Function(name: "sqrt", limit: 0.5, apply: { $0.sqrt() }, exact: { $0.squareRoot() }),
    ]

    /// Functions of random float32 patterns, and of values where they are neither 0 nor saturated; of these in float64 too,
    /// where each is a few calls of the C library: 8 ulps, and as many of x times the least subnormal number.
    func functions(_ count: Int, rows kernelRows: [String], _ generator: inout SeededGenerator) {
        var values = (0..<count / 2).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: generator.next())) }
        values += (0..<count / 2).map { _ in Float(200 * generator.nextUniform() - 105) }
        values += [0, -0.0, .infinity, -.infinity, .nan, .leastNonzeroMagnitude, .greatestFiniteMagnitude]
        let x = Tensor(values)
        let wideValues = values.suffix(count / 10).map { Double($0) * 1.000000001 }, wide = Tensor(wideValues)
        for function in Self.functions {
            let exact = values.map { function.exact(Double($0)) }, exactWide = wideValues.map { function.exact($0) }
            for row in kernelRows {
                let (narrow, double) = VerificationKernels.onRow(row) { (function.apply(x), function.apply(wide)) }
                let got = narrow.scalars(as: Float.self), gotWide = double.scalars(as: Double.self)
                record(row, "\(function.name) float32", limit: function.limit, count: values.count) { index in
                    (ulps(got[index], exact[index]), "\(values[index])", "\(got[index]), expected \(exact[index])")
                }
                record(row, "\(function.name) float64", limit: 8, count: wideValues.count) { index in
                    let (y, expected) = (gotWide[index], exactWide[index])
                    let isSame = y == expected || y.isNaN && expected.isNaN
                    let ulp = expected.ulp + abs(wideValues[index]) * 0x1p-1074
                    return (
                        isSame ? 0 : abs(y - expected) / ulp, "\(wideValues[index])", "\(y), expected \(expected)"
                    )
                }
            }
        }
    }

    /// Records the worst of `count` results; `result` gives the error of one in ulps, what it is of, and it in words.
    private func record(
        _ row: String, _ check: String, in unit: String = "ulps", limit: Double, count: Int,
        result: (Int) -> (error: Double, of: String, words: String)
    ) {
        var worst = Comparison(cases: 1, error: 0, limit: limit), at = 0
        for index in 0..<count {
            let comparison = Comparison(error: result(index).error, limit: limit)
            if comparison.isWorse(than: worst) { (worst, at) = (comparison, index) }
        }
        worst.cases = count
        ledger.record(row, check, in: unit, worst) {
            let (_, of, words) = result(at)
            return of + (worst.isWithin ? "" : ": " + words)
        }
    }

    /// The error in units of the distance of float32's numbers around the exact result.
    private func ulps(_ got: Float, _ exact: Double) -> Double {
        let nearest = Float(exact)
        if exact.isNaN || exact.isInfinite { return got == nearest || got.isNaN && exact.isNaN ? 0 : .nan }
        let magnitude = abs(exact)
        let ulp =
            magnitude < 0x1p-126
            ? 0x1p-149 : Double(sign: .plus, exponent: min(magnitude.exponent, 127) - 23, significand: 1)
        // An infinity stands for the power of two after the largest number, and for all beyond it.
        if got.isInfinite && magnitude >= 0x1p128 { return (got > 0) == (exact > 0) ? 0 : .nan }
        let value = got.isInfinite ? (got > 0 ? 0x1p128 : -0x1p128) : Double(got)
        return abs(value - exact) / ulp
    }

    /// Sums of integers and maxima are exact; the finite check names the one value that is not.
    func reductions(_ count: Int, rows kernelRows: [String], _ generator: inout SeededGenerator) {
        for index in 0..<count {
            let (outer, length, inner) = (
                1 + generator.nextInteger(below: 5), 1 + generator.nextInteger(below: 9000),
                index % 2 == 0 ? 1 : 1 + generator.nextInteger(below: 40)
            )
            let integers = (0..<outer * length * inner).map { _ in Float(generator.nextInteger(below: 255) - 127) }
            let x = Tensor(integers, shape: [outer, length, inner])
            var sums = [Double](repeating: 0, count: outer * inner)
            var maxima = [Double](repeating: -.infinity, count: outer * inner)
            for (place, value) in integers.enumerated() {
                let at = place / (length * inner) * inner + place % inner
                sums[at] += Double(value)
                maxima[at] = max(maxima[at], Double(value))
            }
            // In every other case among the last elements, which do not fill a vector.
            let span = index % 2 == 0 ? integers.count : min(integers.count, 16)
            let bad = integers.count - 1 - generator.nextInteger(below: span)
            var spoilt = integers
            spoilt[bad] = [.nan, .infinity, -.infinity, .signalingNaN][index % 4]
            let spoiltTensor = Tensor(spoilt)
            let type: DType = index % 5 == 4 ? .float64 : .float32
            let (typed, typedSpoilt) = (
                VerificationKernels.converted(x, to: type), VerificationKernels.converted(spoiltTensor, to: type)
            )
            for row in kernelRows {
                let (sum, maximum, first) = VerificationKernels.onRow(row) {
                    (typed.sum(axes: [1]), typed.max(axes: [1]), finiteCheck(typedSpoilt).firstNonFinite)
                }
                let wrongSums = zip(sum.scalars(as: Double.self), sums).filter { !($0 == $1) }.count
                let wrongMaxima = zip(maximum.scalars(as: Double.self), maxima).filter { !($0 == $1) }.count
                let shape = "[\(outer), \(length), \(inner)]"
                let suffix = type == .float64 ? " float64" : ""
                for (check, wrong, cases) in [
                    ("sums of integers", wrongSums, sums.count), ("maxima", wrongMaxima, maxima.count),
                    ("first value not finite", first == bad ? 0 : 1, 1),
                ] {
                    ledger.record(
                        row, check + suffix, in: "wrong results",
                        Comparison(cases: cases, error: Double(wrong), limit: 0)
                    ) { shape }
                }
            }
        }
    }
}
