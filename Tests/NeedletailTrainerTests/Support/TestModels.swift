// Small data and small models that the trainer's tests run.
import Foundation
import Needletail

/// Rows of floats with class labels; chosen rows can be made infinite.
struct Points: Dataset {
    let features: Int
    let inputs: [Float]
    let labels: [Int64]
    var count: Int { labels.count }

    /// `count` rows of three Gaussian classes, from a seed.
    init(_ count: Int, features: Int = 6, seed: UInt64 = 7, infiniteRows: Range<Int> = 0..<0) {
        var generator = SeededGenerator(seed: seed)
        var inputs: [Float] = []
        var labels: [Int64] = []
        for row in 0..<count {
            let label = row % 3
            for column in 0..<features {
                let centre: Double = column % 3 == label ? 1 : 0
                inputs.append(infiniteRows.contains(row) ? .infinity : Float(centre + 0.5 * generator.nextNormal()))
            }
            labels.append(Int64(label))
        }
        self.features = features
        self.inputs = inputs
        self.labels = labels
    }

    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        let rows = indices.flatMap { inputs[$0 * features..<($0 + 1) * features] }
        return Batch(
            inputs: Tensor(rows, shape: [indices.count, features]).cast(to: dtype),
            targets: Tensor(indices.map { labels[$0] }, shape: [indices.count]))
    }
}

/// 6 -> 8 -> 3, unless told otherwise, with ReLU and dropout.
class SmallClassifier: TrainingModule {
    let hidden: Linear
    let drop: Dropout
    let head: Linear
    var makeOptimizers: (SmallClassifier) -> [Optimizer] = { [Adam($0.parameters(), learningRate: 1e-2)] }

    init(seed: UInt64 = 1, features: Int = 6, width: Int = 8, dropout: Double = 0.25, classes: Int = 3) {
        var generator = SeededGenerator(seed: seed)
        hidden = Linear(features, width, activation: .relu, using: &generator)
        drop = Dropout(dropout, using: &generator)
        head = Linear(width, classes, using: &generator)
        super.init()
        hyperparameters = ["width": .integer(Int64(width))]
    }

    func logits(_ batch: Batch) -> Tensor { head(drop(hidden(batch.inputs))) }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let loss = try crossEntropy(logits(batch), batch.targets)
        log("train_loss", loss, onStep: true, onEpoch: true, progressBar: true)
        return loss
    }

    override func validationStep(_ batch: Batch, _ index: Int) throws {
        log("val_loss", try crossEntropy(logits(batch), batch.targets), progressBar: true)
    }

    override func testStep(_ batch: Batch, _ index: Int) throws {
        log("test_loss", try crossEntropy(logits(batch), batch.targets))
    }

    override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor { logits(batch) }

    override func configureOptimizers() -> [Optimizer] { makeOptimizers(self) }
}

/// One linear layer of softmax regression whose loss counts unignored targets only.
class Regression: TrainingModule {
    let layer: Linear
    let learningRate: Double

    init(features: Int = 6, learningRate: Double, seed: UInt64 = 3) {
        var generator = SeededGenerator(seed: seed)
        layer = Linear(features, 3, using: &generator)
        self.learningRate = learningRate
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        try crossEntropy(layer(batch.inputs), batch.targets)
    }

    override func configureOptimizers() -> [Optimizer] { [SGD(parameters(), learningRate: learningRate)] }
}

/// A trainer that prints nothing.
func quietTrainer(
    maxEpochs: Int? = nil, maxSteps: Int? = nil, precision: Precision = .float32,
    _ configure: (inout TrainerConfiguration) -> Void = { _ in }
) -> Trainer {
    Trainer(maxEpochs: maxEpochs, maxSteps: maxSteps, precision: precision) {
        $0.enableProgressBar = false
        $0.enableModelSummary = false
        configure(&$0)
    }
}

extension Module {
    /// The stored bits of all parameters.
    var bits: [[UInt8]] { parameters().map(\.master.bytes) }
}

/// A directory that is removed when the value goes.
final class TemporaryDirectory {
    let path = NSTemporaryDirectory() + "/needletail-" + UUID().uuidString

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A path within the directory.
    func callAsFunction(_ name: String) -> String { path + "/" + name }

    /// The names in a directory within, hidden ones too, sorted.
    func names(in folder: String = "") -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path + "/" + folder)) ?? []).sorted()
    }
}

/// The bytes of a file; empty where there is none.
func bytes(_ path: String) -> [UInt8] { (try? Data(contentsOf: URL(fileURLWithPath: path))).map { [UInt8]($0) } ?? [] }

/// The text of a file.
func text(_ path: String) -> String { String(decoding: bytes(path), as: UTF8.self) }
