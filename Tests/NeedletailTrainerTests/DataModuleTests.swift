import Foundation
import Needletail
import Testing

/// Data that notes what is asked of it, and counts epochs as its own state.
private final class NotedData: DataModule {
    var notes: [String] = []
    var split: Points?
    var served = 0
    override func prepareData() { notes.append("prepareData") }
    override func setup(_ stage: Stage) {
        notes.append("setup(\(stage))")
        split = Points(12)
    }
    override func teardown(_ stage: Stage) { notes.append("teardown(\(stage))") }
    private func loader(_ name: String) throws -> DataLoader {
        notes.append(name)
        return DataLoader(try #require(split), batchSize: 4)
    }
    override func trainLoader() throws -> DataLoader { try loader("train") }
    override func validationLoaders() throws -> NamedLoaders? { ["a": try loader("a"), "b": try loader("b")] }
    override func testLoaders() throws -> NamedLoaders { NamedLoaders(try loader("test")) }
    override func predictLoaders() throws -> NamedLoaders { NamedLoaders(try loader("predict")) }
    override func onAfterBatchTransfer(_ batch: Batch, _ index: Int, _ stage: Stage) -> Batch {
        if stage == .fit { served += 1 }
        return batch
    }
    override func saveState() -> JSONValue? { .integer(Int64(served)) }
    override func loadState(_ state: JSONValue) throws { served = try state.decoded() }
}

@Suite struct DataModuleTests {
    @Test func stagesAskForTheirLoadersOnce() throws {
        let data = NotedData(), module = RecordingClassifier()
        let trainer = quietTrainer(maxEpochs: 2)
        try trainer.fit(module, data)
        #expect(data.notes == ["prepareData", "setup(fit)", "train", "a", "b", "teardown(fit)"])
        #expect(data.trainer == nil && data.served == 6)
        data.notes = []
        try trainer.validate(module, data)
        try trainer.test(module, data)
        #expect(try trainer.predict(module, data)[""]?.count == 3)
        #expect(
            data.notes == [
                "prepareData", "setup(validate)", "a", "b", "teardown(validate)", "prepareData", "setup(test)", "test",
                "teardown(test)", "prepareData", "setup(predict)", "predict", "teardown(predict)",
            ])
    }

    /// The data's own state goes into checkpoints and comes back; `resume` takes the last, the best or a path.
    @Test func resumeByNameAndByPath() throws {
        let directory = try TemporaryDirectory()
        func fit(_ epochs: Int, _ resume: ResumePoint?) throws -> (NotedData, Trainer) {
            let data = NotedData()
            let trainer = quietTrainer(maxEpochs: epochs) {
                $0.callbacks = [ModelCheckpoint(directory: directory.path, monitor: "val_loss/a")]
            }
            try trainer.fit(SmallClassifier(), data, resume: resume)
            return (data, trainer)
        }
        let (first, _) = try fit(2, nil)
        #expect(first.served == 6)
        #expect(try fit(3, .last).0.served == 9)
        #expect(try fit(4, .path(directory("last"))).0.served == 12)
        let best = try Checkpoint(directory("best")).state.epoch
        let (data, trainer) = try fit(5, .best)
        #expect(trainer.state.epoch == 5 && trainer.state.globalStep == 15 && data.served == 15 && best >= 1)
    }

    /// Batches pass through the data module's hook, then the module's, in every stage.
    @Test func batchesCanBeChangedOnTheirWay() throws {
        final class Doubling: DataModule {
            override func trainLoader() -> DataLoader { DataLoader(Points(4), batchSize: 4) }
            override func testLoaders() -> NamedLoaders { NamedLoaders(trainLoader()) }
            override func onAfterBatchTransfer(_ batch: Batch, _ index: Int, _ stage: Stage) -> Batch {
                Batch(inputs: batch.inputs * 2, targets: batch.targets)
            }
        }
        final class PlusOne: TrainingModule {
            let layer: Linear
            var seen: [Float] = []
            var stages: [Stage] = []
            override init() {
                var generator = SeededGenerator(seed: 1)
                layer = Linear(6, 3, using: &generator)
            }
            override func onAfterBatchTransfer(_ batch: Batch, _ index: Int, _ stage: Stage) -> Batch {
                stages.append(stage)
                return Batch(inputs: batch.inputs + 1, targets: batch.targets)
            }
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                seen = batch.inputs.scalars()
                return try crossEntropy(layer(batch.inputs), batch.targets)
            }
            override func testStep(_ batch: Batch, _ index: Int) { seen += batch.inputs.scalars(as: Float.self) }
            override func configureOptimizers() -> [Optimizer] { [SGD(parameters(), learningRate: 0.1)] }
        }
        let module = PlusOne()
        let trainer = quietTrainer(maxEpochs: 1)
        try trainer.fit(module, Doubling())
        try trainer.test(module, Doubling())
        let expected = Points(4).inputs.map { $0 * 2 + 1 }
        #expect(module.seen == expected + expected)
        #expect(module.stages == [.fit, .test])
    }
}

@Suite struct NamedLoadersTests {
    /// The means of each loader are those of that loader by itself, under its name.
    @Test func metricsHaveTheLoadersNames() throws {
        let clean = DataLoader(Points(12), batchSize: 4), noisy = DataLoader(Points(9, seed: 99), batchSize: 4)
        let module = RecordingClassifier()
        let log = MemoryLogger()
        let trainer = quietTrainer(maxEpochs: 1) { $0.loggers = [log] }
        try trainer.fit(
            module, train: DataLoader(Points(8), batchSize: 4), validation: ["clean": clean, "noisy": noisy])
        #expect(module.line == "v0 v1 v0@1 v1@1 | t0 t1 v0 v1 v2 v0@1 v1@1 v2@1", "two batches of each before training")
        let both = try trainer.validate(module, ["clean": clean, "noisy": noisy])
        #expect(both.keys.sorted() == ["val_loss/clean", "val_loss/noisy"])
        #expect(try trainer.validate(module, clean)["val_loss"] == both["val_loss/clean"])
        #expect(try trainer.validate(module, noisy)["val_loss"] == both["val_loss/noisy"])
        #expect(log.records.contains { $0.values.map(\.name) == ["val_loss/clean", "val_loss/noisy"] })
        #expect(try trainer.test(module, ["x": clean])["test_loss/x"] != nil)
        let predictions = try trainer.predict(module, ["a": clean, "b": noisy])
        #expect(predictions["a"]?.count == 3 && predictions["b"]?.map { $0.shape[0] } == [4, 4, 1])
    }

    /// With `onStep` and `onEpoch` the ending stands before the loader's name.
    @Test func endingsStandBeforeTheName() throws {
        final class Forked: SmallClassifier {
            override func validationStep(_ batch: Batch, _ index: Int) {
                log("v", Double(index), onStep: true, onEpoch: true)
            }
            override func onValidationEpochEnd() { log("all", 7) }
        }
        let loader = DataLoader(Points(8), batchSize: 4)
        let metrics = try quietTrainer().validate(Forked(), ["x": loader, "y": loader])
        #expect(metrics == ["v_epoch/x": 0.5, "v_epoch/y": 0.5, "all": 7])
    }
}
