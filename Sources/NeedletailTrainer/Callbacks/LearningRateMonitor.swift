// Learning rates, momentum and weight decay by optimizer and group, as metrics.
public import NeedletailData
import NeedletailOptim

/// Logs the learning rate of every group under the name of its optimizer: `lr-Adam`, with several groups `lr-Adam/pg1`, …,
/// with several optimizers of a class `lr-Adam-1`, …, as Lightning names them.
///
/// The trainer itself logs `lr` (`lr-0`, `lr-1`, …) with each step's metrics; this is for other intervals, and for momentum
/// (`lr-SGD-momentum`: momentum, or beta1) and weight decay (`lr-SGD-weight_decay`).
public final class LearningRateMonitor: Callback {
    /// When values are logged.
    public enum Interval: Sendable {
        /// With each step that is logged.
        case step
        /// At the end of each epoch, the value of its last step.
        case epoch
    }

    private let interval: Interval
    private let logsMomentum: Bool, logsWeightDecay: Bool
    private var rates: [Double] = []

    /// A monitor of learning rates, and of what else is asked for.
    public init(_ interval: Interval = .step, momentum: Bool = false, weightDecay: Bool = false) {
        self.interval = interval
        (logsMomentum, logsWeightDecay) = (momentum, weightDecay)
    }

    public override func reset() { rates = [] }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        rates = result.learningRates
        if interval == .step, result.closesWindow { log(trainer, module) }
    }

    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        if interval == .epoch { log(trainer, module) }
    }

    private func log(_ trainer: Trainer, _ module: TrainingModule) {
        let optimizers = trainer.step?.slots.map(\.optimizer) ?? []
        var rate = rates.makeIterator()
        func log(_ name: String, _ value: Double) {
            module.log(name, value, onStep: interval == .step, onEpoch: interval == .epoch)
        }
        for (index, optimizer) in optimizers.enumerated() {
            let name = String(describing: type(of: optimizer))
            let same = optimizers.indices.filter { String(describing: type(of: optimizers[$0])) == name }
            let number = same.count > 1 ? "-\((same.firstIndex(of: index) ?? 0) + 1)" : ""
            for (group, options) in optimizer.groups.map(\.options).enumerated() {
                let part = optimizer.groups.count > 1 ? "/pg\(group + 1)" : ""
                let stem = "lr-" + name + number
                log(stem + part, rate.next() ?? options.learningRate)
                if logsMomentum, let momentum = (options as? any MomentumOptions)?.momentum {
                    log(stem + "-momentum" + part, momentum)
                }
                if logsWeightDecay { log(stem + "-weight_decay" + part, options.weightDecay) }
            }
        }
    }
}
