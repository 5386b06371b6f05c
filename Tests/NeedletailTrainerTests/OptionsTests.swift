import Foundation
import Needletail
import Testing

/// Saves after each step, when all is done that belongs to it.
private final class SaveEachStep: Callback {
    let directory: String
    init(_ directory: String) { self.directory = directory }
    override var runsLast: Bool { true }
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        guard result.closesWindow else { return }
        try trainer.saveCheckpoint(to: directory + "/\(trainer.state.globalStep)")
    }
}

@Suite struct OptionsTests {
    private let loader = DataLoader(Points(20), batchSize: 4)

    @Test func optionsThatMeanNothingAreErrors() throws {
        let bad: [(name: String, configure: (inout TrainerConfiguration) -> Void)] = [
            ("minEpochs", { $0.minEpochs = -1 }), ("minSteps", { $0.minSteps = -1 }),
            ("maxTime", { $0.maxTime = .seconds(-1) }), ("limitTrainBatches", { $0.limitTrainBatches = 1.5 }),
            ("limitValBatches", { $0.limitValBatches = -1 }), ("limitTestBatches", { $0.limitTestBatches = -0.5 }),
            ("limitPredictBatches", { $0.limitPredictBatches = .fraction(.nan) }),
            ("overfitBatches", { $0.overfitBatches = 2.0 }), ("fastDevRun", { $0.fastDevRun = -1 }),
            ("valCheckInterval", { $0.valCheckInterval = 0.0 }), ("valCheckInterval", { $0.valCheckInterval = -3 }),
            ("checkValEveryNEpochs", { $0.checkValEveryNEpochs = 0 }), ("deterministic", { $0.deterministic = false }),
        ]
        for (name, configure) in bad {
            let error = #expect(throws: TrainerError.self, "\(name)") {
                try quietTrainer(maxEpochs: 1, configure).fit(SmallClassifier(), train: loader)
            }
            #expect(error?.description.hasPrefix("\(name) is ") == true, "\(error?.description ?? "")")
            #expect(error?.description.contains(", expected ") == true)
        }
        #expect(
            TrainerError.noLimit.description == "fit needs a limit: give maxEpochs, maxSteps or maxTime")
    }

    /// Nothing is logged or written, nobody but the module's own code runs, and what would not do so is refused.
    @Test func barebonesIsTrainingAndNothingElse() throws {
        let directory = try TemporaryDirectory()
        let trainer = Trainer(maxEpochs: 1) {
            $0.barebones = true
            $0.rootDirectory = directory.path
            $0.callbacks = [AfterBatch { _, _, _, _ in }]
        }
        let module = RecordingClassifier()
        try trainer.fit(module, train: loader, validation: DataLoader(Points(4), batchSize: 4))
        #expect(module.line == "| t0 t1 t2 t3 t4 v0", "without a sanity check")
        #expect(trainer.callbacks.count == 1 && trainer.metrics.isEmpty && directory.names() == [])
        let whole = quietTrainer(maxEpochs: 1)
        let other = RecordingClassifier()
        try whole.fit(other, train: loader, validation: DataLoader(Points(4), batchSize: 4))
        #expect(module.bits == other.bits && !whole.metrics.isEmpty)
        for configure: (inout TrainerConfiguration) -> Void in [
            { $0.loggers = [MemoryLogger()] }, { $0.callbacks = [ModelSummary()] }, { $0.fastDevRun = 1 },
            { $0.detectAnomaly = true }, { $0.callbacks = [ModelCheckpoint(directory: directory.path)] },
            { $0.callbacks = [ProgressBar()] }, { $0.overfitBatches = 1 },
        ] {
            #expect(throws: TrainerError.self) {
                try quietTrainer(maxEpochs: 1) {
                    $0.barebones = true
                    configure(&$0)
                }.fit(SmallClassifier(), train: loader)
            }
        }
    }

    /// Each of the three that a trainer brings by itself has a switch, and one that is given takes its place.
    @Test func theTrainersOwnCallbacksCanBeSwitchedOff() throws {
        let directory = try TemporaryDirectory()
        func kinds(_ configure: (inout TrainerConfiguration) -> Void = { _ in }) -> [String] {
            Trainer(maxEpochs: 1) {
                $0.rootDirectory = directory.path
                configure(&$0)
            }.callbacks.map { String(describing: type(of: $0)) }.sorted()
        }
        #expect(kinds() == ["ModelCheckpoint", "ModelSummary", "ProgressBar"])
        #expect(kinds { $0.enableCheckpointing = false } == ["ModelSummary", "ProgressBar"])
        #expect(kinds { $0.enableModelSummary = false } == ["ModelCheckpoint", "ProgressBar"])
        #expect(kinds { $0.enableProgressBar = false } == ["ModelCheckpoint", "ModelSummary"])
        #expect(kinds { $0.rootDirectory = nil } == ["ModelSummary", "ProgressBar"])
        let own = ModelCheckpoint(directory: directory("own"))
        #expect(kinds { $0.callbacks = [own, ProgressBar()] } == kinds())
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.rootDirectory = directory.path
            $0.enableCheckpointing = false
        }
        try trainer.fit(SmallClassifier(), train: loader)
        #expect(trainer.lastCheckpoint == nil && directory.names() == [])
    }

    /// Whatever the layers have drawn before: the same seed, the same bits.
    @Test func theSeedDecidesWhatRandomLayersDraw() throws {
        func bits(_ seed: UInt64?, drawn: Int) throws -> [[UInt8]] {
            let module = SmallClassifier()
            for _ in 0..<drawn { _ = module.logits(try Points(4).batch([0, 1], dtype: .float32)) }
            try quietTrainer(maxEpochs: 1) { $0.seed = seed }.fit(module, train: loader)
            return module.bits
        }
        #expect(try bits(5, drawn: 0) == bits(5, drawn: 3))
        #expect(try bits(5, drawn: 0) != bits(6, drawn: 0))
        #expect(try bits(nil, drawn: 0) != bits(nil, drawn: 3), "so that the first line means something")
    }

    /// Checkpoints taken anywhere, between a batch and its validation too, go on with the bits of the uninterrupted run.
    @Test(arguments: Precision.allCases) func resumingIsExactUnderEveryOption(_ precision: Precision) throws {
        let directory = try TemporaryDirectory()
        func fit(_ root: String, resume: ResumePoint? = nil, _ callbacks: [Callback] = []) throws -> [String: Double] {
            let module = SmallClassifier()
            module.makeOptimizers = { [AdamW($0.parameters(), learningRate: 3e-3)] }
            let trainer = quietTrainer(maxEpochs: 3, precision: precision) {
                $0.accumulateGradBatches = 2
                $0.limitTrainBatches = 5  // of 7: windows of 2, 2 and 1
                $0.limitValBatches = 0.7
                $0.valCheckInterval = 3  // within a window, and not at the end of an epoch
                $0.checkValEveryNEpochs = nil
                $0.logEveryNSteps = 1
                $0.seed = 11
                $0.callbacks = callbacks + [ModelCheckpoint(directory: root, monitor: "val_loss")]
            }
            try trainer.fit(
                module, train: DataLoader(Points(27), batchSize: 4, shuffle: true, seed: 3),
                validation: DataLoader(Points(11, seed: 9), batchSize: 4), resume: resume)
            #expect(trainer.state.globalStep == 9)
            return trainer.metrics
        }
        let whole = try fit(
            directory("whole"),
            [SaveEachStep(directory("steps"))])
        for step in 1...9 {
            let metrics = try fit(directory("resumed"), resume: .path(directory("steps/\(step)")))
            #expect(metrics == whole, "after step \(step)")
            for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
                #expect(
                    bytes(directory("resumed/last/" + name)) == bytes(directory("whole/last/" + name)),
                    "\(step) \(name)")
            }
            try FileManager.default.removeItem(atPath: directory("resumed"))
        }
    }
}
