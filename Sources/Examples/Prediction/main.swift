// Predictions from a checkpoint of ExampleClassifier: swift run -c release ExamplePrediction runs/classifier/checkpoints/last
import Needletail

/// The same parameters under the same names; how the model was trained does not matter here.
final class Classifier: TrainingModule {
    let layers: Sequential

    override init() {
        var generator = SeededGenerator(seed: 0)  // the values come from the checkpoint
        layers = Sequential([
            Flatten(), Linear(64, 128, using: &generator), ReLU(), Linear(128, 256, using: &generator), ReLU(),
            Linear(256, 10, using: &generator),
        ])
    }
    override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor { layers(batch.inputs).softmax(axis: 1) }
}

let path = CommandLine.arguments.dropFirst().first ?? "runs/classifier/checkpoints/last"
let checkpoint = try Checkpoint(path)
print("trained in \(checkpoint.precision) for \(checkpoint.state.globalStep) steps")
let classifier = Classifier()
try classifier.load(from: path)

// In the precision in which it was trained.
let trainer = Trainer(precision: checkpoint.precision) { $0.enableProgressBar = false }
let images = Digits.load().test.subset(0..<10)
let predictions = try trainer.predict(classifier, DataLoader(images, batchSize: 10))
for row in 0..<10 {
    let probabilities = predictions[0][row]
    let digit = Int(probabilities.argmax(axis: 0).item())
    print("image \(row): \(digit) with probability \(probabilities[digit].item()), labelled \(images.labelValues[row])")
}
