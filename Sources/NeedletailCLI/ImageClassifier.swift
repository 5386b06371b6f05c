// The module that the command trains: a network for images with its loss, metrics and optimizer.
import Needletail

/// The images that a model takes, and how their bytes become its input: (byte / maximum - mean) / deviation.
struct ImageFormat: Codable, Equatable {
    var height: Int
    var width: Int
    var classes: Int
    var maximum: Double
    var mean: Double
    var deviation: Double

    init(_ data: ImageDataset) {
        height = data.imageShape[0]
        width = data.imageShape.dropFirst().reduce(1, *)
        classes = data.classCount
        (maximum, mean, deviation) = (data.maximum, data.mean, data.deviation)
    }
}

/// What is needed to build the model again; kept in checkpoints as hyper-parameters.
struct ClassifierConfiguration: Codable, Equatable {
    /// The name of the data it was trained on, for people.
    var data: String
    var images: ImageFormat
    /// nil for the perceptron, as in checkpoints that are older than the choice.
    var model: ImageModel?
    /// Of the perceptron.
    var hidden: [Int]
    var optimizer: OptimizerChoice
    var learningRate: Double
    /// nil for a learning rate that stays.
    var schedule: ScheduleConfiguration?

    /// Lengths of the rows that enter each layer, and of the one that leaves the last.
    var sizes: [Int] { [images.height * images.width] + hidden + [images.classes] }

    /// What is wrong with values that come from a file; nil where a model can be built from them.
    var problem: String? {
        let sides = [("height", images.height), ("width", images.width), ("classes", images.classes)]
        let most = Int(Int32.max)
        for (name, value) in sides + hidden.map({ ("a hidden layer", $0) }) where !(1...most).contains(value) {
            return "the hyper-parameters give \(name) the size \(value), expected 1 to \(most)"
        }
        guard images.height * images.width <= most, parameterCount <= Double(most) else {
            return "the hyper-parameters describe more than \(most) pixels or parameters"
        }
        if model == .cnn, min(images.height, images.width) < ConvolutionalNetwork.leastSide {
            return "the model cnn takes images of at least \(ConvolutionalNetwork.leastSide) x "
                + "\(ConvolutionalNetwork.leastSide) pixels, found \(images.height) x \(images.width)"
        }
        guard images.maximum > 0, images.deviation > 0, (images.maximum + images.deviation + images.mean).isFinite
        else {
            return "the hyper-parameters scale pixels by (\(images.maximum), \(images.mean), \(images.deviation)), "
                + "expected finite numbers, the first and the last above zero"
        }
        return nil
    }

    /// Weights and biases, as a number that cannot overflow.
    var parameterCount: Double {
        // Only the first linear layer's size of the other models is a number from outside.
        guard (model ?? .mlp) == .mlp else { return 33 * Double(images.height * images.width) * 64 + 1e5 }
        return zip(sizes, sizes.dropFirst()).reduce(0) { $0 + (Double($1.0) + 1) * Double($1.1) }
    }

    /// Names and shapes of the model's parameters.
    var parameterShapes: [(name: String, shape: [Int])] { (model ?? .mlp).parameterShapes(self) }
}

/// A network for images, trained with cross-entropy (log-softmax and negative log-likelihood, fused).
///
/// Its parameters have the network's own names, as if its layers were this module's.
final class ImageClassifier: TrainingModule {
    let configuration: ClassifierConfiguration
    private let network: any ImageNetwork

    init(_ configuration: ClassifierConfiguration, using generator: inout SeededGenerator) throws {
        self.configuration = configuration
        network = (configuration.model ?? .mlp).network(configuration, using: &generator)
        super.init()
        guard case .object(let members) = try JSONValue(encoding: configuration) else { return }
        hyperparameters = members
    }

    override func members() -> [ModuleMember] { network.members() }

    func logits(_ batch: Batch) -> Tensor { network.forward(batch.inputs) }

    /// One image of zeros.
    override var exampleInputs: Tensor? {
        Tensor.zeros([1, configuration.images.height, configuration.images.width])
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let loss = try crossEntropy(logits(batch), batch.targets)
        log("train_loss", loss, onStep: true, onEpoch: true, progressBar: true)
        return loss
    }

    override func validationStep(_ batch: Batch, _ index: Int) throws { try evaluate(batch, prefix: "validation") }

    override func testStep(_ batch: Batch, _ index: Int) throws { try evaluate(batch, prefix: "test") }

    private func evaluate(_ batch: Batch, prefix: String) throws {
        let logits = logits(batch)
        log("\(prefix)_loss", try crossEntropy(logits, batch.targets), progressBar: true)
        let correct = zip(logits.argmax(axis: 1).scalars(as: Int64.self), batch.targets.scalars(as: Int64.self))
            .count { $0 == $1 }
        log("\(prefix)_accuracy", Double(correct) / Double(batch.count), progressBar: true)
    }

    /// The probabilities of the classes, float32 [n, classes].
    override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        logits(batch).logSoftmax(axis: 1).exp()
    }

    override func configureOptimizers() -> [Optimizer] {
        let optimizer = configuration.optimizer.make(parameters())
        optimizer.learningRate = configuration.learningRate
        return [optimizer]
    }

    override func configureSchedules(for optimizers: [Optimizer]) throws -> [Scheduler] {
        guard let configured = configuration.schedule, let trainer else { return [] }
        let epochs = trainer.configuration.maxEpochs ?? 1
        return try optimizers.map { optimizer in
            let hasMomentum = optimizer.groups.allSatisfy { $0.options is any MomentumOptions }
            let steps = epochs * trainer.stepsPerEpoch
            return try Scheduler(configured.schedule(planned: steps, hasMomentum: hasMomentum), of: optimizer)
        }
    }
}
