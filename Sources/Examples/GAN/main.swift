// Two optimizers: a generator that draws digits, and a discriminator that tells them apart. swift run -c release ExampleGAN 60
import Needletail

/// Normal numbers; a holder of random state, so that checkpoints keep where it stands.
final class Noise: Module, RandomStateHolder {
    let size: Int
    var generator: SeededGenerator
    init(_ size: Int, seed: UInt64) { (self.size, generator) = (size, SeededGenerator(seed: seed)) }
    func callAsFunction(_ count: Int) -> Tensor {
        Tensor.normal([count, size], mean: 0, deviation: 1, dtype: .float32, using: &generator)
    }
}

final class GAN: TrainingModule {
    let noise: Noise
    let generator: Sequential, discriminator: Sequential

    init(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        noise = Noise(16, seed: seed)
        generator = Sequential([Linear(16, 128, activation: .relu, using: &random), Linear(128, 64, using: &random)])
        discriminator = Sequential([
            Linear(64, 128, activation: .gelu, using: &random), Dropout(0.3, using: &random),
            Linear(128, 2, using: &random),
        ])
    }
    /// Images from -1 to 1, [count, 64].
    func draw(_ count: Int) -> Tensor { generator(noise(count)).tanh() }

    /// Optimizer 0 is the generator's, 1 the discriminator's. Only its own parameters require gradients during the call.
    override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
        let count = batch.count
        let real = Tensor([Int64](repeating: 1, count: count)), drawn = Tensor([Int64](repeating: 0, count: count))
        if optimizer == 0 {
            let loss = try crossEntropy(discriminator(draw(count)), real)
            log("generator", loss, onEpoch: true, progressBar: true)
            return loss
        }
        let images = batch.inputs.flattened(from: 1)
        let loss =
            try (crossEntropy(discriminator(images), real) + crossEntropy(discriminator(draw(count)), drawn)) * 0.5
        log("discriminator", loss, onEpoch: true, progressBar: true)
        return loss
    }
    /// How far the mean of drawn images is from that of real ones: 0 is perfect, 1 is as far as grey is.
    override func testStep(_ batch: Batch, _ index: Int) throws {
        let real = batch.inputs.flattened(from: 1).mean(axes: [0]).cast(to: .float32)
        let mean = draw(batch.count).mean(axes: [0]).cast(to: .float32)
        log("distance", (mean - real).pow(2).sum().sqrt() / real.pow(2).sum().sqrt())
    }
    override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor { draw(batch.count) }
    override func configureOptimizers() -> [Optimizer] {
        [generator, discriminator].map { Adam($0.parameters(), learningRate: 1e-3, betas: (0.5, 0.999)) }
    }
}

var (train, test) = Digits.load()
(train.mean, train.deviation, test.mean, test.deviation) = (0.5, 0.5, 0.5, 0.5)
let gan = GAN(seed: 1)
let arguments = CommandLine.arguments.dropFirst()
let trainer = Trainer(
    maxEpochs: Int(arguments.first ?? "") ?? 60,
    precision: try Precision(parsing: arguments.dropFirst().first ?? "16-mixed"))
let testLoader = DataLoader(test, batchSize: 360)
try trainer.fit(gan, train: DataLoader(train, batchSize: 64, shuffle: true, seed: 1))
print("distance", try trainer.test(gan, testLoader)["distance"] ?? 0)

// Four digits side by side.
let drawn = try trainer.predict(gan, testLoader)[0]
for row in 0..<8 {
    let line = (0..<4).flatMap { image -> [Float] in
        drawn[image][row * 8..<row * 8 + 8].scalars() + [-1]
    }
    print(String(line.map { Array(" .:-=+*#%@")[max(0, min(9, Int(($0 + 1) * 5)))] }))
}
