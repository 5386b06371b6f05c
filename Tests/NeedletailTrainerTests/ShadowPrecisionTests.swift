import Foundation
import Needletail
import Testing

/// Two weights a and b for rows x of one number; the loss is the mean of (a x)² + (b x)².
private final class Squares: TrainingModule {
    let a: Linear, b: Linear
    let optimizers: Int

    init(a: Float, b: Float, optimizers: Int = 1) {
        self.optimizers = optimizers
        var generator = SeededGenerator(seed: 0)
        self.a = Linear(1, 1, bias: false, using: &generator)
        self.b = Linear(1, 1, bias: false, using: &generator)
        super.init()
        try! self.a.weight.assign(Tensor([a], shape: [1, 1]))
        try! self.b.weight.assign(Tensor([b], shape: [1, 1]))
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let y = a(batch.inputs).cast(to: .float32), z = b(batch.inputs).cast(to: .float32)
        return (y * y + z * z).mean()
    }

    override func configureOptimizers() -> [Optimizer] {
        optimizers == 1
            ? [SGD(parameters(), learningRate: 0)] : [a, b].map { SGD($0.parameters(), learningRate: 0) }
    }
}

/// The rows 1 and 2.
private struct OneAndTwo: Dataset {
    let count = 2
    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        Batch(
            inputs: Tensor(indices.map { Float($0 + 1) }, shape: [indices.count, 1]).cast(to: dtype),
            targets: Tensor.zeros([indices.count], dtype: .int64))
    }
}

/// An optimizer for each layer; the second's loss is another one, and its forward pass sees the first's update.
private final class Alternating: SmallClassifier {
    override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
        let loss = try trainingStep(batch, index)
        return optimizer == 0 ? loss : loss * 3
    }
    override func configureOptimizers() -> [Optimizer] {
        [
            Adam(hidden.parameters(), learningRate: 1e-2), SGD(head.parameters(), learningRate: 0.1, momentum: 0.9),
        ]
    }
}

@Suite struct ShadowPrecisionTests {
    /// A run's checkpoint has the same bytes with the shadow and without: dropout, accumulation, momentum, validation and an
    /// overflow included.
    @Test(arguments: Precision.allCases) func theRunStaysTheSame(precision: Precision) throws {
        let directory = try TemporaryDirectory()
        func fit(_ name: String, _ module: SmallClassifier, accumulate: Int, _ callbacks: [Callback]) throws {
            let trainer = quietTrainer(maxEpochs: 2, precision: precision) {
                $0.accumulateGradBatches = accumulate
                $0.logEveryNSteps = 1
                $0.loggers = [MemoryLogger()]
                $0.callbacks = callbacks + [ModelCheckpoint(directory: directory(name))]
            }
            try trainer.fit(
                module, train: DataLoader(Points(22, infiniteRows: 5..<6), batchSize: 4, shuffle: true, seed: 3),
                validation: DataLoader(Points(7), batchSize: 4))
        }
        for (kind, accumulate) in [("one", 2), ("two", 1), ("two", 2)] {
            func module() -> SmallClassifier { kind == "one" ? SmallClassifier() : Alternating() }
            let shadow = ShadowPrecision(every: 1)
            try fit("with \(kind) \(accumulate)", module(), accumulate: accumulate, [shadow])
            try fit("without \(kind) \(accumulate)", module(), accumulate: accumulate, [])
            for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
                let with = bytes(directory("with \(kind) \(accumulate)/last/") + file)
                let without = bytes(directory("without \(kind) \(accumulate)/last/") + file)
                #expect(!with.isEmpty && with == without, "\(kind) \(accumulate) \(file)")
            }
            #expect(shadow.results.count == (accumulate == 2 ? 6 : 12))
        }
    }

    /// In 32-true the shadow is the run itself: equal weights, masks and sums give no difference at all.
    @Test func withoutADifferenceInPrecisionThereIsNone() throws {
        for module in [SmallClassifier(), Alternating()] {
            let shadow = ShadowPrecision(every: 1)
            let trainer = quietTrainer(maxEpochs: 2) { $0.callbacks = [shadow] }
            try trainer.fit(module, train: DataLoader(Points(22), batchSize: 8, shuffle: true, seed: 3))
            #expect(shadow.results.count == 6)
            for result in shadow.results {
                #expect(result.lossDifference == 0 && result.gradientError == 0, "\(type(of: module)) \(result)")
                #expect(result.layers.map(\.name) == ["hidden", "head"])
            }
        }
    }

    /// a = 1 + 2^-11 rounds to 1 in both 16-bit types, b = 1 stays; every product below is exact in float32.
    ///
    /// Over the rows 1 and 2: l = (1 + 4) / 2 (1 + 1), l' = 5/2 (a² + 1); dl/da = 5 and dl/db = 5, dl'/da = 5 a.
    @Test(arguments: [Precision.mixedBFloat16, .mixedFloat16], [(2, 1), (1, 1), (1, 2)])
    func byHand(precision: Precision, split: (batchSize: Int, optimizers: Int)) throws {
        let a = 1 + 0x1p-11
        let shadow = ShadowPrecision()
        let logger = MemoryLogger()
        let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
            $0.accumulateGradBatches = 2 / split.batchSize
            $0.lossScale = precision == .mixedFloat16 ? .fixed(64) : nil
            $0.callbacks = [shadow]
            $0.loggers = [logger]
        }
        try trainer.fit(
            Squares(a: Float(a), b: 1, optimizers: split.optimizers),
            train: DataLoader(OneAndTwo(), batchSize: split.batchSize))
        let result = try #require(shadow.results.first)
        #expect(shadow.results.count == 1 && result.step == 1)
        let loss = 2.5 * (a * a + 1)
        // a² + 1 fits float32, 5 (a² + 1) is rounded once: by u = 2^-24 of itself, and so the quotient by at most 5 u / l'.
        #expect(abs(result.lossDifference - (loss - 5) / loss) <= 0x1p-24)
        #expect(result.gradientError == 5 * (a - 1) / (25 * a * a + 25).squareRoot())
        #expect(result.layers.map(\.name) == ["a", "b"])
        #expect(result.layers.map(\.gradientError) == [(a - 1) / a, 0])
        #expect(result.worstLayer?.name == "a")
        #expect(logger.values(of: "shadow/loss_difference").map(\.value) == [result.lossDifference])
        #expect(logger.values(of: "shadow/gradient_error").map(\.value) == [result.gradientError])
        #expect(trainer.metrics["shadow/gradient_error"] == nil)
    }

    @Test func everyKthStepFromTheFirst() throws {
        let shadow = ShadowPrecision(every: 3)
        let trainer = quietTrainer(maxEpochs: 2, precision: .mixedBFloat16) { $0.callbacks = [shadow] }
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(16), batchSize: 4))
        #expect(shadow.results.map(\.step) == [1, 4, 7])
        for result in shadow.results { #expect(result.gradientError > 0 && result.gradientError.isFinite) }
    }

    /// A step that overflows in float16 is infinitely far from float32, where it does not.
    @Test func anOverflowIsInfinitelyFar() throws {
        let shadow = ShadowPrecision(every: 1)
        let trainer = quietTrainer(maxEpochs: 1, precision: .mixedFloat16) {
            $0.lossScale = .dynamic(initial: 0x1p40)
            $0.callbacks = [shadow]
        }
        try trainer.fit(Squares(a: 1, b: 1), train: DataLoader(OneAndTwo(), batchSize: 2))
        #expect(trainer.state.skippedSteps == 1)
        #expect(shadow.results.map(\.gradientError) == [.infinity] && shadow.results.map(\.lossDifference) == [0])
    }

    /// Another callback that looks at layers does not see the shadow's.
    @Test func theNumericsReportSeesTheRunOnly() throws {
        func page(_ callbacks: [Callback]) throws -> String {
            let report = NumericsReport(every: 1, console: Console(isTerminal: false) { _ in })
            let trainer = quietTrainer(maxEpochs: 1, precision: .mixedBFloat16) { $0.callbacks = [report] + callbacks }
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(12), batchSize: 4))
            return report.page(trainer)
        }
        #expect(try page([ShadowPrecision(every: 1)]) == page([]))
    }

    /// Where the step fails in the shadow the module is left as it was.
    @Test func aFailureLeavesTheModuleAsItWas() throws {
        struct Refused: Error {}
        final class Picky: SmallClassifier {
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                if hidden.weight.computeType == .float32 { throw Refused() }
                return try super.trainingStep(batch, index)
            }
        }
        let module = Picky()
        let trainer = quietTrainer(maxEpochs: 1, precision: .mixedBFloat16) { $0.callbacks = [ShadowPrecision()] }
        #expect(throws: Refused.self) { try trainer.fit(module, train: DataLoader(Points(4), batchSize: 4)) }
        for parameter in module.parameters() {
            #expect(parameter.storageType == .float32 && parameter.computeType == .bfloat16)
        }
        // The run's own forward pass has drawn a mask, the shadow none: generators stand where the run left them.
        let control = SmallClassifier()
        _ = control.logits(try Points(4).batch(Array(0..<4), dtype: .float32))
        #expect(module.drop.generator == control.drop.generator)
    }
}
