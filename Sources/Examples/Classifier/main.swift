// The tutorial's classifier; everything else is a flag: swift run -c release ExampleClassifier 16-mixed 20
import Needletail

final class Classifier: TrainingModule {
    let layers: Sequential

    init(using generator: inout SeededGenerator) {
        layers = Sequential([
            Flatten(), Linear(64, 128, using: &generator), ReLU(), Linear(128, 256, using: &generator), ReLU(),
            Linear(256, 10, using: &generator),
        ])
    }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let loss = try crossEntropy(layers(batch.inputs), batch.targets)
        log("train_loss", loss, onStep: true, onEpoch: true, progressBar: true)
        return loss
    }
    override func validationStep(_ batch: Batch, _ index: Int) throws {
        log("val_loss", try crossEntropy(layers(batch.inputs), batch.targets), progressBar: true)
    }
    override func testStep(_ batch: Batch, _ index: Int) throws {
        let hits = layers(batch.inputs).argmax(axis: 1) .== batch.targets
        log("accuracy", hits.cast(to: .float32).mean())
    }
    override func configureOptimizers() -> [Optimizer] { [Adam(parameters(), learningRate: 1e-3)] }
}

let arguments = CommandLine.arguments.dropFirst()
let precision = try Precision(parsing: arguments.first ?? "32-true"), epochs = Int(arguments.last ?? "") ?? 20
let (images, test) = Digits.load()
let parts = images.randomSplit([1237, 200], seed: 1)
var generator = SeededGenerator(seed: 1)
let classifier = Classifier(using: &generator)
let checkpoints = ModelCheckpoint(directory: "runs/classifier/checkpoints") { $0.overwrite = true }
let trainer = Trainer(maxEpochs: epochs, precision: precision) { $0.callbacks = [checkpoints] }
try trainer.fit(
    classifier, train: DataLoader(parts[0], batchSize: 64, shuffle: true, seed: 1),
    validation: DataLoader(parts[1], batchSize: 200))
print("accuracy", try trainer.test(classifier, DataLoader(test, batchSize: 360))["accuracy"] ?? 0)
