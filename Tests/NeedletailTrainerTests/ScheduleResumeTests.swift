// Going on in the middle of a schedule gives the bytes of the uninterrupted run.
import Foundation
import Needletail
import Testing

private final class Scheduled: SmallClassifier {
    let schedule: any LearningRateSchedule
    let interval: Scheduler.Interval
    var rate = 3e-3
    init(_ schedule: any LearningRateSchedule, _ interval: Scheduler.Interval) {
        self.schedule = schedule
        self.interval = interval
        super.init()
    }
    override func configureOptimizers() -> [Optimizer] {
        [AdamW(hidden.parameters(), learningRate: rate), SGD(head.parameters(), learningRate: 0.1)]
    }
    override func configureSchedules(for optimizers: [Optimizer]) throws -> [Scheduler] {
        try optimizers.map { try Scheduler(schedule, of: $0, every: interval) }
    }
}

/// Saves a checkpoint after each step, under its number.
private final class SaveEveryStep: Callback {
    let directory: String
    init(_ directory: String) { self.directory = directory }
    override var runsLast: Bool { true }
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        guard result.closesWindow else { return }
        try trainer.saveCheckpoint(to: directory + "/\(trainer.state.epoch * 3 + index / 2 + 1)")
    }
}

private let files = ["model.safetensors", "optimizer.safetensors", "state.json"]

private func differences(_ a: String, _ b: String) -> [String] {
    files.filter { bytes(a + "/" + $0).isEmpty || bytes(a + "/" + $0) != bytes(b + "/" + $0) }
}

@Suite struct ScheduleResumeTests {
    // 22 rows in batches of 4, in windows of 2: three steps an epoch, of which one is skipped for an infinite row.
    private func fit(
        _ module: Scheduled, _ root: String, _ precision: Precision, resume: ResumePoint? = nil, steps: String? = nil,
        validation interval: BatchLimit = .all
    ) throws -> Trainer {
        let trainer = quietTrainer(maxEpochs: 4, precision: precision) {
            $0.accumulateGradBatches = 2
            $0.logEveryNSteps = 1
            $0.valCheckInterval = interval
            $0.callbacks = [ModelCheckpoint(directory: root)]
            if let steps { $0.callbacks.append(SaveEveryStep(steps)) }
        }
        try trainer.fit(
            module, train: DataLoader(Points(22, infiniteRows: 5..<6), batchSize: 4, shuffle: true, seed: 3),
            validation: DataLoader(Points(7, seed: 9), batchSize: 4), resume: resume)
        return trainer
    }

    /// One-cycle moves Adam's beta1 and SGD's momentum beside the rates.
    @Test(arguments: Precision.allCases) func inTheMiddleOfOneCycle(_ precision: Precision) throws {
        try resumesEverywhere(OneCycle(steps: 9), .step, precision, count: 8)
    }

    @Test func inTheMiddleOfEpochSchedules() throws {
        var plateau = ReduceOnPlateau(monitor: "val_loss", factor: 0.5, patience: 0)
        (plateau.threshold, plateau.cooldown) = (.absolute(1), 1)  // nothing is that much better
        // Best at the first epoch, reduced at the second, cooling down at the third, reduced at the fourth.
        try resumesEverywhere(plateau, .epoch, .float32, count: 2)
        // The last batches of each epoch come after its validation, whose value the epoch's end asks for.
        try resumesEverywhere(plateau, .epoch, .float32, count: 2, validation: 4)
        try resumesEverywhere(CosineAnnealing(steps: 4), .epoch, .mixedFloat16, count: 4)
    }

    private func resumesEverywhere(
        _ schedule: any LearningRateSchedule, _ interval: Scheduler.Interval, _ precision: Precision, count: Int,
        validation: BatchLimit = .all
    ) throws {
        let directory = try TemporaryDirectory()
        let whole = try fit(
            Scheduled(schedule, interval), directory("whole"), precision, steps: directory("steps"),
            validation: validation)
        #expect(whole.state.globalStep == 8 && whole.state.skippedSteps == 8)
        let last = try Checkpoint(directory("whole/last"))
        #expect(last.schedules.map(\.count) == [count, count])
        for step in 1...12 {
            let trainer = try fit(
                Scheduled(schedule, interval), directory("resumed"), precision,
                resume: .path(directory("steps/\(step)")), validation: validation)
            #expect(trainer.notices == [])
            #expect(differences(directory("resumed/last"), directory("whole/last")) == [], "after step \(step)")
            try FileManager.default.removeItem(atPath: directory("resumed"))
        }
    }

    /// The options of the optimizer are kept as given, the schedule's place beside them.
    @Test func theCheckpointKeepsOwnRatesAndTheCount() throws {
        let directory = try TemporaryDirectory()
        _ = try fit(Scheduled(OneCycle(steps: 9), .step), directory("a"), .float32)
        let checkpoint = try Checkpoint(directory("a/last"))
        #expect(checkpoint.optimizers[0].groups[0].text.contains("\"learningRate\":0.003"))
        #expect(checkpoint.optimizers[0].groups[0].text.contains("\"beta1\":0.9,"))
        #expect(checkpoint.schedules[0].schedule.hasPrefix("OneCycle(steps: 9") && checkpoint.schedules[0].count == 8)
        #expect(checkpoint.schedules[0].interval == .step && checkpoint.schedules[1].optimizer == 1)
    }

    /// Another kind of schedule, or none, is refused; other options of the same kind, and other rates, are said.
    @Test func otherSchedulesAreRefusedAndOtherOptionsAreSaid() throws {
        let directory = try TemporaryDirectory()
        _ = try fit(Scheduled(CosineAnnealing(steps: 20), .step), directory("a"), .float32, steps: directory("steps"))
        let point = ResumePoint.path(directory("steps/5"))
        for (schedule, interval) in [(ExponentialDecay(factor: 0.5), .step), (CosineAnnealing(steps: 20), .epoch)]
            as [(any LearningRateSchedule, Scheduler.Interval)]
        {
            let error = #expect(throws: CheckpointError.self) {
                try fit(Scheduled(schedule, interval), directory("b"), .float32, resume: point)
            }
            #expect(error?.description.contains("CosineAnnealing by step of optimizer 0") == true)
        }
        let error = #expect(throws: CheckpointError.self) {
            let plain = SmallClassifier()
            plain.makeOptimizers = { [AdamW($0.hidden.parameters()), SGD($0.head.parameters())] }
            try quietTrainer(maxEpochs: 1).fit(
                plain, train: DataLoader(Points(22), batchSize: 4), resume: .path(directory("a/last")))
        }
        #expect(error?.description.contains("the module has none") == true)

        let longer = Scheduled(CosineAnnealing(steps: 40), .step)
        longer.rate = 1
        let trainer = try fit(longer, directory("c"), .float32, resume: point)
        #expect(trainer.notices.count == 3)
        #expect(trainer.notices.contains { $0.contains("optimizer 0 goes on with the options") })
        #expect(trainer.notices.contains { $0.contains("CosineAnnealing(steps: 40") && $0.contains("steps: 20") })
        // The own rate is the checkpoint's, the schedule the one given; the last step may be the skipped one.
        let applied = trainer.state.globalStep
        let possible = [applied - 1, applied].map { longer.schedule.learningRate(base: 3e-3, after: $0) }
        #expect(possible.contains(trainer.metrics["lr-0"] ?? .nan))
    }
}
