// A callback of your own: a line of gradient norms an epoch, and an end where they explode. swift run -c release ExampleCallback 5
import Needletail

/// Draws each epoch's gradient norms, and ends training where one is a hundred times the largest of the epoch before.
final class GradientWatch: Callback {
    private var norms: [Double] = []
    private var limit = Double.infinity

    // Every hook is a method to override: a misspelt one does not compile.
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) {
        guard result.isApplied else { return }  // a step that overflowed has no norm
        norms.append(result.gradientNorm)
        if result.gradientNorm > limit { trainer.shouldStop = true }
    }
    override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) {
        let largest = norms.max() ?? 0
        let bars = Array("▁▂▃▄▅▆▇█")
        let line = norms.map { bars[largest > 0 ? min(7, Int($0 / largest * 8)) : 0] }
        print("epoch \(trainer.state.epoch): \(String(line)) up to \(largest)")
        limit = 100 * largest
        norms = []
    }

    // What a resumed run must know goes into checkpoints.
    override func saveState() throws -> JSONValue? { ["limit": .number(limit)] }
    override func loadState(_ state: JSONValue) throws {
        if case .object(let members) = state, let saved = members["limit"] { limit = try saved.decoded() }
    }
}

final class Regression: TrainingModule {
    let layer: Linear
    init(using generator: inout SeededGenerator) { layer = Linear(64, 10, using: &generator) }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        try crossEntropy(layer(batch.inputs.flattened(from: 1)), batch.targets)
    }
    override func configureOptimizers() -> [Optimizer] { [SGD(parameters(), learningRate: 0.1, momentum: 0.9)] }
}

var generator = SeededGenerator(seed: 1)
let epochs = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 5
let trainer = Trainer(maxEpochs: epochs, precision: .mixedFloat16) {
    $0.enableProgressBar = false
    $0.callbacks = [GradientWatch()]
}
try trainer.fit(
    Regression(using: &generator), train: DataLoader(Digits.load().train, batchSize: 32, shuffle: true, seed: 1))
