// Cross-entropy and NLL: shapes, types of targets and weights, soft targets, what is ignored.
import Foundation
import NeedletailTensor
import Testing

@Suite struct LossOptionsTests {
    private func gradient(_ logits: Tensor, _ loss: (Tensor) throws -> Tensor) rethrows -> Tensor {
        let logits = logits.trackingGradient()
        return try gradients(of: loss(logits), withRespectTo: [logits])[0]
    }

    /// The class axis is the second one: (N, C, d…)/(N, d…) gives the bits of the same rows as (N·d…, C)/(N·d…), losses in the
    /// targets' shape and gradients in the logits'.
    @Test(arguments: floatingTypes) func furtherAxesAreRows(_ dtype: DType) throws {
        for axes in [[3], [3, 2], [1, 2, 3]] {
            let logits = exactValues([2, 5] + axes, seed: 5, dtype: dtype)
            let order = [0] + Array(2..<logits.rank) + [1]
            let rowShape = [2] + axes
            let count = rowShape.reduce(1, *)
            let targets = Tensor((0..<count).map { Int64(($0 * 3) % 5) }, shape: rowShape)
            let rows = logits.permuted(order).contiguous().reshape([count, 5])
            for reduction in [Reduction.mean, .sum, .none] {
                func loss(_ x: Tensor, _ t: Tensor) throws -> Tensor {
                    try crossEntropy(x, t, ignoreIndex: 2, labelSmoothing: 0.1, reduction: reduction)
                }
                let found = try loss(logits, targets)
                #expect(found.shape == (reduction == .none ? rowShape : []))
                #expect(found.bytes == (try loss(rows, targets.reshape([count]))).bytes)
                let separate = try nllLoss(
                    logits.cast(to: .float64).logSoftmax(axis: 1), targets, ignoreIndex: 2, reduction: reduction)
                #expect(separate.shape == found.shape)
            }
            let found = try gradient(logits) { try crossEntropy($0, targets) }
            let expected = try gradient(rows) { try crossEntropy($0, targets.reshape([count])) }
            #expect(found.shape == logits.shape && found.dtype == dtype)
            #expect(found.permuted(order).contiguous().bytes == expected.bytes)
        }
    }

    @Test func targetsOfEveryIntegerTypeGiveTheSameBits() throws {
        let logits = exactValues([6, 4], seed: 9, dtype: .bfloat16)
        let values = [0, 3, 1, 2, 3, 0]
        let expected = try crossEntropy(logits, Tensor(values.map { Int64($0) }))
        #expect(try crossEntropy(logits, Tensor(values.map { Int32($0) })).bytes == expected.bytes)
        #expect(try crossEntropy(logits, Tensor(values.map { UInt8($0) })).bytes == expected.bytes)
        #expect(throws: LossArgumentError.self) { try crossEntropy(logits, Tensor(values.map { $0 > 0 })) }
        for (type, value) in [(DType.int32, -1), (.int64, 4), (.uint8, 200)] {
            let wrong = Tensor((values.dropLast() + [value]).map { Double($0) }).cast(to: type)
            #expect(throws: TargetError(row: 5, value: value, classCount: 4)) { try crossEntropy(logits, wrong) }
            #expect(throws: TargetError(row: 5, value: value, classCount: 4)) { try nllLoss(logits, wrong) }
        }
    }

    /// Weights of thirds and tenths are not 16-bit values: rounded to bfloat16 they would be off by up to 2^-9, which is
    /// 2^15 times the bound. A row's loss: TRUST.md's bound times its weight, one rounding for the product.
    @Test(arguments: floatingTypes) func classWeightsAreFloat32WhateverTheLogitsAre(_ dtype: DType) throws {
        let logits = exactValues([12, 3], seed: 13, dtype: dtype)
        let values: [Double] = logits.scalars()
        let weights = [Float(1) / 3, 0.1, 0.7]
        let targets = (0..<12).map { $0 % 3 }
        var losses: [Double] = [], scale: [Double] = []
        for (row, target) in targets.enumerated() {
            let x = values[row * 3..<row * 3 + 3]
            let loss = log(x.map(exp).reduce(0, +)) - x[row * 3 + target]
            losses.append(Double(weights[target]) * loss)
            scale.append(Double(weights[target]) * (8 + log(3) + 2.5 * loss) + losses[row])
        }
        let tensor = Tensor(weights)
        let found = try crossEntropy(
            logits, Tensor(targets.map { Int64($0) }), classWeights: tensor, reduction: .none)
        expectClose(found, losses, roundings: 1.5, scale: scale, "weighted rows")
        let total = targets.map { Double(weights[$0]) }.reduce(0, +)
        let mean = try crossEntropy(logits, Tensor(targets.map { Int64($0) }), classWeights: tensor)
        expectClose(
            mean, [losses.reduce(0, +) / total], roundings: 1.5, scale: [scale.reduce(0, +) / total], "weighted mean")
        let log64 = logits.cast(to: .float64).logSoftmax(axis: 1)
        let separate = try nllLoss(log64, Tensor(targets.map { Int64($0) }), classWeights: tensor)
        expectClose(separate, [losses.reduce(0, +) / total], roundings: 64, scale: [64], "NLL")
    }

    /// -Σ w q log p over the classes, its mean over all rows, q smoothed towards 1 / C; shapes (C), (N, C), (N, C, d…).
    ///
    /// Each of the C terms has the error of its log-probability, u (8 + log C + 2.5 |y|), times w q, and 4 roundings of
    /// products and the smoothing; their sum adds C + 2 more, 24 u of Σ |term| in all.
    @Test(arguments: floatingTypes, [[4], [6, 4], [2, 4, 3], [2, 4, 1, 2]])
    func softTargetsAgreeWithTheDefinition(_ dtype: DType, _ shape: [Int]) throws {
        let logits = exactValues(shape, seed: 17, dtype: dtype)
        let axis = shape.count == 1 ? 0 : 1
        let order = shape.indices.filter { $0 != axis } + [axis]
        let x: [Double] = logits.permuted(order).contiguous().scalars()
        let rows = x.count / 4
        let shares = (0..<x.count).map { Double([1, 5, 0, 2, 8, 0, 0, 0, 3, 3, 1, 1][$0 % 12]) / 8 }
        // Back from rows to the logits' shape.
        var back = [Int](repeating: 0, count: shape.count)
        for (position, from) in order.enumerated() { back[from] = position }
        let rowsFirst = Tensor(shares, shape: order.map { shape[$0] })
        let targets = rowsFirst.permuted(back).contiguous().cast(to: dtype)
        let weights = [0.5, 1, 2, 0.25]
        for (smoothing, isWeighted) in [(0.0, false), (0.25, false), (0, true), (0.25, true), (1, true)] {
            var losses: [Double] = [], scale: [Double] = []
            for row in 0..<rows {
                let logSum = log((0..<4).map { exp(x[row * 4 + $0]) }.reduce(0, +))
                var loss = 0.0, bound = 0.0
                for c in 0..<4 {
                    let q = shares[row * 4 + c] * (1 - smoothing) + smoothing / 4
                    let weight = (isWeighted ? weights[c] : 1) * q
                    let y = x[row * 4 + c] - logSum
                    loss -= weight * y
                    bound += weight * (8 + log(4) + 2.5 * abs(y)) + 24 * weight * abs(y)
                }
                losses.append(loss)
                scale.append(bound)
            }
            func found(_ reduction: Reduction) throws -> Tensor {
                try crossEntropy(
                    logits, targets, classWeights: isWeighted ? Tensor(weights).cast(to: .float32) : nil,
                    labelSmoothing: smoothing, reduction: reduction)
            }
            let what = "\(shape), smoothing \(smoothing), weights \(isWeighted)"
            let each = try found(.none)
            #expect(
                each.dtype == dtype.accumulationType
                    && each.shape == shape.indices.filter { $0 != axis }.map { shape[$0] })
            expectClose(each, losses, scale: scale, what)
            let sum = losses.reduce(0, +), bound = scale.reduce(0, +)
            expectClose(try found(.sum), [sum], scale: [bound], what)
            expectClose(try found(.mean), [sum / Double(rows)], scale: [bound / Double(rows)], what)
        }
    }

    /// One hot row a target: soft and hard targets are the same loss, to the roundings of both.
    @Test func oneHotTargetsAreHardTargets() throws {
        let logits = exactValues([6, 4], seed: 19, dtype: .float64)
        let targets = Tensor([0, 3, 1, 2, 2, 0] as [Int64])
        for smoothing in [0, 0.3] {
            let hard = try crossEntropy(logits, targets, labelSmoothing: smoothing)
            let soft = try crossEntropy(logits, targets.oneHot(classes: 4, dtype: .float64), labelSmoothing: smoothing)
            expectClose(soft, hard.scalars(), roundings: 64, scale: [16], "one-hot")
        }
    }

    @Test(arguments: floatingTypes) func ignoredRowsHaveNoGradient(_ dtype: DType) throws {
        let logits = exactValues([5, 3], seed: 23, dtype: dtype)
        let targets = Tensor([0, -100, 2, -100, 1] as [Int64])
        for reduction in [Reduction.mean, .sum] {
            let fused: [Double] = try gradient(logits) { try crossEntropy($0, targets, reduction: reduction) }.scalars()
            let separate: [Double] = try gradient(logits) {
                try nllLoss($0.logSoftmax(axis: 1), targets, reduction: reduction)
            }.scalars()
            for row in 0..<5 {
                for values in [fused[row * 3..<row * 3 + 3], separate[row * 3..<row * 3 + 3]] {
                    #expect(values.allSatisfy { ($0 == 0) == (row % 2 == 1) }, "row \(row): \(values)")
                }
            }
        }
    }

    /// The mean of nothing is NaN or, where asked for, 0; its gradient is 0 either way, and so is the sum.
    @Test func theMeanOfNothing() throws {
        let ignored = Tensor([-100, -100] as [Int64])
        let none = Tensor([] as [Int64])
        for (shape, targets) in [
            ([2, 3], ignored), ([0, 3], none), ([2, 3, 0], Tensor.zeros([2, 0], dtype: .int64)),
        ] {
            let logits = exactValues(shape, dtype: .float32)
            for loss: (Tensor, EmptyMean, Reduction) throws -> Tensor in [
                { try crossEntropy($0, targets, reduction: $2, emptyMean: $1) },
                { try nllLoss($0, targets, reduction: $2, emptyMean: $1) },
            ] {
                #expect(try loss(logits, .notANumber, .mean).item().isNaN, "\(shape)")
                #expect(try loss(logits, .zero, .mean).item() == 0, "\(shape)")
                #expect(try loss(logits, .notANumber, .sum).item() == 0, "\(shape)")
                for empty in [EmptyMean.notANumber, .zero] {
                    let gradient: [Float] = try gradient(logits) { try loss($0, empty, .mean) }.scalars()
                    #expect(gradient.allSatisfy { $0 == 0 }, "\(shape): \(gradient)")
                }
            }
        }
        let empty = Tensor.zeros([0, 3])
        #expect(try crossEntropy(empty, empty).item().isNaN)
        #expect(try crossEntropy(empty, empty, emptyMean: .zero).item() == 0)
        #expect(try crossEntropy(empty, empty, reduction: .sum).item() == 0)
    }

    /// A target at -inf: the loss is +inf, the gradient p - 1 stays finite. p = 0 at -inf counts for nothing in every type.
    @Test(arguments: floatingTypes) func minusInfinity(_ dtype: DType) throws {
        let inf = Double.infinity
        let logits = Tensor([-inf, 0, 0], shape: [1, 3]).cast(to: dtype)
        let hard = Tensor([0] as [Int64])
        #expect(try crossEntropy(logits, hard).item() == inf)
        #expect(try nllLoss(logits.logSoftmax(axis: 1), hard).item() == inf)
        let slope: [Double] = try gradient(logits) { try crossEntropy($0, hard) }.scalars()
        // 0.5 is exact in every type; exp may be an ulp off.
        #expect(
            slope[0] == -1 && slope.dropFirst().allSatisfy { abs($0 - 0.5) <= 0.5 * unitRoundoff(dtype) }, "\(slope)")

        let soft = Tensor([0, 0.5, 0.5], shape: [1, 3]).cast(to: dtype)
        let found = try crossEntropy(logits, soft)
        expectClose(found, [log(2)], roundings: 12, "p = 0 at -inf")
        let softSlope: [Double] = try gradient(logits) { try crossEntropy($0, soft) }.scalars()
        #expect(softSlope.allSatisfy { abs($0) <= 2 * unitRoundoff(dtype) }, "\(softSlope)")
    }

    /// With label smoothing a class at -inf has a share of the target: the loss is +inf, the gradient p - q, here of
    /// q = [7/12, 5/24, 5/24], stays finite. A class weight of 0 takes the share away.
    ///
    /// Elements of p - q below 1 err by at most a few float32 roundings of p and q, and one of the type.
    @Test(arguments: floatingTypes) func smoothingCountsMinusInfinityAtAnotherClass(_ dtype: DType) throws {
        let logits = Tensor([0, -Double.infinity, 0], shape: [1, 3]).cast(to: dtype)
        let hard = Tensor([0] as [Int64])
        let soft = Tensor([1, 0, 0] as [Double], shape: [1, 3]).cast(to: dtype)
        let weights = Tensor([1, 0, 1] as [Float])
        for targets in [hard, soft] {
            func loss(_ x: Tensor, _ weights: Tensor? = nil) throws -> Tensor {
                try crossEntropy(x, targets, classWeights: weights, labelSmoothing: 0.625)
            }
            #expect(try loss(logits).item() == .infinity)
            let slope: [Double] = try gradient(logits) { try loss($0) }.scalars()
            for (found, expected) in zip(slope, [0.5 - 7.0 / 12, -5.0 / 24, 0.5 - 5.0 / 24]) {
                #expect(abs(found - expected) <= unitRoundoff(dtype) + 0x1p-21, "\(targets.dtype): \(slope)")
            }
            #expect(try loss(logits, weights).item().isFinite)
            let finite: [Double] = try gradient(logits) { try loss($0, weights) }.scalars()
            #expect(finite[1] == 0 && finite.allSatisfy { $0.isFinite }, "\(targets.dtype): \(finite)")
        }
    }
}
