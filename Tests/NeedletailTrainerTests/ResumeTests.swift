import Foundation
import Needletail
import Testing

/// Saves a checkpoint after each step, under the number of steps tried so far.
private final class SaveEveryStep: Callback {
    let directory: String
    init(_ directory: String) { self.directory = directory }
    override var runsLast: Bool { true }
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        guard result.closesWindow else { return }
        try trainer.saveCheckpoint(to: directory + "/\(trainer.state.globalStep + trainer.state.skippedSteps)")
    }
}

private let files = ["model.safetensors", "optimizer.safetensors", "state.json"]

/// Whether two checkpoints have the same bytes; the names of the files that differ.
private func differences(_ a: String, _ b: String) -> [String] {
    files.filter { bytes(a + "/" + $0).isEmpty || bytes(a + "/" + $0) != bytes(b + "/" + $0) }
}

@Suite struct ResumeTests {
    // 22 rows, batches of 4 in windows of 2: six batches, three steps an epoch, the last batch ragged; shuffled, with
    // dropout, clipping, momentum and validation; row 5 is infinite, so that one step of each epoch is skipped.
    private func loaders() -> (DataLoader, DataLoader) {
        (
            DataLoader(Points(22, infiniteRows: 5..<6), batchSize: 4, shuffle: true, seed: 3),
            DataLoader(Points(7, seed: 9), batchSize: 4)
        )
    }

    private func fit(
        _ root: String, _ precision: Precision, maxSteps: Int? = nil, resume: ResumePoint? = nil,
        callbacks: [Callback] = []
    ) throws {
        let trainer = quietTrainer(maxEpochs: 2, maxSteps: maxSteps, precision: precision) {
            $0.accumulateGradBatches = 2
            $0.gradientClip = .norm(0.5)
            $0.logEveryNSteps = 1
            $0.callbacks = callbacks + [ModelCheckpoint(directory: root, monitor: "val_loss")]
        }
        let module = SmallClassifier()
        module.makeOptimizers = { [AdamW($0.parameters(), learningRate: 3e-3)] }
        let (train, validation) = loaders()
        try trainer.fit(module, train: train, validation: validation, resume: resume)
    }

    @Test(arguments: Precision.allCases) func resumingAfterAnyStepGivesTheSameBytes(_ precision: Precision) throws {
        let directory = try TemporaryDirectory()
        try fit(directory("whole"), precision, callbacks: [SaveEveryStep(directory("steps"))])
        #expect(directory.names(in: "steps") == (1...6).map(String.init))
        let state = try Checkpoint(directory("whole/last")).state
        #expect(state.epoch == 2 && state.globalStep == 4 && state.skippedSteps == 2)
        for step in 1...6 {
            try fit(directory("resumed"), precision, resume: .path(directory("steps/\(step)")))
            #expect(differences(directory("resumed/last"), directory("whole/last")) == [], "after step \(step)")
            try FileManager.default.removeItem(atPath: directory("resumed"))
        }
    }

    /// A run that ends at its maxSteps, wherever in an epoch, goes on from `last`.
    @Test func aRunThatStoppedGoesOnFromLast() throws {
        let directory = try TemporaryDirectory()
        try fit(directory("whole"), .mixedFloat16)
        for steps in 1...4 {
            let part = directory("part\(steps)")
            try fit(part, .mixedFloat16, maxSteps: steps)
            #expect(try Checkpoint(part + "/last").state.globalStep == steps)
            try fit(part, .mixedFloat16, resume: .last)
            #expect(differences(part + "/last", directory("whole/last")) == [], "stopped after step \(steps)")
        }
    }

    /// The bytes of all checkpoints are the same for any number of threads; the layers are large enough to be split.
    @Test(arguments: Precision.allCases) func threadsDoNotMatter(_ precision: Precision) throws {
        let directory = try TemporaryDirectory()
        let before = threadCount
        defer { setThreadCount(before) }
        for threads in [1, 2] {
            setThreadCount(threads)
            try quietTrainer(maxEpochs: 1, precision: precision) {
                $0.callbacks = [ModelCheckpoint(directory: directory("\(threads)"))]
            }.fit(
                SmallClassifier(features: 300, width: 256),
                train: DataLoader(Points(300, features: 300), batchSize: 128, shuffle: true))
        }
        #expect(differences(directory("1/last"), directory("2/last")) == [])
    }

    /// A run goes on with the kernel that has multiplied bfloat16 matrices so far, and its program has its own choice back after it.
    @Test func aResumedRunKeepsItsWayOfMultiplyingBFloat16() throws {
        let directory = try TemporaryDirectory()
        let standard = bfloat16MatMul
        func run(_ name: String, steps: Int, resume: ResumePoint? = nil) throws {
            try quietTrainer(maxSteps: steps, precision: .mixedBFloat16) {
                $0.callbacks = [ModelCheckpoint(directory: directory(name))]
            }.fit(
                SmallClassifier(features: 300, width: 256),
                train: DataLoader(Points(300, features: 300), batchSize: 100, shuffle: true), resume: resume)
        }
        for kind in [BFloat16MatMul.widen, .native] where ProductOptions.restoring({ chooseBFloat16MatMul(kind) }) {
            let whole = "whole \(kind)"
            try withBFloat16MatMul(kind) {
                try run(whole, steps: 4)
                try run("part \(kind)", steps: 2)
            }
            #expect(try Checkpoint(directory("part \(kind)/last")).bfloat16MatMul == kind)
            try run("part \(kind)", steps: 4, resume: .path(directory("part \(kind)/last")))
            #expect(differences(directory("part \(kind)/last"), directory("\(whole)/last")) == [], "\(kind)")
            #expect(bfloat16MatMul == standard)
        }
        // The two ways differ, so that the comparison above means something.
        if bytes(directory("whole native/last/model.safetensors")).isEmpty { return }
        #expect(
            differences(directory("whole widen/last"), directory("whole native/last")).contains("model.safetensors"))
    }

    @Test func theSecondRunOfASeedWritesTheSameBytes() throws {
        let directory = try TemporaryDirectory()
        for name in ["a", "b/c"] { try fit(directory(name), .mixedBFloat16) }
        #expect(differences(directory("a/last"), directory("b/c/last")) == [])
        #expect(differences(directory("a/best"), directory("b/c/best")) == [])
    }

    /// Resuming in another precision converts and says so; in mid-epoch with another loader it is refused.
    @Test func otherPrecisionSaysSoAndOtherLoaderIsRefused() throws {
        let directory = try TemporaryDirectory()
        try fit(directory("a"), .mixedFloat16, maxSteps: 1)
        let module = SmallClassifier()
        module.makeOptimizers = { [AdamW($0.parameters(), learningRate: 1e-2)] }
        let (train, _) = loaders()
        let trainer = quietTrainer(maxSteps: 2) { $0.accumulateGradBatches = 2 }
        try trainer.fit(module, train: train, resume: .path(directory("a/last")))
        #expect(trainer.notices.count == 2)
        #expect(
            trainer.notices.contains { $0.contains("16-mixed") && $0.contains("32-true") && $0.contains("dropped") })
        #expect(trainer.notices.contains { $0.contains("options") })
        #expect(trainer.state.globalStep == 2 && trainer.scaler == nil)

        let error = #expect(throws: CheckpointError.self) {
            try quietTrainer(maxSteps: 2, precision: .mixedFloat16).fit(
                module, train: DataLoader(Points(22), batchSize: 5), resume: .path(directory("a/last")))
        }
        #expect(
            error?.description.contains("batches of 4") == true && error?.description.contains("batches of 5") == true)
    }

    /// A checkpoint says which parameters had types of their own; resuming with others says so, with the same ones not.
    @Test func precisionOverridesAreKept() throws {
        let directory = try TemporaryDirectory()
        func run(_ epochs: Int, _ overrides: PrecisionOverrides, resume: ResumePoint? = nil) throws -> Trainer {
            let trainer = quietTrainer(maxEpochs: epochs, precision: .mixedBFloat16) {
                $0.precisionOverrides = overrides
                $0.rootDirectory = directory.path
            }
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(12), batchSize: 4), resume: resume)
            return trainer
        }
        let overrides: PrecisionOverrides = ["head.bias": .float16, "head.*": .float64]
        _ = try run(1, overrides)
        let checkpoint = try Checkpoint(directory("checkpoints/last"))
        #expect(checkpoint.precisionOverrides == overrides && checkpoint.policy.precision == .mixedBFloat16)
        #expect(checkpoint.model["head.weight"]?.dtype == .float64 && checkpoint.model["head.bias"]?.dtype == .float32)
        #expect(try run(2, overrides, resume: .last).notices.isEmpty)
        let notices = try run(3, [:], resume: .last).notices
        #expect(notices.count == 1 && notices.contains { $0.contains("head.bias=float16, head.*=float64") })
        #expect(try Checkpoint(directory("checkpoints/last")).precisionOverrides == [:])
        #expect(!text(directory("checkpoints/last/state.json")).contains("precisionOverrides"))
    }

    /// A run whose limits are reached says that nothing is left and which limit to raise, draws no epoch that it has not
    /// run, and leaves the checkpoints alone.
    @Test func nothingLeftToTrainIsSaid() throws {
        let directory = try TemporaryDirectory()
        func run(_ epochs: Int, _ steps: Int? = nil, _ resume: ResumePoint? = nil) throws -> (Trainer, String) {
            var drawn = ""
            let console = Console(isTerminal: false) { drawn += $0 }
            let trainer = quietTrainer(maxEpochs: epochs, maxSteps: steps) {
                $0.rootDirectory = directory.path
                $0.callbacks = [ProgressBar(console: console)]
            }
            try trainer.fit(
                SmallClassifier(), train: DataLoader(Points(12), batchSize: 4), validation: nil, resume: resume)
            return (trainer, drawn)
        }
        let (first, firstDrawn) = try run(4, 8)
        #expect(first.notices.isEmpty && firstDrawn.contains("Epoch 3/4"))
        let last = directory("checkpoints/last")
        let saved = try Checkpoint(last).state
        #expect(saved.epoch == 2 && saved.batchInEpoch == 2)
        // `last` is further than where the next run begins, and must stay.
        let copy = directory("checkpoints/copy")
        try FileManager.default.copyItem(atPath: last, toPath: copy)
        let (byEpochs, drawn) = try run(2, nil, .path(copy))
        #expect(byEpochs.notices.count == 1 && drawn.isEmpty, "\(drawn)")
        for word in ["nothing is left to train", "2 epochs", "maxEpochs is 2"] {
            #expect(byEpochs.notices.first?.contains(word) == true, "\(word)")
        }
        let (bySteps, _) = try run(4, 8, .last)
        #expect(bySteps.notices.first?.contains("8 steps and maxSteps is 8; to go on, raise it") == true)
        #expect(differences(last, copy) == [])
        try run(4, 9, .last).0.notices.forEach { Issue.record("\($0)") }
        _ = try run(2, nil, .path(copy))
        #expect(try Checkpoint(last).state.globalStep == 9)
    }

    @Test func aModulesOwnStateIsKept() throws {
        final class Counting: Regression {
            var calls = 0
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                calls += 1
                return try super.trainingStep(batch, index)
            }
            override func onSaveCheckpoint(_ state: inout [String: JSONValue]) {
                state["calls"] = .integer(Int64(calls))
            }
            override func onLoadCheckpoint(_ state: [String: JSONValue]) throws {
                calls = try #require(state["calls"]).decoded()
            }
        }
        let directory = try TemporaryDirectory()
        func run(_ epochs: Int, _ resume: ResumePoint?) throws -> Counting {
            let module = Counting(learningRate: 0.1)
            try quietTrainer(maxEpochs: epochs) { $0.rootDirectory = directory.path }
                .fit(module, train: DataLoader(Points(12), batchSize: 4), resume: resume)
            return module
        }
        #expect(try run(2, nil).calls == 6)
        #expect(try run(3, .last).calls == 9)
        #expect(directory.names() == ["checkpoints"] && directory.names(in: "checkpoints") == ["last", "run.json"])
    }
}
