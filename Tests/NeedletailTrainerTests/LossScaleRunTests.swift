// The loss scale in a run: its defaults, windows, floor and ceiling, through the trainer.
import Needletail
import Testing

private let scaled = [Precision.mixedFloat16, .float16]

@Suite struct LossScaleRunTests {
    /// What each batch's step was scaled with, and the state after it.
    private func trace(
        _ precision: Precision, _ loader: DataLoader, epochs: Int = 1, module: TrainingModule = SmallClassifier(),
        resume: ResumePoint? = nil, _ configure: (inout TrainerConfiguration) -> Void = { _ in }
    ) throws -> (used: [Double], after: [Float], trainer: Trainer) {
        var used: [Double] = [], after: [Float] = []
        let trainer = quietTrainer(maxEpochs: epochs, precision: precision) {
            $0.callbacks = [
                AfterBatch { trainer, _, result, _ in
                    used.append(result.scale)
                    after.append(trainer.lossScale ?? .nan)
                }
            ]
            configure(&$0)
        }
        try trainer.fit(module, train: loader, resume: resume)
        return (used, after, trainer)
    }

    /// The default: from 65536, doubled by the 2000th applied step in a row, and not before.
    @Test(arguments: scaled) func theScaleDoublesAfterTwoThousandSteps(_ precision: Precision) throws {
        let (used, after, trainer) = try trace(
            precision, DataLoader(Points(20), batchSize: 2), epochs: 201, module: Regression(learningRate: 1e-3))
        #expect(
            trainer.scaler?.rule
                == .dynamic(initial: 65536, growth: 2, backoff: 0.5, interval: 2000, minimum: 1, maximum: .infinity))
        #expect(trainer.state.globalStep == 2010 && trainer.state.skippedSteps == 0)
        #expect(after[1998] == 65536 && after[1999] == 131072 && after[2009] == 131072)
        #expect(used[1999] == 65536 && used[2000] == 131072 && trainer.scaler?.growthTracker == 10)
    }

    /// Gradients of one window share one scale, though the interval is one step; an overflow in a window's first batch skips
    /// the window and halves the scale once.
    @Test(arguments: scaled) func aWindowHasOneScale(_ precision: Precision) throws {
        var outcomes: [StepResult.Outcome] = []
        let (used, after, trainer) = try trace(
            precision, DataLoader(Points(32, infiniteRows: 16..<17), batchSize: 4)
        ) {
            $0.lossScale = .dynamic(initial: 1024, interval: 1)
            $0.accumulateGradBatches = 2
            $0.callbacks.append(AfterBatch { _, _, result, _ in outcomes += result.outcomes })
        }
        #expect(used == [1024, 1024, 2048, 2048, 4096, 4096, 2048, 2048])
        #expect(after == [1024, 2048, 2048, 4096, 4096, 2048, 2048, 4096])
        #expect(
            outcomes == [
                .accumulated, .applied, .accumulated, .applied, .accumulated,
                .skipped(.nonFiniteGradient(parameter: "hidden.weight")), .accumulated, .applied,
            ])
        #expect(trainer.state.globalStep == 3 && trainer.state.skippedSteps == 1)
    }

    /// Ceiling: growth stops at the maximum. Floor: an overflow at the minimum ends training, with the weights as they were.
    @Test(arguments: scaled) func floorAndCeiling(_ precision: Precision) throws {
        let (_, after, _) = try trace(precision, DataLoader(Points(16), batchSize: 4)) {
            $0.lossScale = .dynamic(initial: 256, interval: 1, maximum: 1000)
        }
        #expect(after == [512, 512, 512, 512])

        let module = SmallClassifier()
        let untouched = SmallClassifier()
        try PrecisionPolicy(precision).apply(to: untouched)
        let all = DataLoader(Points(64, infiniteRows: 0..<64), batchSize: 4)
        let error = #expect(throws: TrainingDiverged.self) {
            try trace(precision, all, module: module) { $0.lossScale = .dynamic(initial: 4) }
        }
        #expect(error?.scaleExhausted == true && error?.scale == 1 && error?.consecutiveSkips == 3)
        #expect(error?.parameter == "hidden.weight" && error?.globalStep == 0 && module.bits == untouched.bits)
        #expect(error?.autopsy.finding?.layer != nil)
    }

    /// With a scale below 1 gradients can be finite while they are scaled and infinite after: that step is skipped too. Inputs
    /// times 1e4, loss times 1e38: gradients of about 1e41, of 1e35 where they are scaled by 2^-20; from weights of zero the loss
    /// is log 3, or 1.1e38.
    @Test func unscalingCanOverflow() throws {
        final class Steep: Regression {
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                try crossEntropy(layer(batch.inputs * 1e4), batch.targets) * (index == 1 ? 1e38 : 1)
            }
        }
        let module = Steep(learningRate: 1e-12)
        for parameter in module.parameters() { try parameter.assign(.zeros(parameter.shape)) }
        var reasons: [StepResult.SkipReason?] = []
        let (_, _, trainer) = try trace(.float32, DataLoader(Points(12), batchSize: 4), module: module) {
            $0.lossScale = .fixed(0x1p-20)
            $0.callbacks.append(AfterBatch { _, _, result, _ in reasons.append(result.skipReason) })
        }
        #expect(reasons == [nil, .nonFiniteGradient(parameter: "layer.weight"), nil])
        #expect(trainer.state.skippedSteps == 1 && module.parameters().allSatisfy { $0.master.allFinite() })
    }

    /// A fixed scale, not a power of two, stays through an overflow, which skips its step.
    @Test(arguments: scaled) func aFixedScaleStays(_ precision: Precision) throws {
        let (used, after, trainer) = try trace(
            precision, DataLoader(Points(16, infiniteRows: 5..<6), batchSize: 4)
        ) { $0.lossScale = .fixed(1000) }
        #expect(used == [1000, 1000, 1000, 1000] && after == [1000, 1000, 1000, 1000])
        #expect(trainer.state.globalStep == 3 && trainer.state.skippedSteps == 1)
    }

    /// A scale that has grown to 2^32 over steps without gradients comes down by fifteen overflows in a row, and the run goes on:
    /// ten in a row end it only at or below the initial scale. Gradients are 0.4 times the scale, and fit float16 from 2^17 down.
    @Test(arguments: scaled) func aGrownScaleMayComeFarDown(_ precision: Precision) throws {
        var counts: [Int] = []
        let (used, after, trainer) = try trace(
            precision, DataLoader(Points(64), batchSize: 2), module: LateError(0.4)
        ) {
            $0.lossScale = .dynamic(interval: 1)
            $0.callbacks.append(AfterBatch { trainer, _, _, _ in counts.append(trainer.state.consecutiveSkips[0]) })
        }
        #expect(used[16] == 0x1p32 && after[15] == 0x1p32)
        #expect(
            Array(after[16...]) == (17...31).reversed().map { Float(sign: .plus, exponent: $0, significand: 1) } + [
                0x1p18
            ])
        #expect(trainer.state.globalStep == 17 && trainer.state.skippedSteps == 15)
        #expect(counts.allSatisfy { $0 == 0 })
    }

    /// A run that is broken ends from there too: after ten skips at the initial scale and below, or at the minimum; its weights
    /// are those before the first skip.
    @Test(arguments: scaled) func aBrokenRunEndsFromAnyScale(_ precision: Precision) throws {
        for (minimum, last, counted) in [(Float(1), 0x1p7, 10), (0x1p10, 0x1p10, 7)] {
            let module = LateError(.infinity), healthy = LateError(0), untouched = LateError(0)
            var skipped = 0
            let error = #expect(throws: TrainingDiverged.self) {
                try trace(precision, DataLoader(Points(96), batchSize: 2), module: module) {
                    $0.lossScale = .dynamic(interval: 1, minimum: minimum)
                    $0.callbacks.append(AfterBatch { trainer, _, _, _ in skipped = trainer.state.skippedSteps })
                }
            }
            #expect(error?.consecutiveSkips == counted && error?.scale == last && error?.globalStep == 16)
            #expect(error?.scaleExhausted == (minimum > 1) && error?.autopsy.finding != nil)
            #expect(skipped == 16 + counted - 1)  // the last one throws before the hook
            _ = try trace(precision, DataLoader(Points(32), batchSize: 2), module: healthy)
            try PrecisionPolicy(precision).apply(to: untouched)
            #expect(module.bits == healthy.bits && module.bits != untouched.bits)
        }
        // Where every overflow throws, one above the initial scale does.
        let error = #expect(throws: TrainingDiverged.self) {
            try trace(precision, DataLoader(Points(64), batchSize: 2), module: LateError(.infinity)) {
                $0.lossScale = .dynamic(interval: 1)
                $0.nonFinite = .throw
            }
        }
        #expect(error?.consecutiveSkips == 1 && error?.scale == 0x1p32)
    }

    /// Checkpoints between the overflows, above the initial scale and below it, go on to the same bytes: 22 overflows from 2^32 to
    /// 2^11, of which the last six count.
    @Test(arguments: scaled) func resumingWhileTheScaleComesDown(_ precision: Precision) throws {
        let directory = try TemporaryDirectory()
        func run(_ name: String, resume: ResumePoint? = nil) throws -> TrainerState {
            try trace(
                precision, DataLoader(Points(96), batchSize: 2, shuffle: true), module: LateError(40), resume: resume
            ) {
                $0.lossScale = .dynamic(interval: 1)
                $0.callbacks.append(
                    AfterBatch { trainer, _, _, _ in
                        let tried = trainer.state.globalStep + trainer.state.skippedSteps
                        try trainer.saveCheckpoint(to: directory("\(name)/\(tried)"))
                    })
            }.trainer.state
        }
        #expect(try run("whole").globalStep > 16)
        #expect(
            try (20...39).map { try Checkpoint(directory("whole/\($0)")).state.consecutiveSkips[0] }
                == [Int](repeating: 0, count: 13) + [1, 2, 3, 4, 5, 6, 0])
        for tried in [16, 17, 25, 32, 33, 36, 38, 40] {
            _ = try run("from \(tried)", resume: .path(directory("whole/\(tried)")))
            for later in (tried + 1)...48 {
                for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
                    let (a, b) = (
                        bytes(directory("whole/\(later)/\(file)")), bytes(directory("from \(tried)/\(later)/\(file)"))
                    )
                    #expect(!a.isEmpty && a == b, "\(file) after \(later) steps, resumed after \(tried)")
                }
            }
        }
    }
}

/// The sum of all logits, times 1e-5 for 16 batches, then times `factor`.
private final class LateError: Regression {
    private let factor: Double

    init(_ factor: Double) {
        self.factor = factor
        super.init(learningRate: 50)
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        layer(batch.inputs).cast(to: .float32).sum() * (index < 16 ? 1e-5 : factor)
    }
}
