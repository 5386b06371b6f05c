// Schedules in a run: what moves them, what is logged, and going on in the middle of one.
import Foundation
import Needletail
import Testing

/// A classifier with schedules.
private final class Scheduled: SmallClassifier {
    let makeSchedulers: ([Optimizer], Trainer?) throws -> [Scheduler]
    private(set) var schedulers: [Scheduler] = []
    init(_ makeSchedulers: @escaping ([Optimizer], Trainer?) throws -> [Scheduler]) {
        self.makeSchedulers = makeSchedulers
        super.init()
    }
    convenience init(_ schedule: any LearningRateSchedule, every interval: Scheduler.Interval? = nil) {
        self.init { optimizers, _ in try optimizers.map { try Scheduler(schedule, of: $0, every: interval) } }
    }
    override func configureSchedules(for optimizers: [Optimizer]) throws -> [Scheduler] {
        schedulers = try makeSchedulers(optimizers, trainer)
        return schedulers
    }
}

@Suite struct ScheduleTests {
    private func rates(_ schedule: any LearningRateSchedule, _ counts: [Int], base: Double = 1e-2) -> [Double] {
        counts.map { schedule.learningRate(base: base, after: $0) }
    }

    /// Batch 3 of 6 overflows: the rate stays where it was, in every mode. (Lightning lets it move.)
    @Test(arguments: Precision.allCases) func aSkippedStepLeavesTheRate(_ precision: Precision) throws {
        let schedule = ExponentialDecay(factor: 0.5)
        var seen: [Double] = [], tried: [Double] = []
        let logger = MemoryLogger()
        let module = Scheduled(schedule)
        let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
            $0.loggers = [logger]
            $0.logEveryNSteps = 1
            $0.callbacks = [
                AfterBatch { _, _, result, _ in
                    tried += result.learningRates
                    seen += module.schedulers[0].learningRates
                }
            ]
        }
        try trainer.fit(module, train: DataLoader(Points(96, infiniteRows: 48..<49), batchSize: 16))
        #expect(trainer.state.globalStep == 5 && trainer.state.skippedSteps == 1)
        #expect(seen == rates(schedule, [1, 2, 3, 3, 4, 5]))
        #expect(tried == rates(schedule, [0, 1, 2, 3, 3, 4]))
        #expect(logger.values(of: "lr").map(\.value) == tried)
    }

    /// Batches that only add to a window do not move it either: 7 batches in windows of 3 are 3 steps.
    @Test func onlyClosedWindowsMoveIt() throws {
        let module = Scheduled { optimizers, trainer in
            #expect(trainer?.stepsPerEpoch == 3 && trainer?.plannedSteps == 6)
            return [try Scheduler(StepDecay(every: 1, factor: 0.5), of: optimizers[0])]
        }
        var tried: [Double] = []
        try quietTrainer(maxEpochs: 2) {
            $0.accumulateGradBatches = 3
            $0.callbacks = [AfterBatch { _, _, result, _ in tried += result.learningRates }]
        }.fit(module, train: DataLoader(Points(28), batchSize: 4))
        #expect(tried == rates(StepDecay(every: 1, factor: 0.5), [0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 4, 4, 5]))
    }

    /// With two optimizers only the schedule of the one whose step was applied moves; each group is logged by its index.
    @Test func eachScheduleGoesWithItsOptimizer() throws {
        final class Pair: SmallClassifier {
            override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
                let loss = try crossEntropy(logits(batch), batch.targets)
                return optimizer == 0 && index == 1 ? loss * Double.nan : loss
            }
            override func configureOptimizers() -> [Optimizer] {
                var options = SGD.Options()
                options.learningRate = 0.2
                let groups = [ParameterGroup([hidden.weight], options), ParameterGroup([hidden.bias!], SGD.Options())]
                return [SGD(groups: groups), AdamW(head.parameters(), learningRate: 0.1)]
            }
            override func configureSchedules(for optimizers: [Optimizer]) throws -> [Scheduler] {
                // In another order than the optimizers, which is allowed.
                try optimizers.reversed().map { try Scheduler(ExponentialDecay(factor: 0.5), of: $0) }
            }
        }
        let logger = MemoryLogger()
        try quietTrainer(maxEpochs: 1) {
            $0.loggers = [logger]
            $0.logEveryNSteps = 1
        }.fit(Pair(), train: DataLoader(Points(16), batchSize: 4))
        #expect(logger.values(of: "lr-0").map(\.value) == [0.2, 0.1, 0.1, 0.05])
        #expect(logger.values(of: "lr-1").map(\.value) == [1e-3, 5e-4, 5e-4, 2.5e-4])
        #expect(logger.values(of: "lr-2").map(\.value) == [0.1, 0.05, 0.025, 0.0125])
        #expect(logger.values(of: "lr").isEmpty)
    }

    /// Without a schedule the rate is logged too, and what the module logs under the name is left alone.
    @Test func theRateIsAlwaysLoggedOnce() throws {
        final class Own: SmallClassifier {
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                log("lr", 7)
                return try super.trainingStep(batch, index)
            }
        }
        for (module, expected) in [(SmallClassifier(), 1e-2), (Own(), 7)] {
            let logger = MemoryLogger()
            try quietTrainer(maxSteps: 1) {
                $0.loggers = [logger]
                $0.logEveryNSteps = 1
            }.fit(module, train: DataLoader(Points(4), batchSize: 4))
            #expect(logger.values(of: "lr").map(\.value) == [expected])
        }
    }

    /// By epoch: an epoch whose every step was skipped does not count.
    @Test func epochsWithoutAStepDoNotCount() throws {
        final class Poisoned: TrainingModule {
            let layer: Linear
            var rates: [Double] = []
            override init() {
                var generator = SeededGenerator(seed: 1)
                layer = Linear(6, 3, using: &generator)
            }
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                let loss = try crossEntropy(layer(batch.inputs), batch.targets)
                return trainer?.state.epoch == 1 ? loss * Double.infinity : loss
            }
            override func configureOptimizers() -> [Optimizer] { [SGD(parameters(), learningRate: 0.5)] }
            override func configureSchedules(for optimizers: [Optimizer]) throws -> [Scheduler] {
                [try Scheduler(StepDecay(every: 1, factor: 0.5), of: optimizers[0], every: .epoch)]
            }
            override func onTrainBatchEnd(_ result: StepResult, _ batch: Batch, _ index: Int) {
                rates += result.learningRates
            }
        }
        let module = Poisoned()
        try quietTrainer(maxEpochs: 4).fit(module, train: DataLoader(Points(8), batchSize: 4))
        #expect(module.rates == [0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125])
    }

    /// The metric is that of the epoch, from its validation; in epochs without one nothing moves.
    @Test func plateauFollowsItsMetric() throws {
        final class EpochRates: Callback {
            var rates: [Double] = []
            override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) {
                rates += (module as! Scheduled).schedulers[0].learningRates
            }
        }
        func run(_ monitor: String, every: Int) throws -> [Double] {
            let seen = EpochRates()
            let module = Scheduled(ReduceOnPlateau(monitor: monitor, factor: 0.5, patience: 0))
            let loader = DataLoader(Points(8), batchSize: 4)
            try quietTrainer(maxEpochs: 6) {
                $0.checkValEveryNEpochs = every
                $0.callbacks = [seen, FlatMetric()]
            }.fit(module, train: loader, validation: loader)
            return seen.rates
        }
        /// Logs a metric that never changes in each validation.
        final class FlatMetric: Callback {
            override func onValidationBatchEnd(
                _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
            ) { module.log("flat", 1) }
        }
        #expect(try run("flat", every: 1) == [1, 1, 0.5, 0.25, 0.125, 0.0625].map { $0 * 1e-2 })
        // Validation after epochs 1, 3 and 5: the first is the best, the next ones reduce.
        #expect(try run("flat", every: 2) == [1, 1, 1, 1, 0.5, 0.5].map { $0 * 1e-2 })
        let error = #expect(throws: TrainerError.self) { try run("nothing", every: 1) }
        #expect(error?.description.contains("nothing") == true && error?.description.contains("val_loss") == true)
    }

    @Test func schedulesOfOtherOptimizersAreRefused() throws {
        let loader = DataLoader(Points(4), batchSize: 4)
        let twice = Scheduled { optimizers, _ in
            try [1, 2].map { try Scheduler(StepDecay(every: $0), of: optimizers[0]) }
        }
        #expect(throws: TrainerError.misplacedSchedule(1)) { try quietTrainer(maxEpochs: 1).fit(twice, train: loader) }
        let foreign = Scheduled { _, _ in [try Scheduler(StepDecay(every: 1), of: SGD([]))] }
        #expect(throws: TrainerError.misplacedSchedule(0)) {
            try quietTrainer(maxEpochs: 1).fit(foreign, train: loader)
        }
        #expect(throws: ScheduleError.self) {
            try quietTrainer(maxEpochs: 1).fit(Scheduled(StepDecay(every: 0)), train: loader)
        }
    }
}
