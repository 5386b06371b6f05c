// One step of each optimizer against its formula in float64; shadows; the same bits on every row.
import Foundation
import NeedletailTensor

/// One optimizer with fixed options: its kernel, and its formula for one element in float64.
private struct OptimizerUnderTest: Sendable {
    let name: String
    let stateCount: Int
    /// Runs the kernel.
    let update: @Sendable (Parameter, [Tensor], _ step: Int, UpdatePass) -> Void
    /// New parameter and states of one element, and the sum of the magnitudes that the update is made of; the last is nil
    /// where a sign is a matter of rounding.
    let exact:
        @Sendable (_ p: Double, _ g: Double, _ states: [Double], _ step: Int) -> (
            p: Double, states: [Double], scale: Double?
        )

    private static let rate = 1e-2

    static let all: [OptimizerUnderTest] = [
        OptimizerUnderTest(name: "SGD momentum nesterov", stateCount: 1) { p, states, step, pass in
            _ = sgdUpdate(
                p, momentumBuffer: states[0], learningRate: rate, momentum: 0.9, dampening: 0, nesterov: true,
                weightDecay: 0.01, maximize: false, firstStep: step == 1, pass: pass)
        } exact: { p, g, states, step in
            let size = abs(g) + abs(0.01 * p), g = g + 0.01 * p
            let buffer = step == 1 ? g : 0.9 * states[0] + g
            let scale = rate * (size + 0.9 * (0.9 * abs(states[0]) + size))
            return (p - rate * (g + 0.9 * buffer), [buffer], scale)
        },
        OptimizerUnderTest(name: "AdamW amsgrad", stateCount: 3) { p, states, step, pass in
            _ = adamUpdate(
                p, firstMoment: states[0], secondMoment: states[1], maxSecondMoment: states[2], learningRate: rate,
                beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, decoupled: true, maximize: false,
                step: step, pass: pass)
        } exact: { p, g, states, step in
            let first = states[0] + 0.1 * (g - states[0])
            let second = 0.999 * states[1] + (1 - 0.999) * g * g
            let largest = max(states[2], second)
            let size = rate / (1 - pow(0.9, Double(step)))
            let denominator = largest.squareRoot() / (1 - pow(0.999, Double(step))).squareRoot() + 1e-8
            return (
                p * (1 - rate * 0.1) - size * first / denominator, [first, second, largest],
                size * (abs(states[0]) + abs(g)) / denominator
            )
        },
        OptimizerUnderTest(name: "RMSprop momentum", stateCount: 2) { p, states, step, pass in
            _ = rmspropUpdate(
                p, squareMean: states[0], gradientMean: nil, momentumBuffer: states[1], learningRate: rate, alpha: 0.99,
                epsilon: 1e-8, momentum: 0.9, weightDecay: 0, maximize: false, pass: pass)
        } exact: { p, g, states, _ in
            let square = 0.99 * states[0] + (1 - 0.99) * g * g
            let direction = g / (square.squareRoot() + 1e-8), buffer = 0.9 * states[1] + direction
            return (p - rate * buffer, [square, buffer], rate * (0.9 * abs(states[1]) + abs(direction)))
        },
        OptimizerUnderTest(name: "Adagrad", stateCount: 1) { p, states, step, pass in
            _ = adagradUpdate(
                p, squareSum: states[0], learningRate: rate, learningRateDecay: 0.1, epsilon: 1e-10, weightDecay: 0,
                maximize: false, step: step, pass: pass)
        } exact: { p, g, states, step in
            let sum = states[0] + g * g
            let update = rate / (1 + Double(step - 1) * 0.1) * g / (sum.squareRoot() + 1e-10)
            return (p - update, [sum], abs(update))
        },
        OptimizerUnderTest(name: "Lion", stateCount: 1) { p, states, _, pass in
            _ = lionUpdate(
                p, mean: states[0], learningRate: rate, beta1: 0.9, beta2: 0.99, weightDecay: 0.1, maximize: false,
                pass: pass)
        } exact: { p, g, states, _ in
            let mean = 0.9 * states[0] + (1 - 0.9) * g, size = 0.9 * abs(states[0]) + (1 - 0.9) * abs(g)
            let sign: Double = mean > 0 ? 1 : mean < 0 ? -1 : 0
            let isClear = g == 0 && states[0] == 0 || abs(mean) > 8 * 0x1p-24 * size
            return (
                p * (1 - rate * 0.1) - rate * sign, [0.99 * states[0] + (1 - 0.99) * g], isClear ? rate : nil
            )
        },
    ]
}

struct OptimizerChecks {
    let ledger: VerificationLedger

    /// 2^-24; for float64 twice 2^-53: once for the kernel, once for the formula that it is compared with.
    private func unit(_ storage: DType) -> Double { storage == .float64 ? 0x1p-52 : 0x1p-24 }

    /// A few steps of each optimizer, in every kind of storage; each step is judged from the state before it.
    ///
    /// With S the sum of magnitudes of which the update is made (the first moment's and the gradient's share, say), at most a
    /// dozen float32 roundings of parts of S and four of the parameter: |p - p64| <= 16 u S + 2 u (|p| + |p new|).
    /// A 16-bit parameter is the rounding of a value within that, a shadow that of its master. Moments m of which each
    /// is a sum of two: 6 u of both terms. All rows must give the same bits.
    func steps(_ count: Int, rows: [String], _ generator: inout SeededGenerator) {
        let storages: [(DType, DType)] = [
            (.float32, .float32), (.float32, .float16), (.float32, .bfloat16), (.float16, .float16),
            (.bfloat16, .bfloat16), (.float64, .float64),
        ]
        for optimizer in OptimizerUnderTest.all {
            for (storage, compute) in storages {
                let size = 1 + generator.nextInteger(below: 300)
                let start = Tensor.normal([size], using: &generator)
                let gradients = (0..<count).map { step in
                    (0..<size).map { _ in
                        step % 2 == 1 && generator.nextUniform() < 0.1 ? 0 : Float(generator.nextNormal() * 1024)
                    }
                }
                var finalBits: [[UInt8]] = []
                for row in rows {
                    finalBits.append(
                        run(optimizer, row, start, gradients, storage: storage, compute: compute))
                }
                for (row, bits) in zip(rows, finalBits) {
                    let different = zip(bits, finalBits[0]).filter { $0 != $1 }.count
                    ledger.record(
                        row, "updates, the bits of \(rows[0])", in: "different bytes",
                        Comparison(cases: bits.count, error: Double(different), limit: 0)
                    ) { "\(optimizer.name) \(storage)" }
                }
            }
        }
    }

    /// The bytes of parameter, shadow and states at the end.
    private func run(
        _ optimizer: OptimizerUnderTest, _ row: String, _ start: Tensor, _ gradients: [[Float]], storage: DType,
        compute: DType
    ) -> [UInt8] {
        let parameter = Parameter(start)
        parameter.setTypes(storage: storage, compute: compute)
        let u = unit(storage)
        let states = (0..<optimizer.stateCount).map { _ in
            Tensor.full(start.shape, 0, dtype: storage == .float64 ? .float64 : .float32)
        }
        // Unscaled and clipped on the way: 1 / 1024 is exact, 0.7 one rounding.
        let factor = Float(0.7)
        let pass = UpdatePass(GradientTransform(gradientScale: 1.0 / 1024, clipCoefficient: Double(factor)))
        for (index, values) in gradients.enumerated() {
            parameter.zeroGradient()
            (parameter.value.cast(to: .float32) * Tensor(values)).sum().backward()
            let g = parameter.gradient?.scalars(as: Double.self) ?? []
            let before = parameter.master.scalars(as: Double.self)
            let old = states.map { $0.scalars(as: Double.self) }
            VerificationKernels.onRow(row) { optimizer.update(parameter, states, index + 1, pass) }
            let after = parameter.master.scalars(as: Double.self)
            let new = states.map { $0.scalars(as: Double.self) }
            var worst = Comparison(cases: 0, error: 0, limit: 1), at = 0, expectation = 0.0
            for i in before.indices {
                let gradient = g[i] / 1024 * Double(factor)
                let exact = optimizer.exact(before[i], gradient, old.map { $0[i] }, index + 1)
                guard let scale = exact.scale else { continue }
                let bound = 16 * u * scale + 2 * u * (abs(before[i]) + abs(exact.p)) + 0x1p-140
                let excess = RoundingTable.distance(from: exact.p, toWhatRoundsTo: after[i], storage)
                var error = excess == 0 ? 0 : excess / bound
                for (state, value) in exact.states.enumerated() {
                    let size = abs(old[state][i]) + abs(gradient) * max(1, abs(gradient)) + abs(value)
                    let off = abs(new[state][i] - value) / (6 * u * size + 0x1p-140)
                    error = off <= error ? error : off
                }
                worst.cases += 1
                let comparison = Comparison(error: error, limit: 1)
                if comparison.isWorse(than: worst) { (worst.error, at, expectation) = (error, i, exact.p) }
            }
            ledger.record(row, "\(optimizer.name) \(storage)", in: "of the bound", worst) {
                "step \(index + 1) at \(at)" + (worst.isWithin ? "" : ": \(after[at]), expected \(expectation)")
            }
            if compute != storage { checkShadow(parameter, after, compute, row) }
        }
        return parameter.master.bytes + parameter.value.bytes + states.flatMap(\.bytes)
    }

    private func checkShadow(_ parameter: Parameter, _ master: [Double], _ type: DType, _ row: String) {
        let shadow = parameter.value.scalars(as: Double.self)
        let wrong = shadow.indices.filter {
            !(RoundingTable.distance(from: master[$0], toWhatRoundsTo: shadow[$0], type) == 0)
        }
        ledger.record(
            row, "shadows in \(type)", in: "wrong results",
            Comparison(cases: shadow.count, error: Double(wrong.count), limit: 0)
        ) { wrong.first.map { "\(master[$0]) gives \(shadow[$0])" } ?? "" }
    }
}
