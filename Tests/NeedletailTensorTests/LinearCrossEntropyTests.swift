// The fused head of linear layer and cross-entropy: against its two operations in float64, with derived bounds, and what it
// promises about memory, threads, accumulation and scales.
import Foundation
import NeedletailTensor
import Testing

/// A head on values whose logits every floating-point type holds exactly: x in {-1, 0, 1}, W and b multiples of 1/8 up to 1,
/// so that |logits| <= 9 in steps of 1/8: 7 bits.
private struct Head {
    let x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor

    init(rows: Int, inputs: Int, classes: Int, seed: UInt64 = 1) {
        var generator = SeededGenerator(seed: seed)
        func values(_ shape: [Int], _ range: ClosedRange<Int>, _ unit: Double) -> Tensor {
            Tensor(
                (0..<shape.reduce(1, *)).map { _ in Double(Int.random(in: range, using: &generator)) * unit },
                shape: shape)
        }
        x = values([rows, inputs], -1...1, 1)
        weight = values([classes, inputs], -8...8, 0.125)
        bias = values([classes], -8...8, 0.125)
        targets = Tensor((0..<rows).map { _ in Int64.random(in: 0..<Int64(classes), using: &generator) })
    }

    /// Loss and the gradients by x, W and b.
    func run(_ dtype: DType, seed: Double = 1, _ loss: (_ x: Tensor, _ weight: Tensor, _ bias: Tensor) throws -> Tensor)
        throws -> [Tensor]
    {
        let inputs = [x, weight, bias].map { $0.cast(to: dtype).trackingGradient() }
        let result = try loss(inputs[0], inputs[1], inputs[2])
        return [result.detached()] + gradients(of: result, withRespectTo: inputs, seed: seed)
    }
}

private struct Options: CustomTestStringConvertible, Sendable {
    var rows = 1100
    var classes = 13
    var isWeighted = false
    var ignoreIndex = -100
    var smoothing = 0.0
    var reduction = Reduction.mean
    var timing = GradientTiming.withLoss
    var testDescription: String {
        "\(rows) rows, \(classes) classes, weights \(isWeighted), ignored \(ignoreIndex), smoothing \(smoothing), "
            + "\(reduction), \(timing)"
    }
}

private let optionCases = [
    Options(), Options(timing: .inBackward), Options(classes: 4000, reduction: .sum),
    Options(rows: 700, classes: 4000), Options(isWeighted: true, ignoreIndex: 3, smoothing: 0.125),
    Options(isWeighted: true, ignoreIndex: 3, smoothing: 0.125, timing: .inBackward), Options(reduction: .none),
    Options(isWeighted: true, smoothing: 0.25, reduction: .none), Options(rows: 1, classes: 1),
]

@Suite struct LinearCrossEntropyTests {
    /// Against cross-entropy of a linear layer in float64 on the same values.
    ///
    /// The logits are exact, so a row's loss is within TRUST.md's u (8 + log C + 2.5 |loss|) times its weights, and an element of
    /// the scaled gradient of the logits is off by u c (p + [target]) times its weights, c = 64 for |log p| < 22 (the exponent's
    /// error, 8 + log C + 2.5 |log p|), and by one rounding to the type, u16 |g| + floor. Sums of n products in float32 add
    /// γ_n, results one rounding to the type. Unscaled float16 gradients of 4000 classes and 700 rows, 2⁻²¹ and below, would be
    /// off by up to half of themselves.
    @Test(arguments: floatingTypes, optionCases)
    private func agreesWithTheOperations(_ dtype: DType, _ options: Options) throws {
        let head = Head(rows: options.rows, inputs: 8, classes: options.classes)
        let classWeights = Tensor((0..<options.classes).map { Float($0 % 4) / 4 + 0.25 })
        let weights = options.isWeighted ? classWeights : nil
        var logitGradient: Tensor?
        var generator = SeededGenerator(seed: 5)
        let rowSeeds = Tensor.uniform([options.rows], in: -1..<1, dtype: .float32, using: &generator)
        func scalar(_ loss: Tensor) -> Tensor {
            options.reduction == .none ? (loss * rowSeeds.cast(to: loss.dtype)).sum() : loss
        }
        let expected = try head.run(.float64) { x, weight, bias in
            let logits = linear(x, weight: weight, bias: bias).detached().trackingGradient()
            func loss(_ logits: Tensor) throws -> Tensor {
                scalar(
                    try crossEntropy(
                        logits, head.targets, classWeights: weights, ignoreIndex: options.ignoreIndex,
                        labelSmoothing: options.smoothing, reduction: options.reduction))
            }
            logitGradient = gradients(of: try loss(logits), withRespectTo: [logits])[0]
            return try loss(linear(x, weight: weight, bias: bias))
        }
        let found = try head.run(dtype) {
            scalar(
                try linearCrossEntropy(
                    $0, weight: $1, bias: $2, head.targets, classWeights: weights, ignoreIndex: options.ignoreIndex,
                    labelSmoothing: options.smoothing, reduction: options.reduction, gradients: options.timing))
        }
        #expect(found[0].dtype == dtype.accumulationType)

        let u = unitRoundoff(dtype.accumulationType), rounding = dtype.is16Bit ? unitRoundoff(dtype) : 0
        // |g| + (p + [target]) per element, at most 2 |g| + 2 [target] |g_target|: the target's is the row's largest share.
        let g = try #require(logitGradient).abs()
        let targetRows = head.targets.oneHot(classes: options.classes, dtype: .float64)
        let row = g.sum(axes: [1], keepDimensions: true)
        // Smoothing subtracts shares of up to `smoothing` of a row: they round as the row's sum does.
        let magnitude = g * 2 + targetRows * row * 2 + row * (2 * options.smoothing / Double(options.classes))
        let c = 64.0 * u
        func bound(_ left: Tensor, _ right: Tensor, terms: Int) -> Tensor {
            left.matmul(right) * (c + rounding * (1 + c) + Double(terms + 8) * u)
        }
        let dx = bound(magnitude, head.weight.abs(), terms: options.classes)
        let dw = bound(magnitude.transposed(), head.x.abs(), terms: options.rows)
        let db = bound(magnitude.transposed(), Tensor.ones([options.rows, 1], dtype: .float64), terms: options.rows)
        let bounds = [dx, dw, db.reshape([options.classes])]
        for (index, name) in ["x", "weight", "bias"].enumerated() {
            #expect(found[index + 1].dtype == dtype)
            let values: [Double] = found[index + 1].scalars()
            let wanted: [Double] = expected[index + 1].scalars(), allowed: [Double] = bounds[index].scalars()
            var wrong = 0
            var message = ""
            for position in wanted.indices {
                let last = unitRoundoff(dtype) * abs(wanted[position]) + (dtype == .float16 ? 0x1p-25 : 0x1p-134)
                let isClose = abs(values[position] - wanted[position]) <= allowed[position] * 1.01 + last
                if !isClose {
                    wrong += 1
                    message =
                        "\(name)[\(position)]: found \(values[position]), expected \(wanted[position]) ± \(allowed[position] + last)"
                }
            }
            #expect(wrong == 0, "\(dtype): \(wrong) of \(wanted.count) wrong, the last \(message)")
        }
        // Losses are below log(C) + 18 + 2 log p's bound; a sum over rows of such bounds, weights at most 1.
        let perRow = u * (8 + log(Double(options.classes)) + 2.5 * 30) * 2
        let rows = options.reduction == .mean ? 1 : Double(options.rows)
        let error = abs(found[0].item() - expected[0].item())
        let isClose = error <= perRow * rows + u * abs(expected[0].item())
        #expect(isClose, "loss: found \(found[0].item()), expected \(expected[0].item())")
    }

    /// Powers of two pass through every product and rounding, so a loss scale changes nothing but the exponents; both timings
    /// make the same sums.
    @Test(arguments: floatingTypes) func scalesAndTimingsGiveTheSameBits(_ dtype: DType) throws {
        let head = Head(rows: 1030, inputs: 8, classes: 29)
        func run(_ seed: Double, _ timing: GradientTiming) throws -> [Tensor] {
            try head.run(dtype, seed: seed) {
                try linearCrossEntropy($0, weight: $1, bias: $2, head.targets, gradients: timing)
            }
        }
        // Large enough that no result is subnormal in float16.
        let plain = try run(0x1p16, .withLoss)
        for (seed, timing) in [(0x1p18, GradientTiming.withLoss), (0x1p16, .inBackward), (0x1p18, .inBackward)] {
            let other = try run(seed, timing)
            #expect(other[0].bytes == plain[0].bytes)
            for index in 1...3 {
                let expected = (plain[index].cast(to: .float64) * (seed / 0x1p16)).cast(to: dtype)
                let isEqual = other[index].bytes == expected.bytes
                #expect(isEqual, "gradient \(index), seed \(seed), \(timing)")
            }
        }
    }

    @Test(arguments: [DType.float32, .float16, .bfloat16], [GradientTiming.withLoss, .inBackward])
    func threadsDoNotMatter(_ dtype: DType, _ timing: GradientTiming) throws {
        let head = Head(rows: 1300, inputs: 64, classes: 900)
        let before = threadCount
        defer { setThreadCount(before) }
        var results: [[[UInt8]]] = []
        for threads in [1, 2, 3] {
            setThreadCount(threads)
            results.append(
                try head.run(dtype) {
                    try linearCrossEntropy($0, weight: $1, bias: $2, head.targets, gradients: timing)
                }.map(\.bytes))
        }
        let isEqual = results[1] == results[0] && results[2] == results[0]
        #expect(isEqual)
    }

    /// Two losses of one parameter, and two walks of one graph. With the loss: the second gradient is added by one addition.
    /// In backward the products add, chunk by chunk: at most as many roundings of sums as there are chunks, here 3.
    @Test(arguments: [DType.float32, .bfloat16, .float16]) func gradientsAccumulate(_ dtype: DType) throws {
        let heads = [Head(rows: 1100, inputs: 8, classes: 7), Head(rows: 1100, inputs: 8, classes: 7, seed: 2)]
        func gradient(_ indices: [Int], _ timing: GradientTiming, walks: Int = 1) throws -> [Tensor] {
            let weight = Parameter(heads[0].weight.cast(to: .float32))
            let bias = Parameter(heads[0].bias.cast(to: .float32))
            for parameter in [weight, bias] { parameter.setTypes(storage: .float32, compute: dtype) }
            for index in indices {
                let loss = try linearCrossEntropy(
                    heads[index].x, weight: weight.value, bias: bias.value, heads[index].targets, gradients: timing)
                #expect(weight.gradient == nil || index != indices[0])  // nothing is seen of it before backward
                for _ in 0..<walks { loss.backward() }
            }
            let found = [try #require(weight.gradient), try #require(bias.gradient)]
            #expect(found[0].dtype == .float32 && found[1].dtype == .float32)
            return found
        }
        let first = try gradient([0], .withLoss), second = try gradient([1], .withLoss)
        let both = try gradient([0, 1], .withLoss), again = try gradient([0, 1], .inBackward)
        for index in 0..<2 {
            let isSum = both[index].bytes == (first[index] + second[index]).bytes
            #expect(isSum)
            let scale: [Double] = (first[index].abs() + second[index].abs()).scalars()
            expectClose(
                again[index], (first[index] + second[index]).scalars(), roundings: 8,
                scale: scale.map { max($0, 0.01) }, "in backward")
            #expect(try gradient([0], .withLoss, walks: 2)[index].bytes == (first[index] * 2).bytes)
        }
    }

    /// The gradient that waits does not touch what the parameter has, whichever of two graphs is walked first.
    @Test func graphsMayBeWalkedInAnyOrder() throws {
        let heads = [Head(rows: 9, inputs: 4, classes: 5), Head(rows: 9, inputs: 4, classes: 5, seed: 2)]
        let weight = Parameter(heads[0].weight.cast(to: .float32))
        func loss(_ index: Int) throws -> Tensor {
            try linearCrossEntropy(heads[index].x, weight: weight.value, heads[index].targets)
        }
        try loss(0).backward()
        let first = try #require(weight.gradient).bytes
        weight.zeroGradient()
        let (a, b) = (try loss(0), try loss(1))
        #expect(weight.gradient == nil)
        a.backward()
        #expect(try #require(weight.gradient).bytes == first)
        weight.zeroGradient()
        b.backward()
        let second = try #require(weight.gradient).bytes
        weight.zeroGradient()
        try loss(1).backward()
        #expect(try #require(weight.gradient).bytes == second)
        // Dropped without a walk: nothing has happened.
        _ = try loss(0)
        #expect(try #require(weight.gradient).bytes == second)
    }

    @Test(arguments: floatingTypes, [GradientTiming.withLoss, .inBackward])
    func ignoredRowsHaveNoGradient(_ dtype: DType, _ timing: GradientTiming) throws {
        let head = Head(rows: 600, inputs: 8, classes: 5)
        let ignored = Tensor(head.targets.scalars(as: Int64.self).enumerated().map { $0 % 3 == 0 ? -100 : $1 })
        let found = try head.run(dtype) {
            try linearCrossEntropy($0, weight: $1, bias: $2, ignored, gradients: timing)
        }
        let dx: [Double] = found[1].scalars()
        for row in 0..<600 {
            let isZero = dx[(row * 8)..<(row * 8 + 8)].allSatisfy { $0 == 0 }
            #expect(isZero == (row % 3 == 0))
        }
        let none = Tensor([Int64](repeating: -100, count: 600))
        let empty = try head.run(dtype) {
            try linearCrossEntropy($0, weight: $1, bias: $2, none, gradients: timing)
        }
        #expect(empty[0].item().isNaN)
        for gradient in empty.dropFirst() { #expect(gradient.scalars(as: Double.self).allSatisfy { $0 == 0 }) }
        let x = Tensor.zeros([0, 8], dtype: dtype), nothing = Tensor([] as [Int64])
        let weight = head.weight.cast(to: dtype).trackingGradient()
        #expect(try linearCrossEntropy(x, weight: weight, nothing, gradients: timing).item().isNaN)
        #expect(try linearCrossEntropy(x, weight: weight, nothing, emptyMean: .zero, gradients: timing).item() == 0)
        let sum = try linearCrossEntropy(x, weight: weight, nothing, reduction: .sum, gradients: timing)
        #expect(sum.item() == 0)
        let zeros = gradients(of: sum, withRespectTo: [weight])[0]
        #expect(zeros.shape == [5, 8] && zeros.scalars(as: Double.self).allSatisfy { $0 == 0 })
    }

    /// A row without a distribution poisons its own gradient and the sums that it is part of, no other row.
    @Test(arguments: [DType.float32, .float16, .bfloat16]) func nonFiniteRowsStayAlone(_ dtype: DType) throws {
        let head = Head(rows: 4, inputs: 2, classes: 3)
        var values: [Double] = head.x.scalars()
        values[2] = .infinity
        let x = Tensor(values, shape: [4, 2]).cast(to: dtype).trackingGradient()
        let losses = try linearCrossEntropy(
            x, weight: head.weight.cast(to: dtype), head.targets, reduction: .none)
        let finite = losses.scalars(as: Double.self).map(\.isFinite)
        #expect(finite == [true, false, true, true])
        let dx: [Double] = gradients(of: losses.sum(), withRespectTo: [x])[0].scalars()
        #expect(dx[2].isNaN && dx[0].isFinite && dx[4].isFinite && dx[7].isFinite)
    }

    /// 4096 rows by 50,257 classes: all logits in bfloat16 would take 393 MiB, and as much again for their gradient. What the call
    /// takes from the system: a chunk of logits, at most 48 MiB, and the gradients, here of 32 inputs, with a fifth for size
    /// classes and 2 MiB for the rest.
    @Test(arguments: [GradientTiming.withLoss, .inBackward])
    func memoryIsAChunkOfLogits(_ timing: GradientTiming) throws {
        let inputs = 32, classes = 50257, rows = 4096
        var generator = SeededGenerator(seed: 3)
        let weight = Parameter(Tensor.uniform([classes, inputs], in: -1..<1, using: &generator))
        weight.setTypes(storage: .float32, compute: .bfloat16)
        let x = Tensor.uniform([rows, inputs], in: -1..<1, dtype: .bfloat16, using: &generator).trackingGradient()
        let targets = Tensor((0..<rows).map { Int64($0 * 11 % classes) })
        let before = StoragePool.usage
        let loss = try linearCrossEntropy(x, weight: weight.value, targets, gradients: timing)
        loss.backward()
        let taken = StoragePool.usage.system - before.system
        let results = (4 * classes * inputs + 8 * rows * inputs) * 6 / 5
        #expect(taken <= 48 << 20 + results + 2 << 20, "took \(taken) bytes")
        #expect(abs(loss.item() - log(Double(classes))) < 8)
    }

    @Test func wrongArgumentsThrow() throws {
        let head = Head(rows: 600, inputs: 8, classes: 5)
        func loss(_ x: Tensor, _ targets: Tensor, bias: Tensor? = nil, smoothing: Double = 0) throws -> Tensor {
            try linearCrossEntropy(x, weight: head.weight, bias: bias, targets, labelSmoothing: smoothing)
        }
        for value in [-1, 5, 1 << 32, Int.min] {
            var targets: [Int64] = head.targets.scalars()
            targets[577] = Int64(value)
            #expect(throws: TargetError(row: 577, value: value, classCount: 5)) { try loss(head.x, Tensor(targets)) }
        }
        #expect(throws: ShapeError.self) { try loss(head.x[0..<599], head.targets) }
        #expect(throws: ShapeError.self) { try loss(head.x.reshape([300, 16]), head.targets) }
        #expect(throws: ShapeError.self) { try loss(head.x, head.targets, bias: Tensor.zeros([4], dtype: .float64)) }
        #expect(throws: LossArgumentError.self) { try loss(head.x, head.targets, smoothing: 1.5) }
        #expect(throws: LossArgumentError.self) { try loss(head.x, head.targets.cast(to: .float32)) }
        #expect(throws: ShapeError.self) {
            try linearCrossEntropy(head.x, weight: head.weight, head.targets, classWeights: Tensor.ones([4]))
        }
    }
}
