// Cross-entropy, NLL and softmax against Double, with every option and the special values of SEMANTICS.
import Foundation
import NeedletailTensor
import Testing

/// The definition in Double: rows of logits, targets, weights, ignored index, smoothing -> row losses and row weights.
private func reference(
    _ logits: [[Double]], _ targets: [Int], weights: [Double]? = nil, ignoreIndex: Int = -100, smoothing: Double = 0
) -> (losses: [Double], weights: [Double]) {
    var losses: [Double] = [], rowWeights: [Double] = []
    for (row, target) in zip(logits, targets) {
        if target == ignoreIndex {
            losses.append(0)
            rowWeights.append(0)
            continue
        }
        let peak = row.max() ?? 0
        let logSumExp = peak + log(row.map { exp($0 - peak) }.reduce(0, +))
        let w = weights ?? [Double](repeating: 1, count: row.count)
        var loss = (1 - smoothing) * w[target] * (logSumExp - row[target])
        if smoothing > 0 {
            loss += smoothing / Double(row.count) * zip(w, row).map { $0 * (logSumExp - $1) }.reduce(0, +)
        }
        losses.append(loss)
        rowWeights.append(w[target])
    }
    return (losses, rowWeights)
}

@Suite struct LossTests {
    @Test(arguments: floatingTypes) func allOptionsAgreeWithTheDefinition(_ dtype: DType) throws {
        let rows = 37, classes = 11
        let logits = exactValues([rows, classes], seed: 21, dtype: dtype)
        let values: [Double] = logits.scalars()
        let grid = (0..<rows).map { Array(values[($0 * classes)..<(($0 + 1) * classes)]) }
        let targets = (0..<rows).map { $0 % 5 == 4 ? 3 : ($0 * 7) % classes }
        let weights = (0..<classes).map { Double($0 % 4) / 4 + 0.25 }
        for (ignored, smoothing, isWeighted) in [
            (-100, 0.0, false), (3, 0.0, true), (3, 0.125, true), (-100, 0.5, false),
        ] {
            let expected = reference(
                grid, targets, weights: isWeighted ? weights : nil, ignoreIndex: ignored, smoothing: smoothing)
            let classWeights = isWeighted ? Tensor(weights.map { Float($0) }) : nil
            func loss(_ reduction: Reduction) throws -> Tensor {
                try crossEntropy(
                    logits, Tensor(targets.map { Int32($0) }), classWeights: classWeights, ignoreIndex: ignored,
                    labelSmoothing: smoothing, reduction: reduction)
            }
            let sum = expected.losses.reduce(0, +), weight = expected.weights.reduce(0, +)
            // A row: u (8 + log C + 2.5 |loss|) by TRUST.md; losses here are above 0.02 and below 12, so 2 · 600 u relative
            // bounds every row, and the exact-order float64 sums add nothing.
            let scale = expected.losses.map { 8 + log(Double(classes)) + 2.5 * abs($0) }
            let found = try loss(.none)
            #expect(found.dtype == dtype.accumulationType)
            expectClose(found, expected.losses, roundings: 1.5, scale: scale, "rows, smoothing \(smoothing)")
            let total = scale.reduce(0, +)
            expectClose(try loss(.sum), [sum], roundings: 1.5, scale: [total], "sum")
            expectClose(try loss(.mean), [sum / weight], roundings: 1.5, scale: [total / weight], "mean")
        }
    }

    @Test func unfusedAgreesWithFused() throws {
        let logits = exactValues([9, 5], seed: 3, dtype: .float64)
        let targets = Tensor((0..<9).map { Int64($0 % 5) })
        let weights = Tensor([1, 2, 0.5, 0.25, 3] as [Float])
        for reduction in [Reduction.mean, .sum, .none] {
            let fused = try crossEntropy(logits, targets, classWeights: weights, ignoreIndex: 2, reduction: reduction)
            let separate = try nllLoss(
                logSoftmax(logits), targets, classWeights: weights, ignoreIndex: 2, reduction: reduction)
            // Float64 both: a few dozen operations on values below 16.
            expectClose(
                separate, fused.scalars(), roundings: 64, scale: .init(repeating: 16, count: fused.count), "NLL")
        }
    }

    @Test(arguments: [DType.float32, .float16, .bfloat16]) func specialValues(_ dtype: DType) throws {
        let inf = Double.infinity
        let rows: [[Double]] = [
            [0, -inf, 0], [-inf, 0, 0], [-inf, -inf, -inf], [inf, 0, 0], [.nan, 0, 0], [1, 2, 3],
        ]
        let logits = Tensor(rows.flatMap { $0 }, shape: [6, 3]).cast(to: dtype).trackingGradient()
        let targets = Tensor([0, 0, 0, 0, 0, 0] as [Int64])
        let losses: [Double] = try crossEntropy(logits, targets, reduction: .none).scalars()
        #expect(abs(losses[0] - log(2)) <= 2 * 0x1p-23)
        #expect(losses[1] == inf)
        #expect(losses[2].isNaN && losses[3].isNaN && losses[4].isNaN)
        #expect(losses[5].isFinite)
        let sound = Tensor(rows[0] + rows[5], shape: [2, 3]).cast(to: dtype).trackingGradient()
        let loss = try crossEntropy(sound, Tensor([0, 2] as [Int64]), reduction: .sum)
        let gradient: [Double] = gradients(of: loss, withRespectTo: [sound])[0].scalars()
        #expect(gradient[1] == 0)
        let isFinite = gradient.allSatisfy { $0.isFinite }
        #expect(isFinite)
    }

    /// The gradient waits at a power of two from the loss on: seeds that are powers of two give it exactly, other seeds and a
    /// second walk form it again, with other bits but within one rounding of the type and a float32 gradient's error,
    /// u (8 + log C + 2.5 |log p| + 12), here below 60 u, of p + [target].
    @Test(arguments: floatingTypes) func gradientsFollowTheSeed(_ dtype: DType) throws {
        let values = exactValues([33, 70], seed: 4, dtype: dtype)
        let targets = Tensor((0..<33).map { Int64($0 * 2) })
        func gradient(_ seed: Double, walks: Int = 1) throws -> [Double] {
            let logits = values.trackingGradient()
            let loss = try crossEntropy(logits * 1, targets)
            for _ in 1..<walks { _ = gradients(of: loss, withRespectTo: [logits]) }
            return gradients(of: loss, withRespectTo: [logits], seed: seed)[0].scalars()
        }
        let plain = try gradient(0x1p16)
        for seed in [0x1p15, 0x1p17] {
            let isScaled = zip(try gradient(seed), plain).allSatisfy { $0 == $1 * seed * 0x1p-16 }
            #expect(isScaled, "seed \(seed)")
        }
        let u = 60 * unitRoundoff(dtype.accumulationType), rounding = dtype.is16Bit ? unitRoundoff(dtype) : 0
        for (other, factor) in [(try gradient(3 * 0x1p15), 1.5), (try gradient(0x1p16, walks: 2), 1)] {
            for (index, (found, first)) in zip(other, plain).enumerated() {
                let isTarget = index % 70 == index / 70 * 2
                let error = 2 * rounding * abs(first) + 2 * u * (abs(first) + (isTarget ? 0x1p17 / 33 : 0))
                let isClose = abs(found - factor * first) <= factor * error
                #expect(isClose, "[\(index)]: found \(found), expected \(factor * first) ± \(error)")
            }
        }
    }

    @Test func nothingToAverage() throws {
        let logits = Tensor.zeros([2, 3]).trackingGradient()
        let ignored = Tensor([-100, -100] as [Int64])
        let mean = try crossEntropy(logits, ignored)
        #expect(mean.item().isNaN)
        #expect(gradients(of: mean, withRespectTo: [logits])[0].scalars(as: Float.self) == [0, 0, 0, 0, 0, 0])
        #expect(try crossEntropy(logits, ignored, emptyMean: .zero).item() == 0)
        #expect(try crossEntropy(logits, ignored, reduction: .sum).item() == 0)
        #expect(try crossEntropy(Tensor.zeros([0, 3]), Tensor([] as [Int64])).item().isNaN)
    }

    @Test(arguments: [-1, 3, 1 << 31, 1 << 32, Int.min]) func targetsOutsideTheClassesThrow(_ value: Int) {
        let logits = Tensor.zeros([2, 3]), targets = Tensor([0, Int64(value)])
        #expect(throws: TargetError(row: 1, value: value, classCount: 3)) { try crossEntropy(logits, targets) }
        #expect(throws: TargetError(row: 1, value: value, classCount: 3)) { try nllLoss(logits, targets) }
    }

    @Test func wrongArgumentsThrow() {
        let logits = Tensor.zeros([2, 3]), targets = Tensor([0, 1] as [Int64])
        for smoothing in [-0.1, 1.1, .nan] {
            #expect(throws: LossArgumentError.self) {
                try crossEntropy(logits, targets, labelSmoothing: smoothing)
            }
        }
        #expect(throws: ShapeError.self) { try crossEntropy(logits, Tensor([0] as [Int64])) }
        #expect(throws: ShapeError.self) { try crossEntropy(logits, targets, classWeights: Tensor([1] as [Float])) }
        #expect(throws: LossArgumentError.self) { try crossEntropy(logits, Tensor([0, 1] as [Float])) }
    }

    @Test func aSingleRowWithoutBatchAxis() throws {
        let loss = try crossEntropy(Tensor([0, 0] as [Float]), Tensor(1, dtype: .int64))
        #expect(loss.shape == [])
        #expect(abs(loss.item() - log(2)) <= 0x1p-23)
    }

    @Test func probabilityZeroAtMinusInfinityContributesNothing() throws {
        let logits = Tensor([-.infinity, 0, 0] as [Double], shape: [1, 3]).trackingGradient()
        let loss = try crossEntropy(logits, Tensor([0, 0.5, 0.5] as [Double], shape: [1, 3]))
        #expect(abs(loss.item() - log(2)) <= 0x1p-50)
        let gradient: [Double] = gradients(of: loss, withRespectTo: [logits])[0].scalars()
        #expect(gradient.allSatisfy { abs($0) <= 0x1p-50 }, "\(gradient)")
    }

    /// The mean of 65,520 rows and more: an fp16 accumulator would give 0 or infinity, a bfloat16 one stops growing.
    @Test(arguments: [DType.float16, .bfloat16]) func manyRowsAreAveragedExactly(_ dtype: DType) throws {
        let loss = try crossEntropy(Tensor.zeros([70_000, 4], dtype: dtype), Tensor.zeros([70_000], dtype: .int64))
        #expect(loss.dtype == .float32)
        #expect(abs(loss.item() - log(4)) <= 0x1p-22)
    }

    @Test func logSoftmaxOfSixteenBitsIsFloat32() {
        let y = logSoftmax(Tensor([0, 0, 0] as [BFloat16]))
        #expect(y.dtype == .float32)
        expectClose(y, [Double](repeating: -log(3), count: 3), roundings: 12, "log-softmax")
        #expect(softmax(Tensor([0, 0] as [Float16])).dtype == .float16)
    }

    /// Formed in forward for the seed that a step announces, and rounded once: at the seed 1 most of these gradients, 1e-8 to 1e-2,
    /// would be subnormal or zero in float16.
    @Test(arguments: [DType.float32, .float16, .bfloat16]) func gradientsOfAnExpectedSeedAreRoundedOnce(_ dtype: DType)
        throws
    {
        let rows = 64, classes = 40, seed = 256.0
        let values = (0..<rows * classes).map { Double($0 * 37 % 97) / 8 - 6 }
        let targets = (0..<rows).map { $0 * 7 % classes }
        let logits = Tensor(values).cast(to: dtype)
        func gradient(expecting: Double?, walking: Double) throws -> [Double] {
            let x = logits.reshape([rows, classes]).trackingGradient()
            let classOf = Tensor(targets.map { Int64($0) })
            let loss =
                try expecting.map { try expectingSeed($0) { try crossEntropy(x, classOf) } } ?? crossEntropy(x, classOf)
            return gradients(of: loss, withRespectTo: [x], seed: walking)[0].scalars()
        }
        let found = try gradient(expecting: seed, walking: seed)
        // One rounding of the result, u or half the least subnormal; before it an exponential, a sum of 40, a product: 64 of float32's u.
        let precisions: [DType: Double] = [.float32: 0x1p-24, .float16: 0x1p-11, .bfloat16: 0x1p-8]
        let u: Double = precisions[dtype] ?? 0
        let subnormal: Double = dtype == .float16 ? 0x1p-25 : 0
        var fewBits = 0
        for row in 0..<rows {
            let exps = values[(row * classes)..<((row + 1) * classes)].map { exp($0) }
            let sum = exps.reduce(0, +)
            for c in 0..<classes {
                let share: Double = seed / Double(rows), isTarget = c == targets[row]
                let probability: Double = exps[c] / sum
                let exact: Double = isTarget ? (probability - 1) * share : probability * share
                let before: Double = 0x1p-18 * (isTarget ? share : exact)
                let bound: Double = u * abs(exact) + subnormal + before
                let got = found[row * classes + c]
                #expect(abs(got - exact) <= bound, "\(dtype) row \(row) class \(c): \(got), expected \(exact)")
                if abs(exact) < 0x1p-14 { fewBits += 1 }
            }
        }
        #expect(fewBits > 100)
        // Another seed than was announced changes no bit.
        for walking in [seed / 2, 3] {
            #expect(try gradient(expecting: seed, walking: walking) == gradient(expecting: nil, walking: walking))
        }
    }
}
