import Foundation
import NeedletailTensor
import Testing

/// Elements that do not count: whatever they hold, results and gradients have the bits of zeros there.
@Suite struct HiddenElementTests {
    static let poisons: [Double] = [.nan, .infinity, -.infinity]

    /// `values` with a poison in the rows (of `width` elements) that `isHidden` names.
    private func poisoned(
        _ values: [Double], width: Int, _ poison: Double, _ dtype: DType, where isHidden: (Int) -> Bool
    ) -> Tensor {
        let all = values.indices.map { isHidden($0 / width) ? poison : values[$0] }
        return Tensor(all, shape: [values.count / width, width]).cast(to: dtype)
    }

    private func random(_ count: Int, seed: UInt64) -> [Double] {
        var generator = SeededGenerator(seed: seed)
        return Tensor.uniform([count], in: -2..<2, dtype: .float64, using: &generator).scalars()
    }

    /// The bytes of a loss and of the gradients of its inputs.
    private func bytes(_ inputs: [Tensor], _ loss: ([Tensor]) throws -> Tensor) rethrows -> [[UInt8]] {
        let tracked = inputs.map { $0.trackingGradient() }
        let value = try loss(tracked)
        let all = gradients(of: value, withRespectTo: tracked)
        for gradient in all { #expect(finiteCheck(gradient).firstNonFinite == nil) }
        return [value.bytes] + all.map(\.bytes)
    }

    /// Rows that cross-entropy ignores, and rows whose class has no weight, fused and not, with few and with many classes.
    @Test(arguments: floatingTypes) func rowsThatALossLeavesOut(_ dtype: DType) throws {
        for classCount in [3, 10, 37, 300] {
            let rows = 9
            let targets = Tensor((0..<rows).map { Int64($0 % 3 == 1 ? -100 : $0 % 3) })
            let weights = Tensor((0..<classCount).map { $0 == 2 ? 0 : Float($0 + 1) / 4 })
            let values = random(rows * classCount, seed: 1)
            for (isWeighted, smoothing) in [(false, 0.0), (false, 0.1), (true, 0)] {
                let classWeights = isWeighted ? weights : nil
                func isHidden(_ row: Int) -> Bool { row % 3 == 1 || (isWeighted && row % 3 == 2) }
                func run(_ poison: Double) throws -> [[UInt8]] {
                    let logits = poisoned(values, width: classCount, poison, dtype, where: isHidden)
                    var all: [[UInt8]] = []
                    for reduction in [Reduction.mean, .sum] {
                        all += try bytes([logits]) {
                            try crossEntropy(
                                $0[0], targets, classWeights: classWeights, labelSmoothing: smoothing,
                                reduction: reduction)
                        }
                    }
                    if smoothing > 0 { return all }
                    return try all
                        + bytes([logits.cast(to: dtype.accumulationType)]) {
                            try nllLoss($0[0], targets, classWeights: classWeights)
                        }
                }
                let expected = try run(0)
                for poison in Self.poisons {
                    #expect(
                        try run(poison) == expected, "\(dtype) \(classCount) classes, weighted \(isWeighted): \(poison)"
                    )
                }
            }
        }
    }

    @Test(arguments: floatingTypes) func rowsThatLinearCrossEntropyLeavesOut(_ dtype: DType) throws {
        let rows = 9, width = 5, classCount = 21
        let weight = Tensor(random(classCount * width, seed: 2), shape: [classCount, width]).cast(to: dtype)
        let bias = Tensor(random(classCount, seed: 3)).cast(to: dtype)
        let targets = Tensor((0..<rows).map { Int64($0 % 3 == 1 ? 7 : $0 % 3) })
        let values = random(rows * width, seed: 4)
        let weights = Tensor((0..<classCount).map { $0 == 2 ? 0 : Float(1) })
        for timing in [GradientTiming.withLoss, .inBackward] {
            func run(_ poison: Double) throws -> [[UInt8]] {
                let x = poisoned(values, width: width, poison, dtype) { $0 % 3 != 0 }
                return try bytes([x, weight, bias]) {
                    try linearCrossEntropy(
                        $0[0], weight: $0[1], bias: $0[2], targets, classWeights: weights, ignoreIndex: 7,
                        gradients: timing)
                }
            }
            let expected = try run(0)
            for poison in Self.poisons { #expect(try run(poison) == expected, "\(dtype) \(timing) \(poison)") }
        }
    }

    /// What `where` does not choose, dropout drops, clamp and relu cut off, a maximum or gather does not take.
    @Test(arguments: floatingTypes) func elementsThatAreNotChosen(_ dtype: DType) {
        let values = random(64, seed: 5)
        func isHidden(_ index: Int) -> Bool { index % 4 == 1 }
        let condition = Tensor(values.indices.map { !isHidden($0) }).reshape([64, 1])
        let dropped: [Bool] = {
            var generator = SeededGenerator(seed: 9)
            return dropout(Tensor.ones([64, 1]), probability: 0.5, using: &generator).scalars(as: Float.self).map {
                $0 == 0
            }
        }()
        let indices = Tensor((0..<64).filter { !isHidden($0) }.map(Int64.init)).reshape([48, 1])
        let cases: [(String, (Int) -> Bool, (Tensor) -> Tensor)] = [
            ("where", isHidden, { Tensor.where(condition, $0, Tensor(1, dtype: dtype)) }),
            (
                "dropout", { dropped[$0] },
                {
                    var generator = SeededGenerator(seed: 9)
                    return dropout($0, probability: 0.5, using: &generator)
                }
            ),
            ("gather", isHidden, { $0.gather(axis: 0, indices: indices) }),
        ]
        for (name, isHidden, operation) in cases {
            func run(_ poison: Double) -> [[UInt8]] {
                let x = poisoned(values, width: 1, poison, dtype, where: isHidden)
                let tracked = x.trackingGradient(), y = operation(tracked)
                return [y.bytes, gradients(of: y.sum(), withRespectTo: [tracked])[0].bytes]
            }
            let expected = run(0)
            for poison in Self.poisons { #expect(run(poison) == expected, "\(dtype) \(name) \(poison)") }
        }
    }

    /// A derivative that is infinite, times a gradient of 0: the elements behind `where` of a logarithm, root or power at 0, and
    /// of an exponential beyond the type.
    @Test(arguments: floatingTypes) func infiniteDerivativesThatDoNotCount(_ dtype: DType) {
        let x = Tensor([0, 4, 0, 1, 0, 0.25, 1, 4, 0] as [Double]).cast(to: dtype)
        let operations: [(String, Tensor, (Tensor) -> Tensor)] = [
            ("log", x, { $0.log() }), ("sqrt", x, { $0.sqrt() }), ("pow", x, { $0.pow(-1.5) }),
            ("exp", Tensor([1000, 1, 1000, 0, 1000, 2, 0, 1, 1000] as [Double]).cast(to: dtype), { $0.exp() }),
        ]
        for (name, x, operation) in operations {
            let chosen = name == "exp" ? x .< 100 : x .> 0
            let tracked = x.trackingGradient()
            let y = Tensor.where(chosen, operation(tracked), Tensor(0, dtype: dtype))
            let dx: [Double] = gradients(of: y.sum(), withRespectTo: [tracked])[0].scalars()
            #expect(dx.allSatisfy { $0.isFinite }, "\(dtype) \(name): \(dx)")
            for (index, isChosen) in chosen.scalars(as: Bool.self).enumerated() where !isChosen {
                #expect(dx[index] == 0, "\(dtype) \(name)[\(index)]: \(dx[index])")
            }
        }
    }

    /// Keys behind a mask, of one product for queries, keys and values, whose own rows are garbage too: other rows keep their bits.
    @Test(arguments: floatingTypes) func rowsBehindTheMaskOfSelfAttention(_ dtype: DType) {
        let heads = 4, keyHeads = 2, size = 8, rows = 21, width = (heads + 2 * keyHeads) * size
        let values = random(2 * rows * width, seed: 6)
        func isHidden(_ row: Int) -> Bool { row % rows >= 15 }
        let mask = Tensor((0..<2 * rows).map { !isHidden($0) }).reshape([2, rows])
        let counted = Tensor((0..<2 * rows).map { !isHidden($0) }).reshape([2, rows, 1])
        for isCausal in [false, true] {
            func run(_ poison: Double) -> [[UInt8]] {
                let qkv = poisoned(values, width: width, poison, dtype, where: isHidden).reshape([2, rows, width])
                // Queries of rows behind the mask are ordinary: they see keys, and what they hold would show.
                let queries = Tensor(values, shape: [2, rows, width]).cast(to: dtype).slice(axis: 2, 0..<heads * size)
                let all = Tensor.concatenate([queries, qkv.slice(axis: 2, heads * size..<width)], axis: 2)
                return bytes([all.contiguous()]) {
                    let o = selfAttention(
                        qkv: $0[0], heads: heads, keyHeads: keyHeads, mask: mask, isCausal: isCausal)
                    return Tensor.where(counted, o * o, Tensor(0, dtype: dtype)).sum()
                }
            }
            let expected = run(0)
            for poison in Self.poisons { #expect(run(poison) == expected, "\(dtype) causal \(isCausal) \(poison)") }
        }
    }
}
