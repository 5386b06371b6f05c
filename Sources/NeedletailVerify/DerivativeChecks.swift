// Derivatives of elementary functions within their bounds, and arithmetic that has to be correctly rounded, in every type.
import Foundation
import NeedletailTensor

extension ElementwiseChecks {
    private static let types: [DType] = [.float32, .float16, .bfloat16, .float64]

    /// dy f'(a): value, and the magnitudes of what it is made of where terms cancel.
    private static func exact(
        _ derivative: VerificationKernels.Derivative, _ a: Double, _ dy: Double
    ) -> (value: Double, size: Double) {
        func made(_ first: Double, _ second: Double) -> (Double, Double) {
            (dy * (first + second), abs(dy) * (abs(first) + abs(second)))
        }
        func whole(_ value: Double) -> (Double, Double) { (value, abs(value)) }
        switch derivative {
        case .tanh: return whole(dy * ((1 - a) * (1 + a)))
        case .sigmoid: return whole(dy * (a * (1 - a)))
        case .relu: return whole(a > 0 ? dy : 0)
        case .abs: return whole(a > 0 ? dy : a < 0 ? -dy : 0)
        case .gelu:
            return made(0.5 * erfc(-a * 0.5.squareRoot()), a * exp(-0.5 * a * a) / (2 * Double.pi).squareRoot())
        case .silu:
            let s = a < 0 ? exp(a) / (1 + exp(a)) : 1 / (1 + exp(-a))
            return made(s, a * s * (a < 0 ? 1 / (1 + exp(a)) : exp(-a) / (1 + exp(-a))))
        }
    }

    /// Derivatives at random points: tanh and sigmoid within 3 roundings (each at most an ulp), relu and abs exact, gelu and silu
    /// within 5 ulps of the magnitudes of their two terms and one more for dy. An ulp of s is at most 2^-23 s, at least
    /// 2^-149 (float64: 2^-52 and, where the C library's results are multiplied, a and dy times 2^-1074). Results of 16 bits are
    /// rounded once more.
    func derivatives(_ count: Int, rows kernelRows: [String], _ generator: inout SeededGenerator) {
        for derivative in VerificationKernels.Derivative.allCases {
            let isResult = derivative == .tanh || derivative == .sigmoid
            let points = (0..<count).map { index -> Double in
                if isResult { return derivative == .tanh ? 2 * generator.nextUniform() - 1 : generator.nextUniform() }
                return (index % 2 == 0 ? 8 : 200) * (generator.nextUniform() - 0.5)
            }
            let incoming = (0..<count).map { _ in generator.nextNormal() }
            for type in Self.types {
                let a = VerificationKernels.converted(Tensor(points), to: type)
                let dy = VerificationKernels.converted(Tensor(incoming), to: type)
                let (x, d) = (a.scalars(as: Double.self), dy.scalars(as: Double.self))
                let exact = x.indices.map { Self.exact(derivative, x[$0], d[$0]) }
                let (u, least) = type == .float64 ? (0x1p-52, 0x1p-1074) : (0x1p-23, 0x1p-149)
                let allowed: Double =
                    switch derivative {
                    case .relu, .abs: 0
                    case .tanh, .sigmoid: 3
                    case .gelu, .silu: 6
                    }
                for row in kernelRows {
                    let got = VerificationKernels.onRow(row) { derivative(a, dy) }.scalars(as: Double.self)
                    var worst = Comparison(cases: 1, error: 0, limit: 1), at = 0
                    for index in got.indices {
                        let excess = RoundingTable.distance(from: exact[index].value, toWhatRoundsTo: got[index], type)
                        // A NaN, or anything that is off where nothing may be, stays what it is.
                        let tiny = type == .float64 ? least * (1 + abs(x[index])) * (1 + abs(d[index])) : least
                        let bound = allowed * (u * exact[index].size + tiny)
                        let error = excess == 0 ? 0 : bound > 0 ? excess / bound : excess / 0
                        let comparison = Comparison(error: error, limit: 1)
                        if comparison.isWorse(than: worst) { (worst, at) = (comparison, index) }
                    }
                    worst.cases = count
                    ledger.record(row, "\(derivative.rawValue) derivative \(type)", in: "of the bound", worst) {
                        "at \(x[at]), dy \(d[at])"
                            + (worst.isWithin ? "" : ": \(got[at]), expected \(exact[at].value)")
                    }
                }
            }
        }
    }

    /// a + b, a - b, a b, a / b, the larger, the smaller: rounded to float32, and that to 16 bits. Rounding to float64 first
    /// changes nothing: 53 bits are more than twice 24 and two.
    func operations(_ count: Int, rows kernelRows: [String], _ generator: inout SeededGenerator) {
        let operations: [(name: String, run: @Sendable (Tensor, Tensor) -> Tensor, exact: (Double, Double) -> Double)] =
            [
                ("sums", { $0 + $1 }, { $0 + $1 }), ("differences", { $0 - $1 }, { $0 - $1 }),
                ("products", { $0 * $1 }, { $0 * $1 }), ("quotients", { $0 / $1 }, { $0 / $1 }),
                ("larger values", { Tensor.maximum($0, $1) }, { $0.isNaN || $1.isNaN ? .nan : max($0, $1) }),
                ("smaller values", { Tensor.minimum($0, $1) }, { $0.isNaN || $1.isNaN ? .nan : min($0, $1) }),
            ]
        func draw() -> [Double] {
            (0..<count).map { index in
                if index % 97 == 5 { return [.infinity, -.infinity, .nan, 0][generator.nextInteger(below: 4)] }
                let size = Double(sign: .plus, exponent: generator.nextInteger(below: 40) - 20, significand: 1)
                return size * generator.nextNormal()
            }
        }
        let (left, right) = (draw(), draw())
        for type in Self.types {
            let a = VerificationKernels.converted(Tensor(left), to: type)
            let b = VerificationKernels.converted(Tensor(right), to: type)
            let (x, w) = (a.scalars(as: Double.self), b.scalars(as: Double.self))
            for operation in operations {
                let expected = x.indices.map { index -> Double in
                    let exact = operation.exact(x[index], w[index])
                    switch type {
                    case .float64: return exact
                    case .float32: return Double(Float(exact))
                    case .float16: return Double(Float16(Float(exact)))
                    default: return Double(BFloat16(Float(exact)))
                    }
                }
                for row in kernelRows {
                    let got = VerificationKernels.onRow(row) { operation.run(a, b) }.scalars(as: Double.self)
                    let wrong = got.indices.filter {
                        !(got[$0] == expected[$0] || got[$0].isNaN && expected[$0].isNaN)
                    }
                    ledger.record(
                        row, "\(operation.name) \(type)", in: "wrong results",
                        Comparison(cases: count, error: Double(wrong.count), limit: 0)
                    ) {
                        wrong.first.map { "\(x[$0]) and \(w[$0]): \(got[$0]), expected \(expected[$0])" } ?? ""
                    }
                }
            }
        }
    }
}
