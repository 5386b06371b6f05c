// Fine-tuning: pre-train on the digits 0 to 4, replace the head, learn all ten. swift run -c release ExampleFineTuning 4
import Needletail

final class Classifier: TrainingModule {
    let backbone: Sequential
    let head: Linear

    init(classes: Int, using generator: inout SeededGenerator) {
        backbone = Sequential([Flatten(), Linear(64, 128, using: &generator), ReLU()])
        head = Linear(128, classes, using: &generator)
    }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        try crossEntropy(head(backbone(batch.inputs)), batch.targets)
    }
    override func testStep(_ batch: Batch, _ index: Int) throws {
        let hits = head(backbone(batch.inputs)).argmax(axis: 1) .== batch.targets
        log("accuracy", hits.cast(to: .float32).mean())
    }
    override func configureOptimizers() -> [Optimizer] { [Adam(parameters(), learningRate: 3e-3)] }
}

let epochs = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 4
let (train, test) = Digits.load()
var generator = SeededGenerator(seed: 1)

// The model that someone else has trained, on other classes.
let labels = train.labelValues
let small = train.subset(labels.indices.filter { labels[$0] < 5 })
let pretrained = Classifier(classes: 5, using: &generator)
try Trainer(maxEpochs: epochs, precision: .mixedBFloat16) {
    $0.callbacks = [ModelCheckpoint(directory: "runs/pretrained/checkpoints") { $0.overwrite = true }]
    $0.enableModelSummary = false
}.fit(pretrained, train: DataLoader(small, batchSize: 32, shuffle: true, seed: 1))

// Its backbone under a new head: the head alone for half of the epochs, then both, the backbone with a tenth of the rate.
let classifier = Classifier(classes: 10, using: &generator)
try classifier.load(from: "runs/pretrained/checkpoints/last", except: ["head.*"])
let trainer = Trainer(maxEpochs: epochs, precision: .mixedBFloat16) {
    $0.callbacks = [BackboneFineTuning("backbone.*", unfreezeAtEpoch: epochs / 2, rate: .ratio(0.1))]
}
try trainer.fit(classifier, train: DataLoader(train, batchSize: 32, shuffle: true, seed: 1))
print("accuracy", try trainer.test(classifier, DataLoader(test, batchSize: 360))["accuracy"] ?? 0)
