// Statements: the names that they use are this function's arguments.
import Foundation
import Needletail
import NeedletailTensorBoard

private func fragment(
    classifier: Classifier, module: TrainingModule, model: Module, trainer: Trainer,
    train: DataLoader, validation: DataLoader, test: DataLoader,
    clean: DataLoader, noisy: DataLoader,
    optimizer: Optimizer, a: Tensor, b: Tensor, loss: Tensor, check: GradientCheck, scaler: inout LossScaler,
    generator: inout SeededGenerator, g: inout SeededGenerator, path: String
) throws {
    // fragment
}
