// A convolutional classifier of the digits, in any precision: swift run -c release ExampleCNN bf16-mixed 10
import Needletail

final class ConvNet: TrainingModule {
    let layers: Sequential

    init(using generator: inout SeededGenerator) {
        layers = Sequential(
            Conv2d(1, 16, kernel: 3, .padding(1), using: &generator), BatchNorm2d(16), ReLU(), MaxPool2d(2),
            Conv2d(16, 32, kernel: 3, .padding(1), using: &generator), BatchNorm2d(32), ReLU(),
            AdaptiveAveragePool2d(2), Flatten(), Dropout(0.2, using: &generator), Linear(128, 10, using: &generator))
    }

    /// Logits of images [N, height, width].
    private func logits(_ batch: Batch) -> Tensor { layers(batch.inputs.expandedDimension(at: 1)) }

    override var exampleInputs: Tensor? { Tensor.zeros([1, 8, 8]) }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let loss = try crossEntropy(logits(batch), batch.targets)
        log("train_loss", loss, onStep: true, onEpoch: true, progressBar: true)
        return loss
    }
    override func testStep(_ batch: Batch, _ index: Int) throws {
        log("accuracy", (logits(batch).argmax(axis: 1) .== batch.targets).cast(to: .float32).mean())
    }
    override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor { logits(batch) }
    override func configureOptimizers() -> [Optimizer] { [Adam(parameters(), learningRate: 3e-3)] }
}

let arguments = CommandLine.arguments.dropFirst()
let precision = try Precision(parsing: arguments.first ?? "32-true"), epochs = Int(arguments.last ?? "") ?? 10
let (train, test) = Digits.load()
var generator = SeededGenerator(seed: 1)
let model = ConvNet(using: &generator)
let checkpoints = ModelCheckpoint(directory: "runs/cnn/checkpoints") { $0.overwrite = true }
let trainer = Trainer(maxEpochs: epochs, precision: precision) { $0.callbacks = [checkpoints] }
try trainer.fit(model, train: DataLoader(train, batchSize: 64, shuffle: true, seed: 1))
print("accuracy", try trainer.test(model, DataLoader(test, batchSize: 360))["accuracy"] ?? 0)
