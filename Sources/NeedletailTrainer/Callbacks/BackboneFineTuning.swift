// Fine-tuning: the head first, then the backbone too, with a rate of its own.
import NeedletailNN
package import NeedletailOptim
import NeedletailTensor

/// Freezes a part of the model, and unfreezes it at an epoch with a learning rate of its own.
///
///     try classifier.load(from: "pretrained/last", except: ["head.*"])
///     Trainer(maxEpochs: 10) { $0.callbacks = [BackboneFineTuning("backbone.*", unfreezeAtEpoch: 5)] }
///
/// While it is frozen no gradient is formed for it, and neither its values nor its optimizer's state nor the running
/// statistics of its batch norms (each `RunningStatisticsHolder`) move. From the
/// beginning its parameters are a group of their own, whose rate a schedule moves like the others'.
public final class BackboneFineTuning: Callback {
    /// The rate with which the backbone begins.
    public enum Rate: Sendable, Equatable {
        /// So many times the rate of the group that it was in.
        case ratio(Double)
        /// This rate.
        case value(Double)
    }

    /// The names of its parameters, such as `backbone.*`.
    public let pattern: String
    /// The first epoch, from 0, in which it is trained.
    public let unfreezeAtEpoch: Int
    /// Its learning rate.
    public let rate: Rate
    /// Whether its batch norms go on with the statistics of batches while they are frozen, as PyTorch's do.
    public let tracksStatistics: Bool

    /// Freezes the parameters that `pattern` matches until `unfreezeAtEpoch`.
    public init(
        _ pattern: String = "backbone.*", unfreezeAtEpoch: Int = 10, rate: Rate = .ratio(0.1),
        tracksStatistics: Bool = false
    ) {
        require(
            unfreezeAtEpoch >= 0, "BackboneFineTuning: unfreezeAtEpoch is \(unfreezeAtEpoch), expected zero or more")
        self.pattern = pattern
        self.unfreezeAtEpoch = unfreezeAtEpoch
        self.rate = rate
        self.tracksStatistics = tracksStatistics
    }

    public override func setup(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) throws {
        guard stage == .fit else { return }
        switch rate {
        case .ratio(let value), .value(let value):
            guard value >= 0, value.isFinite else {
                throw TrainerError.badOption(
                    name: "BackboneFineTuning: the rate", found: "\(value)", expected: "a finite number, zero or more")
            }
        }
        // Unfrozen first: an optimizer made of those that train must know them all.
        do { try module.unfreeze(pattern) } catch {
            throw TrainerError.badOption(
                name: "BackboneFineTuning: the pattern", found: "'\(pattern)', which matches no parameter",
                expected: "one for some of \(PatternError.listed(error.names))")
        }
    }

    package override func configure(
        _ optimizers: [Optimizer], _ trainer: Trainer, _ module: TrainingModule
    ) throws {
        let backbone = module.namedParameters().filter { matches($0.name, pattern: pattern) }.map(\.parameter)
        let identities = Set(backbone.map { ObjectIdentifier($0) })
        for optimizer in optimizers {
            _ = optimizer.split {
                identities.contains(ObjectIdentifier($0))
            } _: { options in
                switch rate {
                case .ratio(let ratio): options.learningRate *= ratio
                case .value(let value): options.learningRate = value
                }
            }
        }
    }

    public override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) throws { try adjust(trainer, module) }

    public override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        try adjust(trainer, module)
    }

    private func adjust(_ trainer: Trainer, _ module: TrainingModule) throws {
        if trainer.state.epoch < unfreezeAtEpoch {
            try module.freeze(pattern, tracksStatistics: tracksStatistics)
        } else {
            try module.unfreeze(pattern)
        }
    }
}
