// What trial steps need so that they leave no trace.
import NeedletailNN
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

/// A module's parameters and gradients, buffers, random states, own state and modes, to be put back after trial steps.
struct ModuleMoment {
    private let parameters: [(parameter: Parameter, state: Parameter.State, requiresGradient: Bool)]
    private let buffers: [(buffer: Buffer, value: Tensor)]
    private let random: [String: SeededGenerator]
    private let modes: [(module: Module, isTraining: Bool)]
    private var own: [String: JSONValue] = [:]

    init(_ module: TrainingModule) throws {
        parameters = module.parameters().map { ($0, $0.state, $0.requiresGradient) }
        buffers = module.namedBuffers().map { ($0.buffer, $0.buffer.value) }
        random = module.randomStates()
        modes = module.namedModules().map { ($0.module, $0.module.isTraining) }
        try module.onSaveCheckpoint(&own)
    }

    func restore(_ module: TrainingModule) throws {
        for (parameter, state, requiresGradient) in parameters {
            parameter.state = state
            parameter.requiresGradient = requiresGradient
        }
        for (buffer, value) in buffers { try buffer.assign(value) }
        try module.setRandomStates(random)
        for (module, isTraining) in modes { module.train(isTraining) }  // parents first, children have the last word
        try module.onLoadCheckpoint(own)
    }
}
