// The loss scale in a run: its defaults, windows, floor and ceiling, through the trainer.
import Needletail
import Testing

private let scaled = [Precision.mixedFloat16, .float16]

@Suite struct LossScaleRunTests {
    /// What each batch's step was scaled with, and the state after it.
    private func trace(
        _ precision: Precision, _ loader: DataLoader, epochs: Int = 1, module: TrainingModule = SmallClassifier(),
        _ configure: (inout TrainerConfiguration) -> Void = { _ in }
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
        try trainer.fit(module, train: loader)
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
}
