import Foundation
import Needletail
import Testing

@Suite struct ModelCheckpointTests {
    private func run(
        _ script: [Double], _ checkpoint: ModelCheckpoint, resume: ResumePoint? = nil,
        _ configure: (inout TrainerConfiguration) -> Void = { _ in }
    ) throws -> Trainer {
        let trainer = quietTrainer(maxEpochs: script.count) {
            $0.callbacks = [checkpoint]
            configure(&$0)
        }
        let (train, validation) = scriptedLoaders()
        try trainer.fit(ScriptedMetrics(script), train: train, validation: validation, resume: resume)
        return trainer
    }

    @Test func namesFollowTheTemplate() throws {
        let directory = try TemporaryDirectory()
        _ = try run(
            [0.5, 0.25, 0.125, 0.3],
            ModelCheckpoint(directory: directory.path, monitor: "val", saveTopK: 2) {
                $0.fileName = "run-{epoch}-{step}-{val:.2f}-{train}"
            })
        #expect(
            directory.names() == [
                "best", "last", "run-epoch=1-step=4-val=0.25-train=0.25", "run-epoch=2-step=6-val=0.12-train=0.125",
                "run.json",
            ])
        // Equal names get a version; names never lead elsewhere or hide.
        let other = try TemporaryDirectory()
        _ = try run(
            [3, 2, 1], ModelCheckpoint(directory: other.path, monitor: "val", saveTopK: 3) { $0.fileName = "../a" })
        #expect(other.names() == ["_a", "_a-v1", "_a-v2", "best", "last", "run.json"])
        let third = try TemporaryDirectory()
        _ = try run([3], ModelCheckpoint(directory: third.path, monitor: "val", saveTopK: 2) { $0.fileName = "last" })
        #expect(third.names() == ["best", "last", "last-v1", "run.json"])
    }

    @Test func howManyAreKept() throws {
        func names(_ k: Int, monitor: String? = "val", everyNSteps: Int? = nil) throws -> [String] {
            let directory = try TemporaryDirectory()
            let checkpoint = ModelCheckpoint(
                directory: directory.path, monitor: monitor, saveTopK: k, everyNSteps: everyNSteps)
            _ = try run([3, 1, 2], checkpoint)
            return directory.names()
        }
        #expect(try names(0) == ["last", "run.json"])
        #expect(try names(1) == ["best", "last", "run.json"])
        #expect(try names(2) == ["best", "epoch=1-step=4", "epoch=2-step=6", "last", "run.json"])
        #expect(try names(-1) == ["best", "epoch=0-step=2", "epoch=1-step=4", "epoch=2-step=6", "last", "run.json"])
        #expect(
            try names(-1, monitor: nil) == ["epoch=0-step=2", "epoch=1-step=4", "epoch=2-step=6", "last", "run.json"])
        #expect(
            try names(-1, monitor: nil, everyNSteps: 3) == ["epoch=1-step=3", "epoch=2-step=6", "last", "run.json"])
    }

    /// Of two equal values the earlier is better, and the later leaves first.
    @Test func theEarlierOfEqualsIsKept() throws {
        let directory = try TemporaryDirectory()
        _ = try run([1, 1, 0.5], ModelCheckpoint(directory: directory.path, monitor: "val", saveTopK: 2))
        #expect(directory.names() == ["best", "epoch=0-step=2", "epoch=2-step=6", "last", "run.json"])
    }

    /// Epochs, time, and neither.
    @Test func whenItSaves() throws {
        let directory = try TemporaryDirectory()
        _ = try run(
            [4, 3, 2, 1, 0.5],
            ModelCheckpoint(directory: directory.path, monitor: "val", saveTopK: -1) {
                $0.everyNEpochs = 2
                $0.saveLast = false
            })
        #expect(directory.names() == ["best", "epoch=1-step=4", "epoch=3-step=8", "run.json"])
        let timed = try TemporaryDirectory()
        var times = [0.0, 1, 1.5, 2, 4.5, 5, 5, 6].makeIterator()
        nonisolated(unsafe) let next = { times.next() ?? 9 }
        var seen: [Int] = []
        _ = try run(
            [1, 1],
            ModelCheckpoint(directory: timed.path) {
                $0.every = .seconds(2)
                $0.clock = { next() }
            }
        ) {
            $0.callbacks.append(
                LambdaCallback {
                    $0.onTrainBatchStart = { trainer, _, _, _ in
                        guard let path = trainer.lastCheckpoint else { return }  // waits until it is written
                        let state = try Checkpoint(path).state
                        if seen.last != state.globalStep { seen.append(state.globalStep) }
                    }
                })
        }
        #expect(seen == [2, 3], "at the end of the first epoch, and two seconds after it")
    }

    /// Checkpoints are written while training goes on: a place that can be written no more ends the run at its next checkpoint
    /// (that of the same epoch where the first has failed by then), or at its end, and what was written stands.
    @Test(arguments: [3, 5]) func aFailedWriteEndsTheRun(epoch: Int) throws {
        let directory = try TemporaryDirectory()
        var epochs = 0
        let error = #expect(throws: CheckpointError.self) {
            _ = try run([5, 4, 3, 2, 1], ModelCheckpoint(directory: directory("run"), monitor: "val")) {
                $0.callbacks.append(
                    LambdaCallback {
                        $0.onTrainEpochStart = { trainer, _ in
                            epochs += 1
                            guard epochs == epoch else { return }
                            #expect(trainer.lastCheckpoint == directory("run/last"))
                            try FileManager.default.moveItem(atPath: directory("run"), toPath: directory("moved"))
                            try Data("a file".utf8).write(to: URL(fileURLWithPath: directory("run")))
                        }
                    })
            }
        }
        if case .notWritten = error?.problem {} else { Issue.record("found \(String(describing: error?.problem))") }
        #expect(epochs == epoch || epochs == min(epoch + 1, 5))
        #expect(try Checkpoint(directory("moved/last")).state.epoch == epoch - 1)
    }

    /// A checkpoint that is written while the next steps run has the bytes of one that they wait for.
    @Test(arguments: Precision.allCases) func whatIsWrittenMeanwhileIsTheMoment(_ precision: Precision) throws {
        let directory = try TemporaryDirectory()
        func fit(_ callback: Callback) throws {
            let trainer = quietTrainer(maxEpochs: 2, precision: precision) { $0.callbacks = [callback] }
            try trainer.fit(SmallClassifier(width: 512), train: DataLoader(Points(32), batchSize: 4))
        }
        try fit(
            ModelCheckpoint(directory: directory("meanwhile"), saveTopK: -1, everyNSteps: 1) { $0.fileName = "{step}" })
        try fit(
            LambdaCallback {
                $0.onTrainBatchEnd = { trainer, _, result, _, _ in
                    let name = "waited/step=\(trainer.state.globalStep)"
                    if result.isApplied { try trainer.saveCheckpoint(to: directory(name)) }
                }
            })
        let names = directory.names(in: "waited")
        #expect(names.count >= 10)
        for name in names {
            for file in ["model.safetensors", "optimizer.safetensors"] {
                #expect(
                    bytes(directory("meanwhile/\(name)/\(file)")) == bytes(directory("waited/\(name)/\(file)")),
                    "\(name) \(file)")
            }
        }
    }

    /// The names of kept checkpoints stand in a file: what falls out of the top k is removed only where it is a checkpoint, and
    /// never outside of the directory.
    @Test func aNameFromAFileDeletesNothingElse() throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory("precious"), withIntermediateDirectories: false)
        try Data([1]).write(to: URL(fileURLWithPath: directory("precious/work")))
        let forged = ModelCheckpoint(directory: directory.path, monitor: "val", saveTopK: 2)
        for name in ["../x", "a/b", "", ".", "..", "last", "best", "x.previous", "run.json", "fit-2"] {
            #expect(throws: DecodingError.self, "\(name)") {
                try forged.loadState(["top": [["name": .string(name), "value": 9]]])
            }
        }
        let forger = LambdaCallback {
            $0.onFitStart = { _, _ in
                try forged.loadState([
                    "best": 9, "top": [["name": "precious", "value": 8], ["name": "precious", "value": 9]],
                ])
            }
        }
        _ = try run([3, 1, 2], forged) { $0.callbacks.append(forger) }
        #expect(directory.names() == ["best", "epoch=1-step=4", "epoch=2-step=6", "last", "precious", "run.json"])
        #expect(directory.names(in: "precious") == ["work"])
    }

    /// In epochs without a validation there is nothing to compare: an old value does not count again.
    @Test func epochsWithoutAValidationDoNotCount() throws {
        let directory = try TemporaryDirectory()
        _ = try run([3, 1, 9, 9], ModelCheckpoint(directory: directory.path, monitor: "val", saveTopK: -1)) {
            $0.checkValEveryNEpochs = 2
        }
        #expect(directory.names() == ["best", "epoch=1-step=4", "epoch=3-step=8", "last", "run.json"])
        #expect(try Checkpoint(directory("best")).state.epoch == 4, "1 after 3")
        #expect(throws: TrainerError.self) {
            try run([3, 1], ModelCheckpoint(directory: directory("other"), monitor: "nothing"))
        }
    }

    /// A validation between two batches that is better than all before it: that moment is the best.
    @Test func theBestMayBeInTheMiddleOfAnEpoch() throws {
        let directory = try TemporaryDirectory()
        let trainer = quietTrainer(maxEpochs: 2) {
            $0.valCheckInterval = 1
            $0.callbacks = [ModelCheckpoint(directory: directory.path, monitor: "val", saveTopK: 2)]
        }
        let (train, validation) = scriptedLoaders()
        try trainer.fit(ScriptedMetrics([5, 4, 1, 3]), train: train, validation: validation)
        let best = try Checkpoint(directory("best"))
        #expect(best.state.epoch == 1 && best.state.batchInEpoch == 1 && best.metrics["val"] == 1)
        #expect(directory.names() == ["best", "epoch=1-step=3", "epoch=1-step=4", "last", "run.json"])
        #expect(trainer.bestCheckpoint == directory("best") && trainer.lastCheckpoint == directory("last"))
    }

    /// A resumed run goes on comparing, and removes what an earlier one kept.
    @Test(arguments: Precision.allCases) func aResumedRunGoesOnComparing(_ precision: Precision) throws {
        let directory = try TemporaryDirectory()
        let script = [3.0, 1, 2, 0.5]
        for (epochs, resume) in [(2, nil), (4, .last)] as [(Int, ResumePoint?)] {
            let trainer = quietTrainer(maxEpochs: epochs, precision: precision) {
                $0.callbacks = [ModelCheckpoint(directory: directory.path, monitor: "val", saveTopK: 2)]
            }
            let (train, validation) = scriptedLoaders()
            try trainer.fit(ScriptedMetrics(script), train: train, validation: validation, resume: resume)
        }
        #expect(directory.names() == ["best", "epoch=1-step=4", "epoch=3-step=8", "last", "run.json"])
    }

    /// After an error the run goes on from the step that failed, with the bits of a run that did not fail: in an open
    /// window too, in every precision.
    @Test(arguments: Precision.allCases) func anErrorLeavesTheLastCompleteStep(_ precision: Precision) throws {
        struct Failure: Error {}
        final class Failing: SmallClassifier {
            var failsAt: Int?
            private var calls = 0
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                let loss = try super.trainingStep(batch, index)  // dropout has drawn, metrics are logged
                calls += 1
                if calls == failsAt { throw Failure() }
                return loss
            }
        }
        let directory = try TemporaryDirectory()
        func fit(_ failsAt: Int?, _ root: String, resume: ResumePoint? = nil) throws -> [[UInt8]] {
            let module = Failing()
            module.failsAt = failsAt
            let trainer = quietTrainer(maxEpochs: 2, precision: precision) {
                $0.accumulateGradBatches = 2
                $0.callbacks = [
                    ModelCheckpoint(directory: root) { $0.saveOnException = true },
                    OnExceptionCheckpoint(directory: root),
                ]
            }
            try trainer.fit(module, train: DataLoader(Points(20), batchSize: 4, shuffle: true), resume: resume)
            return module.bits
        }
        let whole = try fit(nil, directory("whole"))
        for (call, batch) in [(3, 2), (4, 2), (8, 2), (10, 4)] {
            let root = directory("\(call)")
            #expect(throws: Failure.self) { try fit(call, root) }
            let state = try Checkpoint(root + "/on_exception").state
            #expect(state.batchInEpoch == batch, "call \(call)")
            for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
                #expect(bytes(root + "/on_exception/" + name) == bytes(root + "/last/" + name))
            }
            #expect(try fit(nil, root, resume: .path(root + "/on_exception")) == whole)
            for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
                #expect(bytes(root + "/last/" + name) == bytes(directory("whole/last/" + name)), "\(call) \(name)")
            }
        }
    }
}
