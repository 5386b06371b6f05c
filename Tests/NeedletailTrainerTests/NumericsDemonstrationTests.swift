// What docs/numerics.md shows with figures, run as tests: each would fail if the library did what PyTorch or Lightning does.
import Foundation
import Needletail
import Testing

/// Logits 3·N(0, 1) in a 16-bit type, and targets, from a seed.
private func problem(rows: Int, classes: Int, _ dtype: DType, seed: UInt64) -> (logits: Tensor, targets: [Int]) {
    var generator = SeededGenerator(seed: seed)
    let logits = Tensor.normal([rows, classes], mean: 0, deviation: 3, dtype: .float32, using: &generator)
    return (logits.cast(to: dtype), (0..<rows).map { _ in generator.nextInteger(below: classes) })
}

/// Mean cross-entropy in float64: each row's loss and the gradient of the mean.
private func reference(_ logits: Tensor, _ targets: [Int]) -> (losses: [Double], gradient: [Double]) {
    let classes = logits.shape[1], values: [Double] = logits.scalars()
    var losses: [Double] = [], gradient: [Double] = []
    for (row, target) in targets.enumerated() {
        let x = values[row * classes..<(row + 1) * classes]
        let peak = x.max() ?? 0
        let logSumExp = peak + log(x.reduce(0) { $0 + exp($1 - peak) })
        losses.append(logSumExp - x[x.startIndex + target])
        for (column, value) in x.enumerated() {
            gradient.append((exp(value - logSumExp) - (column == target ? 1 : 0)) / Double(targets.count))
        }
    }
    return (losses, gradient)
}

/// The gradient of the mean cross-entropy, times `scale`, in the logits' type.
private func scaledGradient(_ logits: Tensor, _ targets: [Int], scale: Double) throws -> [Double] {
    let x = logits.trackingGradient()
    let loss = try crossEntropy(x, Tensor(targets.map { Int64($0) }))
    return gradients(of: loss, withRespectTo: [x], seed: scale)[0].scalars()
}

@Suite struct NumericsDemonstrationTests {
    /// N = 256, C = 1000, logits 3·N(0, 1) from seed 1 in float16: 42% of the logits' gradients flush to zero without a loss
    /// scale, under 0.01% at 65536, none in bfloat16, whose smallest subnormal is 2^-133.
    ///
    /// A value g flushes where |g|·scale <= 2^-25, half of float16's smallest subnormal (a tie goes to 0). The kernel's g
    /// has a relative error of u (8 + log C + 2.5 |y|) by TRUST, |y| < 40 here, so below 2^-17: only values that near to the
    /// threshold may fall on the other side. The share varies by half a point from seed to seed (numpy's seeds 0 to 4:
    /// 41.5% to 42.4%), because each row's log-sum-exp does.
    @Test func lossScalingSavesTheSmallGradients() throws {
        let (logits, targets) = problem(rows: 256, classes: 1000, .float16, seed: 1)
        let exact = reference(logits, targets).gradient
        #expect(exact.allSatisfy { $0 != 0 })
        func flushed(scale: Double) throws -> Int {
            let found = try scaledGradient(logits, targets, scale: scale).count { $0 == 0 }
            let threshold = 0x1p-25 / scale
            let expected = exact.count { abs($0) <= threshold }
            let undecided = exact.count { abs(abs($0) / threshold - 1) <= 0x1p-17 }
            #expect(abs(found - expected) <= undecided, "scale \(scale): \(found), expected \(expected) ± \(undecided)")
            return found
        }
        let unscaled = Double(try flushed(scale: 1)) / 256_000
        let scaled = Double(try flushed(scale: 65536)) / 256_000
        #expect((0.41...0.43).contains(unscaled), "\(unscaled)")
        #expect((0.00002...0.0001).contains(scaled), "\(scaled)")
        #expect(try scaledGradient(logits.cast(to: .bfloat16), targets, scale: 1).allSatisfy { $0 != 0 })
    }

    /// 100,000 rows of 10 classes: more rows than float16 has finite integers, and far more than bfloat16 can count.
    ///
    /// The loss: a row is off by u (8 + log C + 2.5 |y|), u = 2^-24, by TRUST; the float64 sum adds nothing; the result is
    /// rounded once. A gradient (p - t)·scale / N: the error of p, u (8 + log C + 2.5 |y|) p with p <= 1 and p |log p| < 1,
    /// at most 14 u; the subtraction and the products 4 u more; then one rounding to the type, half a subnormal at least.
    @Test(arguments: [DType.float16, .bfloat16]) func meanOver100000RowsIsThatOfFloat64(_ dtype: DType) throws {
        let rows = 100_000, classes = 10
        let (logits, targets) = problem(rows: rows, classes: classes, dtype, seed: 2)
        let (losses, gradient) = reference(logits, targets)
        let mean = losses.reduce(0, +) / Double(rows)
        let u = 0x1p-24
        let rowBounds = losses.map { u * (8 + log(Double(classes)) + 2.5 * abs($0)) }
        let bound = rowBounds.reduce(0, +) / Double(rows) + u * abs(mean)
        let loss = try crossEntropy(logits, Tensor(targets.map { Int64($0) }))
        #expect(loss.dtype == .float32)
        let ok = abs(loss.item() - mean) <= bound
        #expect(ok, "\(dtype): found \(loss.item()), expected \(mean) ± \(bound)")

        let scale = 65536.0
        let rounding = dtype == .float16 ? 0x1p-11 : 0x1p-8
        let found = try scaledGradient(logits, targets, scale: scale)
        let bad = zip(found, gradient).enumerated().first { _, pair in
            let expected = pair.1 * scale
            let error = 18 * u * scale / Double(rows)
            let ok = abs(pair.0 - expected) <= error + rounding * (abs(expected) + error) + 0x1p-25
            return !ok
        }
        #expect(bad == nil, "\(dtype): gradient \(bad?.offset ?? 0), \(String(describing: bad?.element))")
        #expect(found.contains { $0 != 0 })
    }

    /// A generator and a discriminator with an optimizer each; in float16 the discriminator's gradients overflow at 65536:
    /// its loss is weighted with 48, so a logit's is 65536 · 48 · |p - t| / 16, above 65504 where |p - t| > 1/3, and p is
    /// near 1/2. At 32768 the limit is 2/3, and the second batch does not overflow.
    private final class Adversaries: TrainingModule {
        let generator: Linear, discriminator: Linear
        let trained: [Int]  // of generator 1 and discriminator 0

        init(trained: [Int]) throws {
            var random = SeededGenerator(seed: 4)
            generator = Linear(6, 6, using: &random)
            discriminator = Linear(6, 2, using: &random)
            self.trained = trained
            super.init()
            try generator.bias?.assign(Tensor.zeros([6]))
            try discriminator.weight.assign(discriminator.weight.master * 0.1)
            try discriminator.bias?.assign(Tensor.zeros([2]))
        }

        func loss(_ batch: Batch, _ player: Int) throws -> Tensor {
            let real = batch.targets .== Tensor([Int64(0)])
            let fake = generator(batch.inputs)
            if player == 1 { return try crossEntropy(discriminator(fake), real.cast(to: .int64)) }
            return try crossEntropy(discriminator(fake.detached()), real.cast(to: .int64)) * 48
        }

        override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
            try loss(batch, trained[optimizer])
        }

        override func configureOptimizers() -> [Optimizer] {
            trained.map { SGD(($0 == 1 ? generator : discriminator).parameters(), learningRate: 0.1) }
        }
    }

    /// The one that overflows skips, the scale is halved once, and the other's update is that of a run without the first,
    /// bit for bit. PyTorch updates the scale after each optimizer, so the second unscales with 1 / 32768 what was scaled
    /// with 65536: exactly twice the update.
    @Test func ofTwoOptimizersOnlyTheOneThatOverflowsSkips() throws {
        func fit(_ trained: [Int], steps: Int) throws -> (module: Adversaries, results: [StepResult], trainer: Trainer)
        {
            let module = try Adversaries(trained: trained)
            var results: [StepResult] = []
            let trainer = quietTrainer(maxEpochs: 1, precision: .mixedFloat16) {
                $0.callbacks = [AfterBatch { _, _, result, _ in results.append(result) }]
            }
            try trainer.fit(module, train: DataLoader(Points(16 * steps), batchSize: 16))
            return (module, results, trainer)
        }
        let both = try fit([0, 1], steps: 1), alone = try fit([1], steps: 1)
        #expect(
            both.results.map(\.outcomes) == [
                [.skipped(.nonFiniteGradient(parameter: "discriminator.weight")), .applied]
            ])
        #expect(both.trainer.lossScale == 32768 && alone.trainer.lossScale == 65536)
        let start = try Adversaries(trained: [])
        #expect(both.module.generator.bits == alone.module.generator.bits)
        #expect(both.module.generator.bits != start.generator.bits)
        #expect(both.module.discriminator.bits == start.discriminator.bits)
        #expect(both.trainer.state.globalStep == 1 && both.trainer.state.skippedSteps == 1)

        let later = try fit([0, 1], steps: 2)
        #expect(later.results.map(\.scale) == [65536, 32768])
        #expect(later.results[1].outcomes == [.applied, .applied] && later.trainer.lossScale == 32768)

        // The anchor's way, by hand.
        let anchor = try Adversaries(trained: [1])
        try PrecisionPolicy(.mixedFloat16).apply(to: anchor)
        let optimizer = anchor.configureOptimizers()[0]
        try anchor.loss(Points(16).batch(Array(0..<16), dtype: .float16), 1).backward(seed: 65536)
        optimizer.step(check: optimizer.checkGradients(gradientScale: 1 / 32768))
        let twice: [Float] = try #require(anchor.generator.bias).master.scalars()
        let once: [Float] = try #require(both.module.generator.bias).master.scalars()
        #expect(twice == once.map { 2 * $0 } && once.contains { $0 != 0 })
    }
}
