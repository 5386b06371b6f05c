import Needletail
import Testing

/// What the trainer does, written out with public calls only.
private func handWritten(
    _ module: SmallClassifier, _ loader: DataLoader, epochs: Int, precision: Precision, clipping: GradientClipping?
) throws {
    let policy = PrecisionPolicy(precision)
    try policy.apply(to: module)
    loader.dtype = policy.compute
    let optimizer = module.configureOptimizers()[0]
    var scaler = try policy.needsLossScale ? LossScaler(.dynamic()) : nil
    for epoch in 0..<epochs {
        let batches = loader.batches(epoch: epoch)
        while let batch = try batches.next() {
            let loss = try crossEntropy(module.logits(batch), batch.targets)
            optimizer.zeroGradients()
            loss.backward(seed: Double(scaler?.scale ?? 1))
            let check = optimizer.checkGradients(
                gradientScale: Double(scaler?.unscaleFactor ?? 1), order: clipping?.order ?? .two)
            if check.isFinite { optimizer.step(check: check, clipping: clipping) }
            try scaler?.update(overflowed: !check.isFinite)
        }
    }
}

/// Calls a closure after each training batch.
final class AfterBatch: Callback {
    let body: (Trainer, TrainingModule, StepResult, Int) throws -> Void
    init(_ body: @escaping (Trainer, TrainingModule, StepResult, Int) throws -> Void) { self.body = body }
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws { try body(trainer, module, result, index) }
}

@Suite struct TrainingStepTests {
    @Test(arguments: Precision.allCases) func trainerEqualsAHandWrittenLoop(_ precision: Precision) throws {
        for clipping in [nil, GradientClipping.norm(0.5), .norm(0.1, order: .infinity), .value(0.01)] {
            let byHand = SmallClassifier(), byTrainer = SmallClassifier()
            let data = Points(50)
            func loader() -> DataLoader { DataLoader(data, batchSize: 8, shuffle: true, seed: 5) }
            try handWritten(byHand, loader(), epochs: 3, precision: precision, clipping: clipping)
            let trainer = quietTrainer(maxEpochs: 3, precision: precision) { $0.gradientClip = clipping }
            try trainer.fit(byTrainer, train: loader(), validation: loader())
            #expect(byHand.bits == byTrainer.bits, "\(precision) \(String(describing: clipping))")
            #expect(byTrainer.bits != SmallClassifier().bits)
            #expect(trainer.state.globalStep + trainer.state.skippedSteps == 21)
        }
    }

    /// Interval 3, overflow at step index 4 of 10: the trace of SEMANTICS section 2.
    @Test(arguments: [Precision.mixedFloat16, .float16]) func goldenScalerTrace(_ precision: Precision) throws {
        var trace: [[Float]] = []
        var applied: [Bool] = []
        let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
            $0.lossScale = .dynamic(interval: 3)
            $0.callbacks = [
                AfterBatch { trainer, _, result, _ in
                    let scaler = try #require(trainer.scaler)
                    trace.append([scaler.scale, Float(scaler.growthTracker)])
                    applied.append(result.isApplied)
                }
            ]
        }
        try trainer.fit(
            SmallClassifier(), train: DataLoader(Points(160, infiniteRows: 64..<65), batchSize: 16))
        #expect(
            trace == [
                [65536, 1], [65536, 2], [131072, 0], [131072, 1], [65536, 0], [65536, 1], [65536, 2], [131072, 0],
                [131072, 1], [131072, 2],
            ])
        #expect(applied == (0..<10).map { $0 != 4 })
        #expect(trainer.state.globalStep == 9 && trainer.state.skippedSteps == 1)
    }

    /// One infinite batch of four: with `.skip` only the scale changes, in every mode.
    @Test(arguments: Precision.allCases) func anInfiniteBatchChangesNothingButTheScale(_ precision: Precision) throws {
        var results: [StepResult] = []
        var before: (weights: [[UInt8]], state: [[UInt8]]) = ([], [])
        let module = SmallClassifier()
        var optimizer: Optimizer?
        module.makeOptimizers = {
            let made = AdamW($0.parameters(), learningRate: 1e-2)
            optimizer = made
            return [made]
        }
        func now() -> (weights: [[UInt8]], state: [[UInt8]]) {
            (module.bits, optimizer?.stateTensors().map(\.tensor.bytes) ?? [])
        }
        let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
            $0.callbacks = [
                AfterBatch { _, _, result, index in
                    results.append(result)
                    let after = now()
                    if index == 2 {
                        #expect(after.weights == before.weights && after.state == before.state)
                    } else {
                        #expect(after.weights != before.weights && after.state != before.state)
                    }
                    before = after
                }
            ]
        }
        try trainer.fit(module, train: DataLoader(Points(64, infiniteRows: 32..<33), batchSize: 16))
        #expect(results.map(\.isApplied) == [true, true, false, true])
        #expect(results[2].skipReason == .nonFiniteGradient(parameter: "hidden.weight"))
        #expect(trainer.state.globalStep == 3 && trainer.state.skippedSteps == 1)
        #expect(trainer.lossScale == (precision == .mixedFloat16 || precision == .float16 ? 32768 : nil))
    }

    @Test(arguments: Precision.allCases) func anInfiniteBatchThrowsOrIsIgnored(_ precision: Precision) throws {
        let scaled = precision == .mixedFloat16 || precision == .float16
        func run(_ policy: NonFinitePolicy) throws -> SmallClassifier {
            let module = SmallClassifier()
            let trainer = quietTrainer(maxEpochs: 1, precision: precision) { $0.nonFinite = policy }
            do {
                try trainer.fit(module, train: DataLoader(Points(16, infiniteRows: 3..<4), batchSize: 16))
            } catch let error as TrainingDiverged {
                #expect(policy == .throw)
                #expect(error.parameter == "hidden.weight" && error.consecutiveSkips == 1)
                #expect(error.scale == (scaled ? 65536 : 1) && error.globalStep == 0)
                return module
            }
            #expect(policy == .ignore)
            return module
        }
        let untouched = SmallClassifier()
        try PrecisionPolicy(precision).apply(to: untouched)
        #expect(try run(.throw).bits == untouched.bits)
        let ignored = try run(.ignore)
        if scaled {
            #expect(ignored.bits == untouched.bits)
        } else {
            #expect(!ignored.hidden.weight.master.allFinite())
        }
    }

    /// A loss of +inf whose gradients are finite (-inf at the target's logit has one) is skipped too, and named as such.
    @Test func anInfiniteLossIsSkippedThoughGradientsAreFinite() throws {
        final class Offset: Regression {
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                try super.trainingStep(batch, index) + (index == 1 ? Double.infinity : 0)
            }
        }
        for accumulate in [1, 2] {
            var results: [StepResult] = []
            let module = Offset(learningRate: 0.1)
            let trainer = quietTrainer(maxEpochs: 1) {
                $0.accumulateGradBatches = accumulate
                $0.callbacks = [AfterBatch { _, _, result, _ in if result.closesWindow { results.append(result) } }]
            }
            try trainer.fit(module, train: DataLoader(Points(16), batchSize: 4))
            #expect(
                results.map(\.skipReason)
                    == (accumulate == 1 ? [nil, .nonFiniteLoss, nil, nil] : [.nonFiniteLoss, nil]))
            #expect(module.layer.weight.master.allFinite())
        }
    }

    @Test func divergenceNamesParameterScaleAndSkips() throws {
        let all = DataLoader(Points(160, infiniteRows: 0..<160), batchSize: 16)
        let error = #expect(throws: TrainingDiverged.self) {
            try quietTrainer(maxEpochs: 1, precision: .mixedFloat16) { $0.nonFinite = .skip(maxConsecutive: 3) }
                .fit(SmallClassifier(), train: all)
        }
        #expect(error?.parameter == "hidden.weight" && error?.consecutiveSkips == 3 && error?.scale == 16384)
        #expect(error?.scaleExhausted == false)

        let floor = #expect(throws: TrainingDiverged.self) {
            try quietTrainer(maxEpochs: 1, precision: .mixedFloat16) { $0.lossScale = .dynamic(initial: 4, minimum: 2) }
                .fit(SmallClassifier(), train: all)
        }
        #expect(floor?.scaleExhausted == true && floor?.consecutiveSkips == 2 && floor?.scale == 2)

        // The default: ten in a row, in a mode without a scale too.
        let plain = #expect(throws: TrainingDiverged.self) {
            try quietTrainer(maxEpochs: 2).fit(SmallClassifier(), train: all)
        }
        #expect(plain?.consecutiveSkips == 10 && plain?.scale == 1)
    }

    /// The hook sees gradients without the scale and before clipping, and the loss without the scale. The scale is a power of
    /// two, so unscaling is exact; the norm is a float64 sum of squares: n additions and a root, (n + 2)·2^-53 relative.
    @Test(arguments: Precision.allCases) func theHookSeesUnscaledUnclippedGradients(_ precision: Precision) throws {
        final class Look: Callback {
            var seen = 0
            let scale: Double
            init(scale: Double) { self.scale = scale }
            override func onBeforeOptimizerStep(
                _ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer, _ gradients: UnscaledGradients
            ) throws {
                var sum = 0.0
                var count = 0
                for parameter in optimizer.parameters {
                    let scaled = try #require(parameter.gradient).scalars(as: Double.self)
                    let unscaled = try #require(gradients[parameter]).scalars(as: Double.self)
                    #expect(unscaled == scaled.map { $0 / scale })
                    sum += unscaled.reduce(0) { $0 + $1 * $1 }
                    count += scaled.count
                }
                let ok = abs(gradients.check.norm - sum.squareRoot()) <= Double(count + 2) * 0x1p-53 * sum.squareRoot()
                #expect(ok && gradients.check.norm > 1e-3 && gradients.loss < 3)
                seen += 1
            }
        }
        let look = Look(scale: precision == .mixedFloat16 || precision == .float16 ? 65536 : 1)
        let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
            $0.callbacks = [look]
            $0.gradientClip = .norm(1e-3)
        }
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(32), batchSize: 16))
        #expect(look.seen == 2)
    }

    @Test func twoOptimizersMustNotShareAndOneMustExist() throws {
        let loader = DataLoader(Points(4), batchSize: 4)
        let shared = SmallClassifier()
        shared.makeOptimizers = { [SGD($0.parameters()), SGD($0.head.parameters())] }
        #expect(throws: TrainerError.sharedParameter("head.weight", optimizers: (0, 1))) {
            try quietTrainer(maxEpochs: 1).fit(shared, train: loader)
        }
        let none = SmallClassifier()
        none.makeOptimizers = { _ in [] }
        #expect(throws: TrainerError.noOptimizer) { try quietTrainer(maxEpochs: 1).fit(none, train: loader) }
    }

    /// A parameter of no optimizer keeps its bits, and its gradient does not grow from step to step.
    @Test func strayAndFrozenParametersStay() throws {
        let module = SmallClassifier()
        module.makeOptimizers = { [SGD($0.hidden.parameters(), learningRate: 0.1)] }
        module.drop.train(false)
        let head = module.head.bits, hidden = module.hidden.bits
        try quietTrainer(maxEpochs: 1).fit(module, train: DataLoader(Points(64), batchSize: 16))
        #expect(module.head.bits == head && module.hidden.bits != hidden)

        let frozen = SmallClassifier()
        frozen.hidden.weight.requiresGradient = false
        let weight = frozen.hidden.weight.master.bytes
        try quietTrainer(maxEpochs: 1).fit(frozen, train: DataLoader(Points(64), batchSize: 16))
        #expect(frozen.hidden.weight.master.bytes == weight && frozen.hidden.weight.gradient == nil)
    }
}
