// Another length of accumulation windows from some epoch on.
import NeedletailTensor

/// Changes at given epochs how many batches share an update.
///
///     GradientAccumulationScheduler([0: 8, 4: 4, 8: 1])  // 8 in epochs 0 to 3, 4 in epochs 4 to 7, then 1
public final class GradientAccumulationScheduler: Callback {
    /// The epochs from which on so many batches share an update.
    public let scheduling: [Int: Int]
    private let starts: [Int]

    /// Windows of `scheduling[epoch]` batches from each of these epochs on; one batch before the first of them.
    public init(_ scheduling: [Int: Int]) {
        for (epoch, batches) in scheduling {
            require(
                epoch >= 0 && batches >= 1,
                "GradientAccumulationScheduler: found \(batches) batches from epoch \(epoch), expected at least 1 from 0 on"
            )
        }
        self.scheduling = scheduling
        starts = scheduling.keys.sorted()
    }

    /// How many batches share an update in `epoch`.
    public func batches(inEpoch epoch: Int) -> Int {
        starts.last { $0 <= epoch }.flatMap { scheduling[$0] } ?? 1
    }

    /// Throws where the trainer has windows of its own.
    public override func setup(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) throws {
        let own = trainer.configuration.accumulateGradBatches
        guard own == 1 else {
            throw TrainerError.badOption(
                name: "accumulateGradBatches", found: "\(own) beside a GradientAccumulationScheduler", expected: "1")
        }
    }
}
