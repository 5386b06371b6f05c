// What stands for a trainer's hooks where none are called.
import NeedletailOptim
import NeedletailTensor

/// Counters of steps that do not count, and no hooks.
final class NoHooks: TrainingHooks {
    var state = TrainerState()
    func beforeZeroGrad(_ optimizer: Optimizer) {}
    func beforeBackward(_ loss: Tensor) {}
    func afterBackward() {}
    func beforeOptimizerStep(_ optimizer: Optimizer, _ gradients: UnscaledGradients) {}
}
