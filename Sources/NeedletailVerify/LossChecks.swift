// log-softmax, softmax, cross-entropy and its gradient against float64.
import Foundation
import NeedletailTensor

struct LossChecks {
    let ledger: VerificationLedger

    /// 2^-24; for float64 twice 2^-53: once for the kernel, once for what it is compared with.
    private func unit(_ type: DType) -> Double { type == .float64 ? 0x1p-52 : 0x1p-24 }

    /// u (8 + log C + 2.5 |y|): 8 from the sum and exp, log C from more terms, 2.5 |y| from the roundings of x - m, log s and y.
    private func bound(_ columns: Int, _ y: Double, _ type: DType) -> Double {
        unit(type) * (8 + log(Double(columns)) + 2.5 * abs(y))
    }

    /// Rows of random logits: ordinary ones, up to 1e4, and a few that outweigh all others.
    func random(_ count: Int, rows kernelRows: [String], _ generator: inout SeededGenerator) {
        for index in 0..<count {
            let type: DType = [.float32, .float16, .bfloat16, .float64][index % 4]
            let columns = [
                1 + generator.nextInteger(below: 513), 10, 1000, 1 + generator.nextInteger(below: 40), 50257,
            ][
                index / 4 % 5]
            let rows = columns > 2000 ? 2 : 1 + generator.nextInteger(below: 9)
            let kind = index / 2 % 3
            let values = (0..<rows * columns).map { _ in
                switch kind {
                case 0: 3 * generator.nextNormal()
                case 1: 1e4 * (2 * generator.nextUniform() - 1)
                default: generator.nextUniform() < 0.01 ? 15 : -0.6 + 0.01 * generator.nextUniform()
                }
            }
            let x = VerificationKernels.converted(Tensor(values, shape: [rows, columns]), to: type)
            let targets = (0..<rows).map { _ in Int64(generator.nextInteger(below: columns)) }
            let scale = generator.nextUniform() < 0.5 ? 1 : 1024 / Double(rows)
            let stored = x.scalars(as: Double.self)
            var exact: [Double] = []
            for row in 0..<rows {
                let line = stored[row * columns..<(row + 1) * columns]
                let largest = line.max() ?? 0
                let logSum = log(compensatedSum(line.lazy.map { exp($0 - largest) }))
                exact += line.map { ($0 - largest) - logSum }
            }
            let description = "[\(rows), \(columns)] of \(["deviation 3", "up to 1e4", "one outweighs"][kind])"
            for kernels in kernelRows {
                var dyGenerator = SeededGenerator(seed: UInt64(index))
                let (logarithm, probability, nll) = VerificationKernels.onRow(kernels) {
                    (
                        VerificationKernels.softmax(x, log: true), VerificationKernels.softmax(x, log: false),
                        VerificationKernels.nll(x, Tensor(targets), scale: scale)
                    )
                }
                compare(kernels, "log-softmax \(type)", logarithm, description) { index in
                    (exact[index], bound(columns, exact[index], type), rounds: true)
                }
                // p = exp(y): y's bound is relative to it, 4 u for exp (2 ulps); the least results have 2^-148.
                compare(kernels, "softmax \(type)", probability, description) { index in
                    let p = exp(exact[index])
                    return (p, p * (bound(columns, exact[index], type) + 4 * unit(type)) + 0x1p-148, rounds: true)
                }
                compare(kernels, "nll \(type)", nll.rowLosses, description) { row in
                    let y = exact[row * columns + Int(targets[row])]
                    return (-y, bound(columns, y, type), rounds: false)
                }
                // g (p - 1 at the target): p through exp(x - lse), whose rounding costs 8 u more; the last operations 4 u of
                // what they add up. One rounding to 16 bits.
                func gradient(_ index: Int) -> (value: Double, bound: Double, rounds: Bool) {
                    let p = exp(exact[index]), minus = Int(targets[index / columns]) == index % columns ? 1.0 : 0
                    let u = unit(type), error = p * (bound(columns, exact[index], type) + 12 * u) + 0x1p-148
                    return (scale * (p - minus), scale * (error + 4 * u * (p + minus)), rounds: true)
                }
                compare(kernels, "nll gradient \(type)", nll.gradient, description, expected: gradient)
                compare(
                    kernels, "nll gradient with loss \(type)", nll.gradientWithLoss, description, expected: gradient)
                ledger.record(
                    kernels, "nll with gradient, its sums", in: "different",
                    Comparison(cases: rows, error: nll.sumsAgree ? 0 : 1, limit: 0)
                ) { description }
                if index % 3 != 0 { continue }
                gradients(kernels, type, probability, logarithm, description, &dyGenerator)
            }
        }
    }

    /// dx = y (dy - Σ y dy) and dx = dy - exp(y) Σ dy, y the kernels' own results. Sums of n float32 terms in any order are within
    /// gamma_n of Σ |terms|; the operations around them 4 u of what they work on, exp 2 ulps more.
    private func gradients(
        _ kernels: String, _ type: DType, _ probability: Tensor, _ logarithm: Tensor, _ description: String,
        _ generator: inout SeededGenerator
    ) {
        let columns = probability.shape[1], u = unit(type)
        let dy = Tensor.uniform(probability.shape, in: -1..<1, dtype: type, using: &generator)
        let d = dy.scalars(as: Double.self)
        for isLog in [false, true] {
            let y = isLog ? logarithm : probability
            let dx = VerificationKernels.onRow(kernels) {
                VerificationKernels.softmaxGradient(y: y, dy: dy, log: isLog)
            }
            let values = y.scalars(as: Double.self)
            let sums = stride(from: 0, to: values.count, by: columns).map { start in
                let terms = (start..<start + columns).map { isLog ? d[$0] : d[$0] * values[$0] }
                return (exact: compensatedSum(terms), size: terms.reduce(0) { $0 + abs($1) })
            }
            let gamma = (Double(columns) + 2) * u
            compare(kernels, "\(isLog ? "log-" : "")softmax gradient \(type)", dx, description) { index in
                let (total, size) = sums[index / columns]
                let factor = isLog ? exp(values[index]) : values[index]
                let first = isLog ? d[index] : factor * d[index]
                let parts = abs(first) + abs(factor * total)
                return (first - factor * total, factor * gamma * size + 8 * u * parts + 0x1p-148, rounds: true)
            }
        }
    }

    /// Records the worst result in units of its bound. `expected` gives value, bound, and whether it is rounded to the type.
    private func compare(
        _ kernels: String, _ check: String, _ result: Tensor, _ description: String,
        expected: (Int) -> (value: Double, bound: Double, rounds: Bool)
    ) {
        let got = result.scalars(as: Double.self)
        var worst = Comparison(cases: got.count, error: 0, limit: 1), at = 0
        for index in got.indices {
            let (value, bound, rounds) = expected(index)
            let excess = RoundingTable.distance(
                from: value, toWhatRoundsTo: got[index], rounds ? result.dtype : .float32)
            let comparison = Comparison(cases: got.count, error: excess == 0 ? 0 : excess / bound, limit: 1)
            if comparison.isWorse(than: worst) { (worst, at) = (comparison, index) }
        }
        ledger.record(kernels, check, in: "of the bound", worst) {
            "\(description) at \(at)"
                + (worst.isWithin ? "" : ": \(got[at]), expected \(expected(at).value) within \(expected(at).bound)")
        }
    }
}
