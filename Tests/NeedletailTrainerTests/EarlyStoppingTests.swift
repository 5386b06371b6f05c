import Foundation
import Needletail
import Testing

@Suite struct EarlyStoppingTests {
    /// The epoch in which a run over the script ends, and why.
    private func run(
        _ script: [Double], _ stopping: EarlyStopping, precision: Precision = .float32,
        _ configure: (inout TrainerConfiguration) -> Void = { _ in }
    ) throws -> (epochs: Int, reason: String?) {
        let trainer = quietTrainer(maxEpochs: script.count, precision: precision) {
            $0.callbacks = [stopping]
            configure(&$0)
        }
        let (train, validation) = scriptedLoaders()
        try trainer.fit(ScriptedMetrics(script), train: train, validation: validation)
        return (trainer.state.epoch, stopping.reason)
    }

    /// Lightning 2.6.6 ends after the same epochs: 0-based `stopped_epoch` + 1.
    @Test func patienceCountsLooksWithoutABetterValue() throws {
        let script = [5.0, 4, 4.5, 4.2, 4.1, 3, 3.5, 3.4]
        #expect(try run(script, EarlyStopping(monitor: "val", patience: 3)).epochs == 5)
        #expect(try run(script, EarlyStopping(monitor: "val", patience: 4)).epochs == 8)
        #expect(try run(script, EarlyStopping(monitor: "val", patience: 1)).epochs == 3)
        #expect(try run(script, EarlyStopping(monitor: "val", mode: .max, patience: 2)).epochs == 3)
        #expect(try run(script.map { -$0 }, EarlyStopping(monitor: "val", mode: .max, patience: 3)).epochs == 5)
        // A change of exactly minDelta does not count.
        #expect(try run([5, 4, 4.5, 4.5], EarlyStopping(monitor: "val", minDelta: 1, patience: 2)).epochs == 3)
        #expect(try run([5, 4, 4.5, 4.5], EarlyStopping(monitor: "val", minDelta: 0.99, patience: 2)).epochs == 4)
        let reason = try run(script, EarlyStopping(monitor: "val", patience: 3)).reason
        #expect(reason == "val has not been better than 4.0 for 3 looks")
    }

    private typealias Thresholds = EarlyStopping.Thresholds

    private func epochs(_ script: [Double], _ thresholds: Thresholds, _ mode: MonitorMode = .min) throws -> Int {
        let stopping = EarlyStopping(monitor: "val", mode: mode, patience: 9, thresholds: thresholds)
        let (epochs, _) = try run(script, stopping, precision: .float32) { _ in }
        return epochs
    }

    @Test func thresholdsAndNonFiniteValuesEndTraining() throws {
        #expect(try epochs([5, 2, 1, 0], Thresholds(stopping: 1)) == 3)
        #expect(try epochs([5, 6, 11, 0], Thresholds(divergence: 10)) == 3)
        #expect(try epochs([5, 10, 4, 0], Thresholds(divergence: 10)) == 4, "at the threshold it has not diverged")
        #expect(try epochs([0, 0.8, 0.95, 0.5], Thresholds(stopping: 0.9), .max) == 3)
        #expect(try epochs([0.5, 0.05, 1], Thresholds(divergence: 0.1), .max) == 2)
        for value in [Double.nan, .infinity, -.infinity] {
            #expect(try epochs([5, value, 4], Thresholds()) == 2)
            #expect(try epochs([5, value, 4], Thresholds(checkFinite: false)) == 3)
        }
    }

    /// A value that is not finite is never the best, also not the first: patience counts, and each finite one is better.
    @Test(arguments: [Double.nan, .infinity, -.infinity], [MonitorMode.min, .max])
    func aValueThatIsNotFiniteIsNeverTheBest(_ value: Double, _ mode: MonitorMode) throws {
        func fit(_ script: [Double], patience: Int) throws -> (EarlyStopping, Int) {
            let stopping = EarlyStopping(
                monitor: "val", mode: mode, patience: patience, thresholds: Thresholds(checkFinite: false))
            return (stopping, try run(script, stopping, precision: .float32) { _ in }.epochs)
        }
        let (alone, epochs) = try fit([value, value, value, 1], patience: 3)
        #expect(epochs == 3 && alone.best == nil && alone.reason == "val has not been finite for 3 looks")
        let (first, _) = try fit([value, 3, value], patience: 9)
        #expect(first.best == 3 && first.waited == 1)
        let (later, all) = try fit([value, 3, mode == .min ? 2 : 4, value], patience: 2)
        #expect(later.best == (mode == .min ? 2 : 4) && all == 4)
        // A checkpoint of an older version may have such a best.
        let resumed = EarlyStopping(monitor: "val", mode: mode)
        try resumed.loadState(["best": .number(value), "waited": 1])
        #expect(resumed.best == nil && resumed.waited == 1)
        // The best checkpoint, by the same rule.
        let directory = try TemporaryDirectory()
        let checkpoint = ModelCheckpoint(directory: directory.path, monitor: "val", mode: mode)
        let trainer = quietTrainer(maxEpochs: 3) { $0.callbacks = [checkpoint] }
        let (train, validation) = scriptedLoaders()
        try trainer.fit(ScriptedMetrics([value, 3, value]), train: train, validation: validation)
        #expect(checkpoint.bestValue == 3 && trainer.bestCheckpoint == directory("best"))
        #expect(try Checkpoint(directory("best")).state.epoch == 2)
    }

    /// A metric of training is looked at when the epoch ends; between batches a validation is looked at at once; one that is
    /// never logged is an error.
    @Test func whereItLooks() throws {
        #expect(try run([5, 6, 7, 8], EarlyStopping(monitor: "train", patience: 2)).epochs == 3)
        let trainer = quietTrainer(maxEpochs: 4) {
            $0.valCheckInterval = 1
            $0.callbacks = [EarlyStopping(monitor: "val", patience: 1)]
        }
        let (train, validation) = scriptedLoaders()
        try trainer.fit(ScriptedMetrics([5, 4, 6, 0, 0]), train: train, validation: validation)
        #expect(trainer.state.epoch == 1 && trainer.state.batchInEpoch == 1, "the third validation is in mid-epoch")
        let error = #expect(throws: TrainerError.self) { try run([1, 2], EarlyStopping(monitor: "nothing")) }
        #expect(error?.description.contains("'nothing'") == true)
        // Validation in every second epoch: it waits for it.
        #expect(
            try run([5, 6, 7, 8, 9, 9], EarlyStopping(monitor: "val", patience: 1)) { $0.checkValEveryNEpochs = 2 }
                .epochs == 4)
    }

    /// A resumed run counts on, in every precision.
    @Test(arguments: Precision.allCases) func aResumedRunCountsOn(_ precision: Precision) throws {
        let directory = try TemporaryDirectory()
        let script = [5.0, 4, 4.5, 4.2, 4.1, 3]
        func fit(_ epochs: Int, _ resume: ResumePoint?) throws -> (Int, EarlyStopping) {
            let stopping = EarlyStopping(monitor: "val", patience: 3)
            let trainer = quietTrainer(maxEpochs: epochs, precision: precision) {
                $0.callbacks = [ModelCheckpoint(directory: directory.path), stopping]
            }
            let (train, validation) = scriptedLoaders()
            try trainer.fit(ScriptedMetrics(script), train: train, validation: validation, resume: resume)
            return (trainer.state.epoch, stopping)
        }
        #expect(try fit(4, nil).1.waited == 2)
        let (epochs, stopping) = try fit(6, .last)
        #expect(epochs == 5 && stopping.waited == 3 && stopping.stoppedEpoch == 4)
    }
}
