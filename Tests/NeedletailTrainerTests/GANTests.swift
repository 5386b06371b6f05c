// Two optimizers on the digits, against each other.
import Foundation
import Needletail
import Testing

/// Random numbers that checkpoints keep.
private final class Noise: Module, RandomStateHolder {
    var generator = SeededGenerator(seed: 5)
    func callAsFunction(_ count: Int) -> Tensor { Tensor.normal([count, 8], using: &generator) }
}

private final class DigitsGAN: TrainingModule {
    let noise = Noise(), generator: Sequential, discriminator: Sequential
    /// Whose parameters a step has changed: for each batch and optimizer.
    var changed: [String] = []
    private var before: [[UInt8]] = []

    override init() {
        var random = SeededGenerator(seed: 1)
        generator = Sequential([Linear(8, 64, activation: .relu, using: &random), Linear(64, 64, using: &random)])
        discriminator = Sequential([
            Linear(64, 64, activation: .gelu, using: &random), Dropout(0.3, using: &random),
            Linear(64, 2, using: &random),
        ])
    }
    override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
        let count = batch.count
        let real = Tensor([Int64](repeating: 1, count: count)), drawn = Tensor([Int64](repeating: 0, count: count))
        let images = generator(noise(count)).tanh()
        if optimizer == 0 { return try crossEntropy(discriminator(images), real) }
        let own = try crossEntropy(discriminator(batch.inputs.flattened(from: 1)), real)
        return try (own + crossEntropy(discriminator(images), drawn)) * 0.5
    }
    override func onBeforeZeroGrad(_ optimizer: Optimizer) { before = bits }
    override func onBeforeOptimizerStep(_ optimizer: Optimizer, _ gradients: UnscaledGradients) {
        // A first optimizer's gradients are its own alone: the others' parameters require none in its step.
        let withGradient = namedParameters().filter { gradients[$0.parameter] != nil }.map(\.name)
        let own = namedParameters().filter { entry in optimizer.parameters.contains { $0 === entry.parameter } }
        if !Set(own.map(\.name)).isSubset(of: Set(withGradient)) { changed.append("missing") }
        let same = before == bits
        #expect(same)
    }
    override func testStep(_ batch: Batch, _ index: Int) throws {
        let real = batch.inputs.flattened(from: 1).mean(axes: [0]).cast(to: .float32)
        let mean = generator(noise(batch.count)).tanh().mean(axes: [0]).cast(to: .float32)
        log("distance", (mean - real).pow(2).sum().sqrt() / real.pow(2).sum().sqrt())
    }
    override func configureOptimizers() -> [Optimizer] {
        [generator, discriminator].map { Adam($0.parameters(), learningRate: 2e-3, betas: (0.5, 0.999)) }
    }
}

@Suite struct GANTests {
    private let loaders: (train: DataLoader, test: DataLoader) = {
        var (train, test) = Digits.load()
        (train.mean, train.deviation, test.mean, test.deviation) = (0.5, 0.5, 0.5, 0.5)
        return (
            DataLoader(train.subset(0..<640), batchSize: 64, shuffle: true, seed: 1), DataLoader(test, batchSize: 360)
        )
    }()

    /// What is drawn comes nearer to the digits, in every precision; in 16-mixed with one loss scale for both.
    @Test(arguments: Precision.allCases) func theGeneratorLearns(_ precision: Precision) throws {
        let module = DigitsGAN()
        let trainer = quietTrainer(maxEpochs: 12, precision: precision)
        let before = try #require(try trainer.test(module, loaders.test)["distance"])
        try trainer.fit(module, train: loaders.train)
        let after = try #require(try trainer.test(module, loaders.test)["distance"])
        #expect(after < before / 2, "\(before) -> \(after)")
        #expect(module.changed.isEmpty && trainer.state.globalStep + trainer.state.skippedSteps >= 120)
        if let scaler = trainer.scaler { #expect(scaler.growthTracker <= 120 && scaler.scale.isFinite) }
    }

    /// Both optimizers, the noise and the dropout go on from a checkpoint with the same bits.
    @Test(arguments: Precision.allCases) func aResumedGANHasTheSameBits(_ precision: Precision) throws {
        let directory = try TemporaryDirectory()
        func fit(_ steps: Int, _ root: String, _ resume: ResumePoint? = nil) throws -> [[UInt8]] {
            let module = DigitsGAN()
            try quietTrainer(maxSteps: steps, precision: precision) {
                $0.callbacks = [ModelCheckpoint(directory: root)]
            }.fit(module, train: loaders.train, resume: resume)
            return module.bits
        }
        let whole = try fit(14, directory("whole"))
        _ = try fit(6, directory("part"))
        #expect(try fit(14, directory("part"), .last) == whole)
        for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
            #expect(bytes(directory("part/last/" + name)) == bytes(directory("whole/last/" + name)), "\(name)")
        }
    }
}
