// Distributions of parameters and gradients, for loggers that show them.
public import NeedletailData
public import NeedletailOptim
import NeedletailTensor

/// Gives every logger histograms of all parameters, and of their gradients, at the end of each so many epochs.
///
/// They are named `parameters/<name>` and `gradients/<name>`. Gradients are those of the epoch's last step, without the loss
/// scale and not clipped, also where they are not finite. Only TensorBoard shows them.
public final class ParameterHistograms: Callback {
    /// Histograms are made at the end of each so many epochs.
    public let everyNEpochs: Int
    /// Whether gradients are looked at too.
    public let gradients: Bool
    private var isLastBatch = false
    private var collected: [(name: String, histogram: Histogram)] = []

    /// Histograms at the end of each `everyNEpochs` epochs.
    public init(everyNEpochs: Int = 1, gradients: Bool = true) {
        require(everyNEpochs >= 1, "ParameterHistograms: everyNEpochs is \(everyNEpochs), expected at least 1")
        self.everyNEpochs = everyNEpochs
        self.gradients = gradients
    }

    public override func reset() {
        isLastBatch = false
        collected = []
    }

    /// After the module, so that what it changes at the end of the epoch is seen.
    public override var runsLast: Bool { true }

    public override func onTrainBatchStart(
        _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
    ) throws {
        isLastBatch = index + 1 == trainer.trainingBatchCount && isDue(trainer)
        collected = []
    }

    public override func onBeforeOptimizerStep(
        _ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer, _ gradients: UnscaledGradients
    ) throws {
        guard isLastBatch, self.gradients else { return }
        for parameter in optimizer.groups.flatMap(\.parameters) {
            guard let gradient = parameter.gradient else { continue }
            let histogram = Histogram(gradient, scale: gradients.check.gradientScale)
            collected.append(("gradients/" + parameter.name, histogram))
        }
    }

    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        guard isDue(trainer) else { return }
        let parameters = module.namedParameters().map { ("parameters/" + $0.name, Histogram($0.parameter.master)) }
        for logger in trainer.configuration.loggers {
            for (name, histogram) in parameters + collected {
                try logger.logHistogram(name, histogram, step: trainer.state.globalStep)
            }
        }
        collected = []
    }

    private func isDue(_ trainer: Trainer) -> Bool { (trainer.state.epoch + 1) % everyNEpochs == 0 }
}
