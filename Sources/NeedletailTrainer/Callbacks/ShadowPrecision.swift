// Runs some batches in float32 too, and measures how far the precision of the run is from it.
public import NeedletailData
import NeedletailNN
public import NeedletailOptim
public import NeedletailTensor

/// Repeats every k-th step in float32, with the same weights, inputs and dropout masks, and compares loss and gradients.
///
/// Logged to the trainer's loggers, and kept in ``results``, with l and g the run's loss and gradients and l', g' float32's:
///
/// ```text
/// shadow/loss_difference = |l - l'| / |l'|      shadow/gradient_error = ‖g - g'‖ / ‖g'‖
/// ```
///
/// Both norms are over all parameters of all optimizers. Gradients are without the loss scale and not clipped; of a window
/// of accumulated batches they are those of its mean loss. The run's bits stay what they would be without it; its metrics
/// are not part of checkpoints. Inputs are those of the batch, which the loader has rounded to the run's type already.
///
/// `trainingStep` is called twice for a batch: buffers, generators, what the module saves in checkpoints and what it logs are
/// put back, other stored properties that it changes are changed twice. A step costs one more in float32 and a copy of all
/// weights, and of all gradients in float64.
public final class ShadowPrecision: Callback {
    /// One comparison.
    public struct Result: Sendable, Equatable {
        /// The steps applied when it was logged.
        public let step: Int
        /// |l - l'| / |l'|, the losses those of the last optimizer where there are several.
        public let lossDifference: Double
        /// ‖g - g'‖ / ‖g'‖; infinite where the run's gradients are not finite.
        public let gradientError: Double
        /// The same for the parameters of each layer, by the layer's dotted name, in the optimizers' order.
        public let layers: [Layer]

        /// One layer's part.
        public struct Layer: Sendable, Equatable {
            /// The dotted name; empty for parameters that the model holds itself.
            public let name: String
            /// ‖g - g'‖ / ‖g'‖ over the layer's parameters.
            public let gradientError: Double
        }

        /// The layer whose gradients are furthest from float32's, the first of equal ones.
        public var worstLayer: Layer? {
            layers.reduce(nil) { worst, layer in
                guard let worst, !(layer.gradientError > worst.gradientError) else { return layer }
                return worst
            }
        }
    }

    /// One of so many steps is compared, beginning with the first; skipped steps count.
    public let every: Int
    /// Every comparison of the last or running fit.
    public var results: [Result] { comparison.results }
    private var comparison = Comparison()

    /// What belongs to one fit.
    private struct Comparison {
        var results: [Result] = []
        var steps = 0
        var isRunning = false
        var window = Window()
        var weight = 0.0
    }

    /// Compares one of so many steps.
    public init(every: Int = 100) {
        require(every >= 1, "ShadowPrecision: every is \(every), expected at least 1")
        self.every = every
    }

    public override func reset() { comparison = Comparison() }

    public override func onTrainBatchStart(
        _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
    ) throws {
        comparison.isRunning = comparison.steps % every == 0
        trainer.step?.keepsOwnState = comparison.isRunning
        guard comparison.isRunning else { return }
        comparison.weight = module.lossWeight(of: batch)
    }

    /// The forward pass of one optimizer is done: here the weights are still those that it had.
    public override func onBeforeBackward(_ trainer: Trainer, _ module: TrainingModule, _ loss: Tensor) throws {
        guard comparison.isRunning, let step = trainer.step, let running = step.running else { return }
        let slot = step.runningSlot
        let shadow = try run(module, running, step, step.slots[slot])
        var sums = comparison.window.losses[slot] ?? (0, 0, 0)
        sums.run += comparison.weight * loss.item()
        sums.shadow += comparison.weight * shadow
        sums.weights += comparison.weight
        comparison.window.losses[slot] = sums
    }

    public override func onBeforeOptimizerStep(
        _ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer, _ gradients: UnscaledGradients
    ) throws {
        guard comparison.isRunning, let slot = trainer.step?.slots.first(where: { $0.optimizer === optimizer })?.index,
            let weights = comparison.window.losses[slot]?.weights
        else { return }
        for parameter in optimizer.parameters {
            guard let sum = comparison.window.gradients.removeValue(forKey: ObjectIdentifier(parameter)) else {
                continue
            }
            comparison.window.compare(gradients[parameter], sum, weights: weights, of: parameter.name)
        }
        if !gradients.check.isFinite { comparison.window.isFinite = false }
    }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        guard result.closesWindow else { return }
        comparison.steps += 1
        guard comparison.isRunning else { return }
        defer { comparison.window = Window() }
        guard let compared = comparison.window.result(step: trainer.state.globalStep) else { return }
        comparison.results.append(compared)
        // Not through the trainer's metrics, which checkpoints keep: they must be those of a run without this callback.
        let record = MetricsRecord(
            event: .step, epoch: trainer.state.epoch, step: compared.step,
            values: [
                ("shadow/loss_difference", compared.lossDifference), ("shadow/gradient_error", compared.gradientError),
            ])
        for logger in trainer.configuration.loggers { try logger.log(record) }
    }

    public override func teardown(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) {
        comparison.isRunning = false
        comparison.window = Window()
    }

    /// Runs the batch's step for the current optimizer in float32, with buffers, generators and the module's own state as the
    /// run's own forward pass had them; adds its gradients to the window's, and leaves the module as it was. Returns the loss.
    private func run(
        _ module: TrainingModule, _ batch: ReplayableBatch, _ step: TrainingStep, _ slot: OptimizerSlot
    ) throws -> Double {
        try module.measured { state in
            for parameter in state.parameters { parameter.setTypes(storage: .float32, compute: .float32) }
            batch.before.restore()
            try step.ownState?.restore(module, module.trainer?.data)
            var upcast = batch.batch
            if upcast.inputs.dtype.isFloatingPoint { upcast.inputs = upcast.inputs.cast(to: .float32) }
            let repeated = upcast
            // Before the run's own backward pass: what ends that one ends this one first.
            let loss = try guarding(repeated, batch.index, of: Stage.fit.noun) {
                let loss = try module.trainingStep(repeated, batch.index, optimizer: slot.index)
                try step.check(loss, slot)
                try step.checkGraph(of: loss, slot)
                loss.backward()
                return loss
            }
            withoutGradients {
                for parameter in state.parameters where parameter.requiresGradient {
                    guard let gradient = parameter.gradient else { continue }
                    let term = gradient.cast(to: .float64) * comparison.weight
                    let key = ObjectIdentifier(parameter)
                    comparison.window.gradients[key] = comparison.window.gradients[key].map { $0 + term } ?? term
                }
            }
            return loss.item()
        }
    }
}

/// What is summed over the batches of one step.
private struct Window {
    /// Σ w l, the run's and float32's, and Σ w of each optimizer for which a batch counted.
    var losses: [Int: (run: Double, shadow: Double, weights: Double)] = [:]
    /// Σ w g' by parameter, float64.
    var gradients: [ObjectIdentifier: Tensor] = [:]
    var isFinite = true
    /// Squared norms of g - g' and of g', by layer in the order in which they came.
    private var layers: [(name: String, difference: Double, norm: Double)] = []

    /// Adds one parameter: its gradient g, none where backward did not reach it, and Σ w g' with Σ w.
    mutating func compare(_ gradient: Tensor?, _ sum: Tensor, weights: Double, of parameter: String) {
        let (difference, norm) = withoutGradients {
            let shadow = sum / weights
            let run = gradient?.cast(to: .float64) ?? Tensor.zeros(sum.shape, dtype: .float64)
            return (finiteCheck(run - shadow).sumOfSquares, finiteCheck(shadow).sumOfSquares)
        }
        let name = parameter.lastIndex(of: ".").map { String(parameter[..<$0]) } ?? ""
        if let index = layers.firstIndex(where: { $0.name == name }) {
            layers[index].difference += difference
            layers[index].norm += norm
        } else {
            layers.append((name, difference, norm))
        }
    }

    /// The comparison; nil where no batch counted.
    func result(step: Int) -> ShadowPrecision.Result? {
        guard let loss = losses.max(by: { $0.key < $1.key })?.value else { return nil }
        let difference = layers.reduce(0) { $0 + $1.difference }
        let norm = layers.reduce(0) { $0 + $1.norm }
        return ShadowPrecision.Result(
            step: step, lossDifference: relative(abs(loss.run - loss.shadow), to: abs(loss.shadow)),
            gradientError: isFinite ? relative(difference.squareRoot(), to: norm.squareRoot()) : .infinity,
            layers: layers.map { layer in
                .init(
                    name: layer.name,
                    gradientError: relative(layer.difference.squareRoot(), to: layer.norm.squareRoot()))
            })
    }

    /// a / b, where 0 / 0 is no difference and what is not a number an infinite one.
    private func relative(_ a: Double, to b: Double) -> Double {
        if a == 0 { return b.isNaN ? .infinity : 0 }
        let ratio = a / b
        return ratio.isNaN ? .infinity : ratio
    }
}
