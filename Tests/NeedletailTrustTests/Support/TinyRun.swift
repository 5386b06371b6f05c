// The smallest run whose checkpoint holds everything that checkpoints can hold.
import Needletail

/// 4 -> 2 -> 3 with ReLU and dropout.
final class TinyClassifier: TrainingModule {
    let hidden: Linear
    let drop: Dropout
    let head: Linear

    override init() {
        var generator = SeededGenerator(seed: 1)
        hidden = Linear(4, 2, activation: .relu, using: &generator)
        drop = Dropout(0.25, using: &generator)
        head = Linear(2, 3, using: &generator)
        super.init()
        hyperparameters = ["width": 2, "name": "tiny"]
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let loss = try crossEntropy(head(drop(hidden(batch.inputs))), batch.targets)
        log("train_loss", loss, onStep: true, onEpoch: true)
        return loss
    }

    override func configureOptimizers() -> [Optimizer] { [Adam(parameters())] }

    override func configureSchedules(for optimizers: [Optimizer]) throws -> [Scheduler] {
        [try Scheduler(LinearWarmUp(steps: 3), of: optimizers[0])]
    }
}

/// Twelve rows of four numbers.
struct TinyData: Dataset {
    let count = 12

    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        let rows = indices.flatMap { row in (0..<4).map { Float((row * 7 + $0 * 3) % 11) / 11 } }
        return Batch(
            inputs: Tensor(rows, shape: [indices.count, 4]).cast(to: dtype),
            targets: Tensor(indices.map { Int64($0 % 3) }))
    }
}

/// Two epochs of three steps, in float16 with a loss scale; a checkpoint after each epoch, the best one monitored.
func trainTiny(_ directory: String, epochs: Int = 2, resume: ResumePoint? = nil) throws {
    let trainer = Trainer(maxEpochs: epochs, precision: .mixedFloat16) {
        $0.enableProgressBar = false
        $0.enableModelSummary = false
        $0.callbacks = [ModelCheckpoint(directory: directory, monitor: "train_loss_epoch", saveTopK: 2)]
    }
    try trainer.fit(
        TinyClassifier(), train: DataLoader(TinyData(), batchSize: 4, shuffle: true, seed: 3), resume: resume)
}
