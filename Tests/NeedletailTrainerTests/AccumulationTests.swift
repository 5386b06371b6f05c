import Needletail
import Testing

/// Targets of which some are ignored, so that batches count different numbers of terms.
private struct Ignoring: Dataset {
    let points: Points
    let ignored: Set<Int>
    var count: Int { points.count }

    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        let batch = try points.batch(indices, dtype: dtype)
        let targets = indices.map { ignored.contains($0) ? -100 : points.labels[$0] }
        return Batch(inputs: batch.inputs, targets: Tensor(targets, shape: [indices.count]))
    }
}

/// Some rows of points.
private struct Rows: Dataset {
    let points: Points
    let rows: [Int]
    var count: Int { rows.count }

    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        try points.batch(indices.map { rows[$0] }, dtype: dtype)
    }
}

/// Regression whose classes have weights and whose last class is ignored.
private class WeightedRegression: Regression {
    fileprivate static let classWeights: [Float] = [0.5, 4, 1]

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        try crossEntropy(
            layer(batch.inputs), batch.targets, classWeights: Tensor(Self.classWeights), ignoreIndex: 2)
    }
}

/// The same, with the weight of a batch that its mean divides by.
private final class MatchingRegression: WeightedRegression {
    override func lossWeight(of batch: Batch) -> Double {
        batch.targets.scalars(as: Int64.self).reduce(0) { $0 + ($1 == 2 ? 0 : Double(Self.classWeights[Int($1)])) }
    }
}

@Suite struct AccumulationTests {
    private func train(
        _ data: any Dataset, batchSize: Int, accumulate: Int, precision: Precision, learningRate: Double,
        module: Regression? = nil
    ) throws -> (weights: [Double], trainer: Trainer) {
        let module = module ?? Regression(learningRate: learningRate)
        let trainer = quietTrainer(maxEpochs: 1, precision: precision) { $0.accumulateGradBatches = accumulate }
        try trainer.fit(module, train: DataLoader(data, batchSize: batchSize))
        return (module.parameters().flatMap { $0.master.scalars(as: Double.self) }, trainer)
    }

    /// 22 rows: windows of 8, 8 and a ragged 6, as 4 batches of 2 or as one of 8; also with unequal numbers of targets.
    ///
    /// With X = max over rows of Σ|x| + 1, x = max|x|, w = max|weight| + 1 and K inputs, in arithmetic of unit roundoff u:
    /// - a logit errs by at most (K + 2) u w X, a probability (derivatives of the softmax sum to at most 1/2 · 2) by that and
    ///   10 u of its own, so a residual r (|r| <= 1) by e = (K + 2) u w X + 10 u;
    /// - a gradient is Σ r x / n over n <= 8 rows in at most 4 partial sums with 4 roundings of factors (seed, share, scale,
    ///   1/n): it errs by at most ε = (e + (n + 8) u) x; the two runs differ by 2 ε at equal weights;
    /// - at weights that differ by D in each element, logits differ by D X, residuals by D X / 2, gradients by D X x / 2;
    /// - an update rounds twice: D' = D + lr (2 ε + D X x / 2) + 4 u w.
    @Test(arguments: [Precision.float64, .float32]) func windowsEqualLargeBatches(_ precision: Precision) throws {
        let points = Points(22)
        let learningRate = 0.05
        for ignored in [Set<Int>(), [0, 1, 2, 5, 9, 17, 20]] {
            let data = Ignoring(points: points, ignored: ignored)
            let (small, a) = try train(
                data, batchSize: 2, accumulate: 4, precision: precision, learningRate: learningRate)
            let (large, b) = try train(
                data, batchSize: 8, accumulate: 1, precision: precision, learningRate: learningRate)
            #expect(a.state.globalStep == 3 && b.state.globalStep == 3)

            let bound = allowedDifference(points, small + large, precision: precision, learningRate: learningRate)
            for (index, (p, q)) in zip(small, large).enumerated() {
                let ok = abs(p - q) <= bound
                #expect(ok, "\(precision) element \(index): \(p) and \(q) differ by \(abs(p - q)), allowed \(bound)")
            }
            // A window divided by its planned size instead of its true count is off by a quarter of the last update.
            #expect(bound < 1e-2 * learningRate)
        }
    }

    /// How far two runs of three updates over these points may be apart, as derived at `windowsEqualLargeBatches`.
    private func allowedDifference(
        _ points: Points, _ weights: [Double], precision: Precision, learningRate: Double
    ) -> Double {
        let u = precision == .float64 ? 0x1p-53 : 0x1p-24
        let magnitudes: [Double] = points.inputs.map { Double(abs($0)) }
        let x = magnitudes.max() ?? 0
        var bigX = 0.0
        for row in 0..<points.count {
            let sum: Double = magnitudes[(row * 6)..<(row * 6 + 6)].reduce(1, +)
            bigX = max(bigX, sum)
        }
        let w: Double = 1 + weights.reduce(0) { max($0, abs($1)) }
        let e = 8 * u * w * bigX + 10 * u
        let epsilon = (e + 16 * u) * x
        var bound = 0.0
        for _ in 0..<3 {
            let spread: Double = bound * bigX * x / 2
            bound += learningRate * (2 * epsilon + spread) + 4 * u * w
        }
        return bound
    }

    /// With class weights and another ignored index, windows equal large batches where `lossWeight(of:)` returns what the
    /// mean divides by, and only there.
    ///
    /// The weights are powers of two, so that their products are exact, and a weighted mean of residuals is at most the
    /// largest of them, as an unweighted one is: the bound is that of `windowsEqualLargeBatches`.
    @Test(arguments: [Precision.float64, .float32])
    func classWeightsNeedAMatchingLossWeight(_ precision: Precision) throws {
        let points = Points(22)
        let learningRate = 0.05
        func difference(_ module: () -> Regression) throws -> (largest: Double, bound: Double) {
            let (small, _) = try train(
                points, batchSize: 2, accumulate: 4, precision: precision, learningRate: learningRate,
                module: module())
            let (large, _) = try train(
                points, batchSize: 8, accumulate: 1, precision: precision, learningRate: learningRate,
                module: module())
            let bound = allowedDifference(points, small + large, precision: precision, learningRate: learningRate)
            return (zip(small, large).map { abs($0 - $1) }.max() ?? .infinity, bound)
        }
        let matching = try difference { MatchingRegression(learningRate: learningRate) }
        #expect(matching.largest <= matching.bound, "\(precision): \(matching)")
        let inherited = try difference { WeightedRegression(learningRate: learningRate) }
        #expect(inherited.largest > 100 * inherited.bound, "\(precision): \(inherited)")
    }

    /// Windows of one batch and of equal power-of-two weights are exact: the bits of the plain loop in every mode.
    @Test(arguments: Precision.allCases) func aWindowOfOneBatchIsThePlainStep(_ precision: Precision) throws {
        let plain = SmallClassifier(), accumulated = SmallClassifier()
        let data = Points(24)
        try quietTrainer(maxEpochs: 1, precision: precision).fit(plain, train: DataLoader(data, batchSize: 24))
        try quietTrainer(maxEpochs: 1, precision: precision) { $0.accumulateGradBatches = 4 }
            .fit(accumulated, train: DataLoader(data, batchSize: 24))
        // One batch in a window planned for four: the seed is a quarter, the update multiplies by four, both exact
        // wherever nothing is subnormal; float16 without a loss scale is not among the modes.
        #expect(plain.bits == accumulated.bits)
    }

    /// Batches without any target are left out of their window; a window of such batches is counted and changes nothing.
    @Test func batchesWithoutWeightAreLeftOut() throws {
        let points = Points(16)
        let some = Ignoring(points: points, ignored: [0, 1, 2, 3])
        let (weights, trainer) = try train(some, batchSize: 4, accumulate: 2, precision: .float32, learningRate: 0.05)
        #expect(trainer.state.globalStep == 2 && trainer.state.emptyWindows == 0 && trainer.state.skippedSteps == 0)
        #expect(weights.allSatisfy { $0.isFinite })

        let (_, empty) = try train(some, batchSize: 4, accumulate: 1, precision: .mixedFloat16, learningRate: 0.05)
        #expect(empty.state.globalStep == 3 && empty.state.emptyWindows == 1 && empty.state.skippedSteps == 0)
        #expect(empty.scaler?.growthTracker == 3)
    }

    /// A batch whose targets are all ignored has a mean of NaN. It is counted, and the run has the bits, scale and count of one
    /// without it; a validation epoch leaves it out of its mean.
    @Test(arguments: Precision.allCases) func aBatchOfIgnoredTargetsIsSkippedAndCounted(_ precision: Precision) throws {
        func train(_ data: any Dataset) throws -> (module: SmallClassifier, trainer: Trainer) {
            let module = SmallClassifier(dropout: 0)
            let trainer = quietTrainer(maxEpochs: 1, precision: precision)
            try trainer.fit(module, train: DataLoader(data, batchSize: 4), validation: DataLoader(data, batchSize: 4))
            return (module, trainer)
        }
        let points = Points(16)
        let (whole, counted) = try train(Ignoring(points: points, ignored: [4, 5, 6, 7]))
        let (without, plain) = try train(Rows(points: points, rows: [0, 1, 2, 3] + Array(8..<16)))
        #expect(whole.bits == without.bits)
        #expect(counted.state.globalStep == 3 && counted.state.emptyWindows == 1 && counted.state.skippedSteps == 0)
        #expect(counted.scaler?.scale == plain.scaler?.scale)
        #expect(counted.scaler?.growthTracker == plain.scaler?.growthTracker)
        for name in ["val_loss", "train_loss_epoch"] {
            let mean = try #require(counted.metrics[name])
            #expect(mean.isFinite && mean == plain.metrics[name], "\(name)")
        }
    }

    @Test func aWeightMustBeANumber() throws {
        final class Bad: TrainingModule {
            let layer = Regression(learningRate: 0.1)
            override func lossWeight(of batch: Batch) -> Double { -1 }
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                try layer.trainingStep(batch, index)
            }
            override func configureOptimizers() -> [Optimizer] { layer.configureOptimizers() }
        }
        #expect(throws: TrainerError.badLossWeight(-1, batch: 0)) {
            try quietTrainer(maxEpochs: 1).fit(Bad(), train: DataLoader(Points(4), batchSize: 4))
        }
    }
}
