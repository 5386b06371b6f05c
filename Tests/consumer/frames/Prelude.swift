// What the fragments of the pages and of doc comments speak of without declaring it.
import Needletail

/// A classifier with a backbone and a head, which knows itself from a checkpoint.
final class Classifier: TrainingModule, HyperparameterInitializable {
    let backbone: Linear
    let head: Linear

    init(using generator: inout SeededGenerator) {
        backbone = Linear(64, 128, activation: .relu, using: &generator)
        head = Linear(128, 10, using: &generator)
    }
    convenience init(hyperparameters: [String: JSONValue]) throws {
        var generator = SeededGenerator(seed: 1)
        self.init(using: &generator)
    }
}

/// A data module of digits.
final class DigitsData: DataModule {}
