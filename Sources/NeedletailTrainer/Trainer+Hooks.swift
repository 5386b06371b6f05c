// The hooks that are called from within the training step.
import NeedletailOptim
import NeedletailTensor

/// What the training step calls between its stages, and the counters that it moves.
protocol TrainingHooks: AnyObject {
    var state: TrainerState { get set }
    func beforeZeroGrad(_ optimizer: Optimizer) throws
    func beforeBackward(_ loss: Tensor) throws
    func afterBackward() throws
    func beforeOptimizerStep(_ optimizer: Optimizer, _ gradients: UnscaledGradients) throws
}

extension Trainer: TrainingHooks {
    func beforeZeroGrad(_ optimizer: Optimizer) throws {
        guard let module else { return }
        try each({ try $0.onBeforeZeroGrad(self, module, optimizer) }, { try module.onBeforeZeroGrad(optimizer) })
    }

    func beforeBackward(_ loss: Tensor) throws {
        guard let module else { return }
        try each({ try $0.onBeforeBackward(self, module, loss) }, { try module.onBeforeBackward(loss) })
    }

    func afterBackward() throws {
        guard let module else { return }
        try each({ try $0.onAfterBackward(self, module) }, { try module.onAfterBackward() })
    }

    func beforeOptimizerStep(_ optimizer: Optimizer, _ gradients: UnscaledGradients) throws {
        guard let module else { return }
        try each(
            { try $0.onBeforeOptimizerStep(self, module, optimizer, gradients) },
            { try module.onBeforeOptimizerStep(optimizer, gradients) })
    }
}
