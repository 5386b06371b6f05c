// What the precision flag promises, mode by mode, where no other file's subject covers it (docs/numerics.md has the table).
import Needletail
import Testing

/// A regression whose loss is `offset(index)` more than it is: an infinity in the loss alone, gradients stay finite.
private final class OffsetLoss: Regression {
    let poisoned: Int
    init(poisoned: Int) {
        self.poisoned = poisoned
        super.init(learningRate: 0.1)
    }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let loss = try super.trainingStep(batch, index)
        return index == poisoned ? loss + Double.infinity : loss
    }
}

extension Precision {
    /// Whether the mode scales the loss.
    fileprivate var scales: Bool { self == .mixedFloat16 || self == .float16 }
}

@Suite struct PrecisionSemanticsTests {
    @Test func theDefaultIs32TrueAndSkipsTenTimes() throws {
        let configuration = Trainer(maxEpochs: 1).configuration
        #expect(configuration.precision == .mode(.float32))
        #expect(configuration.nonFinite == .skip(maxConsecutive: 10))
        #expect(configuration.lossScale == nil && configuration.updateRounding == nil)
    }

    /// Gradients of parameters come out of the GEMM in float32 and are not rounded to the parameters' 16 bits; optimizer state
    /// is float32. Of 83 gradients, each with 13 or 16 bits below those that 16 bits keep, some have any of them set.
    @Test(arguments: Precision.allCases) func gradientsAndStateAreWiderThanSixteenBits(_ precision: Precision) throws {
        final class Look: Callback {
            var gradients: [Tensor] = []
            override func onBeforeOptimizerStep(
                _ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer, _ gradients: UnscaledGradients
            ) { self.gradients = optimizer.parameters.compactMap { gradients[$0] } }
        }
        let look = Look(), module = SmallClassifier(dropout: 0)
        var optimizer: Optimizer?
        module.makeOptimizers = {
            let made = AdamW($0.parameters(), learningRate: 1e-2)
            optimizer = made
            return [made]
        }
        try quietTrainer(maxEpochs: 1, precision: precision) { $0.callbacks = [look] }
            .fit(module, train: DataLoader(Points(16), batchSize: 16))
        let wide: DType = precision == .float64 ? .float64 : .float32
        #expect(look.gradients.count == 4 && look.gradients.allSatisfy { $0.dtype == wide })
        let state = try #require(optimizer).stateTensors().filter { !$0.name.hasSuffix(".step") }
        #expect(state.count == 8 && state.allSatisfy { $0.tensor.dtype == wide })
        for type in [DType.float16, .bfloat16] {
            let rounded = look.gradients.allSatisfy {
                $0.cast(to: type).scalars(as: Double.self) == $0.scalars(as: Double.self)
            }
            #expect(!rounded, "\(precision): gradients have only the bits of \(type)")
        }
    }

    /// An infinite loss with finite gradients, under each policy in each mode. With a loss scale it is skipped under `.ignore`
    /// too, as an overflow is.
    @Test(arguments: Precision.allCases) func anInfiniteLossAloneFollowsThePolicy(_ precision: Precision) throws {
        for policy in [NonFinitePolicy.skip(), .throw, .ignore] {
            let module = OffsetLoss(poisoned: 1)
            var reasons: [StepResult.SkipReason?] = [], bits: [[[UInt8]]] = []
            let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
                $0.nonFinite = policy
                $0.callbacks = [
                    AfterBatch { _, module, result, _ in
                        reasons.append(result.skipReason)
                        bits.append(module.bits)
                    }
                ]
            }
            let loader = DataLoader(Points(16), batchSize: 4)
            guard policy != .throw else {
                let error = #expect(throws: TrainingDiverged.self) { try trainer.fit(module, train: loader) }
                #expect(error?.parameter == nil && error?.loss == .infinity && error?.globalStep == 1)
                #expect(module.bits == bits[0], "\(precision)")
                continue
            }
            try trainer.fit(module, train: loader)
            let skips = policy != .ignore || precision.scales
            #expect(reasons == [nil, skips ? .nonFiniteLoss : nil, nil, nil], "\(precision) \(policy)")
            #expect((bits[1] == bits[0]) == skips, "\(precision) \(policy)")
            #expect(trainer.state.globalStep == (skips ? 3 : 4) && trainer.state.skippedSteps == (skips ? 1 : 0))
            #expect(module.parameters().allSatisfy { $0.master.allFinite() })
        }
    }

    /// A NaN in the input is caught as an infinity is: the weights keep their bits in every mode.
    @Test(arguments: Precision.allCases) func batchesOfNaNAreSkipped(_ precision: Precision) throws {
        final class Poisoned: Regression {
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                var batch = batch
                if index == 1 { batch.inputs = batch.inputs * Double.nan }
                return try super.trainingStep(batch, index)
            }
        }
        let module = Poisoned(learningRate: 0.1)
        var bits: [[[UInt8]]] = []
        let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
            $0.callbacks = [AfterBatch { _, module, _, _ in bits.append(module.bits) }]
        }
        try trainer.fit(module, train: DataLoader(Points(12), batchSize: 4))
        #expect(bits[1] == bits[0] && bits[2] != bits[1])
        #expect(trainer.state.globalStep == 2 && trainer.state.skippedSteps == 1)
    }

    /// `amp/scale` and `amp/skipped_total` are logged by the trainer where the loss is scaled, and only there.
    @Test(arguments: Precision.allCases) func scaleAndSkipsAreLoggedWhereTheLossIsScaled(_ precision: Precision) throws
    {
        let logger = MemoryLogger()
        try quietTrainer(maxEpochs: 1, precision: precision) {
            $0.loggers = [logger]
            $0.logEveryNSteps = 1
        }.fit(SmallClassifier(), train: DataLoader(Points(12, infiniteRows: 5..<6), batchSize: 4))
        #expect(logger.values(of: "amp/scale").map(\.value) == (precision.scales ? [65536, 32768, 32768] : []))
        #expect(logger.values(of: "amp/skipped_total").map(\.value) == (precision.scales ? [0, 1, 1] : []))
        #expect(logger.values(of: "lr").count == 3)
    }

    /// A checkpoint of either scaled mode goes on in each of the six: another mode is named, with what becomes of the scale.
    @Test(arguments: [Precision.mixedFloat16, .float16], Precision.allCases)
    func aCheckpointOfAScaledModeInAnotherSaysSo(_ saved: Precision, _ here: Precision) throws {
        let directory = try TemporaryDirectory()
        func fit(_ precision: Precision, epochs: Int, resume: ResumePoint?) throws -> Trainer {
            let trainer = quietTrainer(maxEpochs: epochs, precision: precision) {
                $0.callbacks = [ModelCheckpoint(directory: directory.path)]
            }
            // The first batch overflows once: the scale that is kept is not the one that a run starts with.
            let data = Points(16, infiniteRows: epochs == 1 ? 0..<1 : 0..<0)
            try trainer.fit(SmallClassifier(), train: DataLoader(data, batchSize: 4), resume: resume)
            return trainer
        }
        #expect(try fit(saved, epochs: 1, resume: nil).scaler?.growthTracker == 3)
        let resumed = try fit(here, epochs: 2, resume: .last)
        #expect(resumed.state.globalStep == 7)
        if here.scales {
            #expect(resumed.lossScale == 32768 && resumed.scaler?.growthTracker == 7)
        } else {
            #expect(resumed.scaler == nil)
        }
        let expected = "is of a \(saved) run, this run is \(here): tensors are converted"
        if here == saved {
            #expect(resumed.notices.isEmpty)
        } else {
            #expect(resumed.notices.count == 1)
            #expect(
                resumed.notices.first?.hasSuffix(expected + (here.scales ? "" : "; its loss scale is dropped")) == true)
        }
    }

    /// The other way round the scale starts afresh, and the note says where.
    @Test(arguments: [Precision.mixedFloat16, .float16]) func aCheckpointWithoutAScaleSaysWhereItStarts(
        _ here: Precision
    ) throws {
        let directory = try TemporaryDirectory()
        let loader = DataLoader(Points(16), batchSize: 4)
        try quietTrainer(maxEpochs: 1, precision: .float32) { $0.rootDirectory = directory.path }
            .fit(SmallClassifier(), train: loader)
        let trainer = quietTrainer(maxEpochs: 2, precision: here) { $0.rootDirectory = directory.path }
        try trainer.fit(SmallClassifier(), train: loader, resume: .last)
        #expect(trainer.notices.count == 1)
        #expect(trainer.notices.first?.hasSuffix("tensors are converted; the loss scale starts at 65536.0") == true)
        #expect(trainer.lossScale == 65536 && trainer.scaler?.growthTracker == 4)
    }
}
