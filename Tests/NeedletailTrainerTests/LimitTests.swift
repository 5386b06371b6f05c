import Needletail
import Testing

/// Which batches run, in which order, under the options that limit them.
@Suite struct LimitTests {
    /// Five training and three validation batches.
    private func fit(
        _ module: RecordingClassifier = RecordingClassifier(), epochs: Int? = 1,
        _ configure: (inout TrainerConfiguration) -> Void
    ) throws -> String {
        try quietTrainer(maxEpochs: epochs) {
            $0.numSanityValSteps = 0
            configure(&$0)
        }.fit(
            module, train: DataLoader(Points(20), batchSize: 4, shuffle: true),
            validation: DataLoader(Points(12), batchSize: 4))
        return module.line
    }

    @Test func batchesAreLimitedByCountAndByShare() throws {
        #expect(try fit { $0.limitTrainBatches = 2 } == "| t0 t1 v0 v1 v2")
        #expect(try fit { $0.limitTrainBatches = 9 } == "| t0 t1 t2 t3 t4 v0 v1 v2")
        #expect(try fit { $0.limitTrainBatches = 0.5 } == "| t0 t1 v0 v1 v2", "2.5 batches are 2")
        #expect(try fit { $0.limitTrainBatches = 1.0 } == "| t0 t1 t2 t3 t4 v0 v1 v2")
        #expect(try fit { $0.limitTrainBatches = 1 } == "| t0 v0 v1 v2", "a count, not a share")
        #expect(try fit { $0.limitValBatches = 0.34 } == "| t0 t1 t2 t3 t4 v0")
        #expect(try fit { $0.limitValBatches = 0 } == "| t0 t1 t2 t3 t4")
        let module = RecordingClassifier()
        let trainer = quietTrainer {
            $0.limitTestBatches = 2
            $0.limitPredictBatches = 0.67
            $0.limitValBatches = 1
        }
        let loader = DataLoader(Points(12), batchSize: 4)
        try trainer.test(module, loader)
        #expect(try trainer.predict(module, loader).count == 2)
        try trainer.validate(module, loader)
        #expect(module.line == "s0 s1 p0 p1 v0")
    }

    @Test func aShareThatGivesNoBatchIsAnError() {
        let expected = TrainerError.badOption(
            name: "limitTrainBatches", found: "0.1, which gives none of the 5 batches of the training loader",
            expected: "at least 0.2, or a count")
        #expect(throws: expected) { try fit { $0.limitTrainBatches = 0.1 } }
        #expect(throws: TrainerError.self) { try fit { $0.limitTrainBatches = 0 } }
        #expect(throws: TrainerError.self) { try fit { $0.limitValBatches = 0.1 } }
    }

    /// Validation after every so many batches, of the epoch or of the run.
    @Test func validationsComeWhereTheyAreAskedFor() throws {
        func line(_ interval: BatchLimit, every: Int? = 1, epochs: Int = 2) throws -> String {
            try fit(epochs: epochs) {
                $0.limitValBatches = 1
                $0.valCheckInterval = interval
                $0.checkValEveryNEpochs = every
            }
        }
        #expect(try line(2) == "| t0 t1 v0 t2 t3 v0 t4 | t0 t1 v0 t2 t3 v0 t4")
        #expect(try line(0.4) == "| t0 t1 v0 t2 t3 v0 t4 | t0 t1 v0 t2 t3 v0 t4")
        #expect(try line(1) == "| t0 v0 t1 v0 t2 v0 t3 v0 t4 v0 | t0 v0 t1 v0 t2 v0 t3 v0 t4 v0")
        #expect(try line(1.0) == "| t0 t1 t2 t3 t4 v0 | t0 t1 t2 t3 t4 v0")
        #expect(try line(0.01) == line(1), "less than a batch is a batch")
        #expect(try line(5, every: 2) == "| t0 t1 t2 t3 t4 | t0 t1 t2 t3 t4 v0")
        #expect(try line(3, every: nil) == "| t0 t1 t2 v0 t3 t4 | t0 v0 t1 t2 t3 v0 t4")
        #expect(try line(7, every: nil) == "| t0 t1 t2 t3 t4 | t0 t1 v0 t2 t3 t4")
        #expect(throws: TrainerError.self) { try line(6) }
        #expect(throws: TrainerError.self) { try line(0.5, every: nil) }
        #expect(throws: TrainerError.self) { try line(0) }
    }

    @Test func theSanityCheckHasItsLength() throws {
        for (count, expected) in [
            (0, "| t0"), (1, "v0 | t0"), (2, "v0 v1 | t0"), (9, "v0 v1 v2 | t0"), (-1, "v0 v1 v2 | t0"),
        ] {
            let line = try fit {
                $0.limitTrainBatches = 1
                $0.checkValEveryNEpochs = 2
                $0.numSanityValSteps = count
            }
            #expect(line == expected, "\(count)")
        }
        #expect(throws: TrainerError.self) { try fit { $0.numSanityValSteps = -2 } }
    }

    /// The same batches in each epoch, in the data's order, validated on as many.
    @Test func overfittingKeepsTheBatches() throws {
        let module = RecordingClassifier()
        #expect(try fit(module, epochs: 2) { $0.overfitBatches = 2 } == "| t0 t1 v0 v1 | t0 t1 v0 v1")
        let data = Points(20)
        let expected = try [0..<4, 4..<8].map { try data.batch(Array($0), dtype: .float32).inputs.bytes }
        #expect(module.inputs == expected + expected)
    }

    /// One batch of everything, and nothing that would be in the way or left behind.
    @Test func aDevelopmentRunTouchesEverythingOnce() throws {
        let directory = try TemporaryDirectory()
        let log = MemoryLogger()
        let module = RecordingClassifier()
        let configure: (inout TrainerConfiguration) -> Void = {
            $0.fastDevRun = 1
            $0.rootDirectory = directory.path
            $0.loggers = [log]
            $0.callbacks = [ModelCheckpoint(directory: directory("explicit"))]
            $0.numSanityValSteps = 2
            $0.valCheckInterval = 2
        }
        #expect(try fit(module, epochs: nil, configure) == "| t0 v0")
        let trainer = quietTrainer(maxEpochs: 9, configure)
        try trainer.test(module, DataLoader(Points(12), batchSize: 4))
        #expect(try trainer.predict(module, DataLoader(Points(12), batchSize: 4)).count == 1)
        #expect(module.line == "| t0 v0 s0 p0")
        #expect(directory.names() == [] && log.records.isEmpty)
        #expect(try fit(epochs: 9) { $0.fastDevRun = 3 } == "| t0 t1 t2 v0 v1 v2")
    }

    /// Someone asks to stop after each step; the minimum decides.
    @Test func theMinimumHoldsWhereSomeoneAsksToStop() throws {
        func steps(_ configure: @escaping (inout TrainerConfiguration) -> Void) throws -> Int {
            let trainer = quietTrainer(maxEpochs: 3) {
                $0.callbacks = [AfterBatch { trainer, _, _, _ in trainer.shouldStop = true }]
                configure(&$0)
            }
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(20), batchSize: 4))
            return trainer.state.globalStep
        }
        #expect(try steps { _ in } == 1)
        #expect(try steps { $0.minSteps = 7 } == 7)
        #expect(try steps { $0.minEpochs = 1 } == 5)
        #expect(
            try steps {
                $0.minEpochs = 1; $0.minSteps = 12
            } == 12)
        #expect(
            try steps {
                $0.minEpochs = 2; $0.maxSteps = 4
            } == 4, "the maximum is the stronger")
        #expect(throws: TrainerError.self) { try steps { $0.minEpochs = 4 } }
        #expect(throws: TrainerError.self) {
            try steps {
                $0.minSteps = 5; $0.maxSteps = 4
            }
        }
    }

    /// A clock that moves by a second whenever it is looked at: at the start, and twice for each check.
    @Test func timeIsALimit() throws {
        func run(_ seconds: Double, _ interval: TrainingTimer.Interval, minSteps: Int? = nil) throws -> Int {
            var now = 0.0
            let timer = TrainingTimer(.seconds(seconds), interval: interval) {
                now += 1
                return now
            }
            let trainer = quietTrainer(maxEpochs: 3) {
                $0.callbacks = [timer]
                $0.minSteps = minSteps
            }
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(20), batchSize: 4))
            return trainer.state.globalStep
        }
        #expect(try run(3.5, .step) == 3, "the start is second 1; checks at 1, 2, 3 and 4 seconds")
        #expect(try run(3.5, .step, minSteps: 8) == 8)
        #expect(try run(2.5, .epoch) == 10)
        // As an option it is a limit of its own.
        let trainer = quietTrainer { $0.maxTime = .milliseconds(500) }
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(20), batchSize: 4))
        #expect(trainer.state.globalStep > 0)
        let none = quietTrainer { $0.maxTime = .zero }
        try none.fit(SmallClassifier(), train: DataLoader(Points(20), batchSize: 4))
        #expect(none.state.globalStep == 0)
    }

    /// Where a run goes on, its time does too.
    @Test func timeGoesOnWhereARunIsResumed() throws {
        let directory = try TemporaryDirectory()
        func run(
            _ limit: Double, _ resume: ResumePoint?, _ folder: String = "run"
        ) throws -> (steps: Int, elapsed: Double) {
            var now = 0.0
            let timer = TrainingTimer(.seconds(limit)) {
                now += 1
                return now
            }
            let trainer = quietTrainer(maxEpochs: 30) {
                $0.callbacks = [timer, ModelCheckpoint(directory: directory(folder))]
            }
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(20), batchSize: 4), resume: resume)
            return (trainer.state.globalStep, timer.elapsed / .seconds(1))
        }
        let first = try run(12, nil)
        let second = try run(20, .last)
        let whole = try run(20, nil, "whole")
        #expect(first.steps > 6 && second.steps > first.steps)
        // Each look at the clock is a second: a resumed run looks a few times more.
        #expect(abs(second.steps - whole.steps) <= 3 && second.elapsed >= 20)
    }
}
