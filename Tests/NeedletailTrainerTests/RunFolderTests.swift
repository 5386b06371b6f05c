// No run writes over another's checkpoints: whose a folder is, who may go on in it, what replaces it, and what run.json says.
import Foundation
import Needletail
import Testing

@Suite struct RunFolderTests {
    private let train = DataLoader(Points(12), batchSize: 4)

    /// A trainer of its own whose checkpoints go to `directory`.
    private func makeTrainer(
        _ directory: String, epochs: Int = 1, _ configure: (inout ModelCheckpoint.Options) -> Void = { _ in }
    ) -> Trainer {
        quietTrainer(maxEpochs: epochs) {
            $0.callbacks = [ModelCheckpoint(directory: directory, monitor: "train_loss_epoch", saveTopK: 2, configure)]
        }
    }

    private func refusal(_ body: () throws -> Void) -> CheckpointError? {
        #expect(throws: CheckpointError.self) { try body() }
    }

    /// Every file below a folder by name, and its bytes.
    private func files(_ folder: String) -> [String: [UInt8]] {
        let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return Dictionary(uniqueKeysWithValues: names.map { ($0, bytes(folder + "/" + $0)) })
    }

    private func record(_ folder: String) throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(bytes(folder + "/run.json"))) as? [String: Any])
    }

    // MARK: Another run's folder

    /// However the folder is named, and whatever of the other run is left: refused before anything is changed.
    @Test(arguments: ["run", "run/", "run//", "./run", "other/../run", "link"])
    func anotherRunsFolderIsRefused(_ name: String) throws {
        let directory = try TemporaryDirectory()
        try makeTrainer(directory("run")).fit(SmallClassifier(), train: train)
        try FileManager.default.createDirectory(atPath: directory("other"), withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(atPath: directory("link"), withDestinationPath: "run")
        for left in [["last", "best", "epoch=0-step=3"], ["best", "epoch=0-step=3"], ["epoch=0-step=3"]] {
            for gone in directory.names(in: "run") where gone != "run.json" && !left.contains(gone) {
                try FileManager.default.removeItem(atPath: directory("run/" + gone))
            }
            for content in [bytes(directory("run/run.json")), [], Array("{}".utf8), [0xFF, 0], nil] {
                if let content {
                    try Data(content).write(to: URL(fileURLWithPath: directory("run/run.json")))
                } else {
                    try FileManager.default.removeItem(atPath: directory("run/run.json"))
                }
                let before = files(directory("run"))
                var steps = 0
                let trainer = makeTrainer(directory(name))
                let error = refusal {
                    try trainer.fit(SmallClassifier(), train: train)
                    steps += trainer.state.globalStep
                }
                #expect(error?.problem == .occupied(left.sorted()) && steps == 0)
                for part in ["resume: .last", "another folder", "overwrite"] {
                    #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
                }
                #expect(files(directory("run")) == before)
            }
            try FileManager.default.removeItem(atPath: directory("run"))
            try makeTrainer(directory("run")).fit(SmallClassifier(), train: train)
        }
    }

    /// The same with the folder of a rootDirectory; a folder of others' files alone holds no run.
    @Test func whatHoldsARun() throws {
        let directory = try TemporaryDirectory()
        func fit() throws {
            try quietTrainer(maxEpochs: 1) { $0.rootDirectory = directory.path }.fit(SmallClassifier(), train: train)
        }
        try FileManager.default.createDirectory(
            atPath: directory("checkpoints/notes"), withIntermediateDirectories: true)
        try Data("mine".utf8).write(to: URL(fileURLWithPath: directory("checkpoints/notes/a")))
        try Data("mine".utf8).write(to: URL(fileURLWithPath: directory("checkpoints/b")))
        try fit()
        #expect(directory.names(in: "checkpoints") == ["b", "last", "notes", "run.json"])
        #expect(refusal { try fit() }?.problem == .occupied(["last"]))
    }

    /// A run that saved nothing leaves the folder as it was, and made none.
    @Test func aRunThatSavesNothingLeavesNothing() throws {
        let directory = try TemporaryDirectory()
        let failing = LambdaCallback { $0.onTrainStart = { _, _ in throw StepFailure() } }
        for folder in ["a/b/run", "there"] {
            if folder == "there" {
                try FileManager.default.createDirectory(atPath: directory(folder), withIntermediateDirectories: false)
            }
            #expect(throws: StepFailure.self) {
                try quietTrainer(maxEpochs: 1) {
                    $0.callbacks = [ModelCheckpoint(directory: directory(folder)), failing]
                }.fit(SmallClassifier(), train: train)
            }
        }
        #expect(directory.names() == ["there"] && directory.names(in: "there") == [])
    }

    /// Neither runs that look for errors nor those that measure write anything, whoever brings the callback.
    @Test func developmentRunsWriteNothing() throws {
        final class Bringing: SmallClassifier {
            var directory = ""
            override func configureCallbacks() -> [Callback] { [ModelCheckpoint(directory: directory)] }
        }
        let directory = try TemporaryDirectory()
        let module = Bringing()
        module.directory = directory("run")
        try quietTrainer(maxEpochs: 1) { $0.fastDevRun = 1 }.fit(module, train: train)
        try quietTrainer(maxEpochs: 1) {
            $0.barebones = true
            $0.rootDirectory = directory("root")
        }.fit(module, train: train)
        #expect(directory.names() == [])
    }

    // MARK: Later fits

    /// k folds with one callback, with one trainer or several: a folder each, and the files of each are those of a first fit.
    @Test(arguments: [true, false]) func eachFoldHasAFolder(hasOneTrainer: Bool) throws {
        let directory = try TemporaryDirectory()
        let checkpoint = ModelCheckpoint(directory: directory("run"), monitor: "train_loss_epoch", saveTopK: 2)
        let trainers = (0..<3).map { _ in quietTrainer(maxEpochs: 1) { $0.callbacks = [checkpoint] } }
        for fold in 0..<3 {
            let trainer = trainers[hasOneTrainer ? 0 : fold]
            try trainer.fit(SmallClassifier(seed: UInt64(fold)), train: train)
            let folder = directory("run") + ["", "/fit-2", "/fit-3"][fold]
            #expect(checkpoint.folder == folder)
            #expect(trainer.lastCheckpoint == folder + "/last" && trainer.bestCheckpoint == folder + "/best")
            try makeTrainer(directory("fresh\(fold)")).fit(SmallClassifier(seed: UInt64(fold)), train: train)
            for name in ["last", "best", "epoch=0-step=3"] {
                let expected = files(directory("fresh\(fold)/\(name)"))
                #expect(expected.count == 3 && files(folder + "/" + name) == expected, "\(fold) \(name)")
            }
        }
        #expect(
            directory.names(in: "run") == ["best", "epoch=0-step=3", "fit-2", "fit-3", "last", "run.json"])
        // Its latest fit, in this process and in others.
        let last = trainers[hasOneTrainer ? 0 : 2]
        #expect(throws: Never.self) { try last.fit(SmallClassifier(seed: 9), train: train, resume: .last) }
        #expect(checkpoint.folder == directory("run/fit-3") && last.notices.count == 1, "nothing is left to train")
        let other = makeTrainer(directory("run"), epochs: 2)
        try other.fit(SmallClassifier(), train: train, resume: .best)
        #expect(other.lastCheckpoint == directory("run/fit-3/last"))
        #expect(other.notices.contains { $0.contains("fit-3") && $0.contains("newest") })
        #expect(try Checkpoint(directory("run/fit-3/last")).state.epoch == 2)
        // It has taken that folder over: further folds of this process are those of another run.
        try other.fit(SmallClassifier(), train: train)
        #expect(other.lastCheckpoint == directory("run/fit-4/last"))
        for trainer in [makeTrainer(directory("run")), makeTrainer(directory("run/fit-2"))] {
            if case .occupied = refusal({ try trainer.fit(SmallClassifier(), train: train) })?.problem {
            } else {
                Issue.record("another run's folder was not refused")
            }
        }
    }

    /// A fit that has failed before its first checkpoint is not silently resumed from the one before it.
    @Test func resumingTheLatestFitIsNotResumingAnEarlierOne() throws {
        let directory = try TemporaryDirectory()
        var fails = false
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.callbacks = [
                ModelCheckpoint(directory: directory("run")),
                LambdaCallback { $0.onTrainStart = { _, _ in if fails { throw StepFailure() } } },
            ]
        }
        try trainer.fit(SmallClassifier(), train: train)
        fails = true
        #expect(throws: StepFailure.self) { try trainer.fit(SmallClassifier(), train: train) }
        fails = false
        let error = refusal { try trainer.fit(SmallClassifier(), train: train, resume: .last) }
        #expect(error == CheckpointError(path: directory("run/fit-2/last"), problem: .missing))
    }

    // MARK: Resuming

    /// A run goes on where its checkpoint lies; from elsewhere it does not go into another run's folder.
    @Test func aResumedRunStaysInItsFolder() throws {
        let directory = try TemporaryDirectory()
        try makeTrainer(directory("a")).fit(SmallClassifier(), train: train)
        try makeTrainer(directory("b")).fit(SmallClassifier(seed: 2), train: train)
        let before = files(directory("b"))
        let error = refusal {
            try makeTrainer(directory("b"), epochs: 2).fit(
                SmallClassifier(), train: train, resume: .path(directory("a/last")))
        }
        #expect(error?.problem == .occupied(["best", "epoch=0-step=3", "last"]))
        #expect(files(directory("b")) == before)
        // A new folder is taken; then the run is another one.
        try makeTrainer(directory("c"), epochs: 2).fit(
            SmallClassifier(), train: train, resume: .path(directory("a/last")))
        let ids = try ["a", "c"].map { try #require(record(directory($0))["identity"] as? [String: String]) }
        #expect(ids[0]["run"] != ids[1]["run"])
        // By the checkpoint's own name, whatever that is, through a link too; a record that is gone does not matter.
        try FileManager.default.createSymbolicLink(
            atPath: directory("link"), withDestinationPath: directory("a/best"))
        for (index, path) in ["a/best/", "a/last", "link"].enumerated() {
            try? FileManager.default.removeItem(atPath: directory("a/run.json"))
            let trainer = makeTrainer(directory("a"), epochs: 3 + index)
            try trainer.fit(SmallClassifier(), train: train, resume: .path(directory(path)))
            #expect(trainer.lastCheckpoint == directory("a/last"))
        }
    }

    /// Two folders of one run are both gone on in, and each callback has its own state back.
    @Test func bothFoldersOfARunGoOn() throws {
        let directory = try TemporaryDirectory()
        func fit(_ name: String, epochs: Int, resume: ResumePoint? = nil) throws -> [ModelCheckpoint] {
            let callbacks = [
                ModelCheckpoint(directory: directory(name + "/few"), monitor: "train_loss_epoch", saveTopK: 1),
                ModelCheckpoint(directory: directory(name + "/all"), monitor: "train_loss_epoch", saveTopK: -1),
            ]
            try quietTrainer(maxEpochs: epochs) { $0.callbacks = callbacks }.fit(
                SmallClassifier(), train: train, resume: resume)
            return callbacks
        }
        _ = try fit("part", epochs: 2)
        let resumed = try fit("part", epochs: 4, resume: .last)
        let whole = try fit("whole", epochs: 4)
        for folder in ["few", "all"] {
            #expect(directory.names(in: "part/" + folder) == directory.names(in: "whole/" + folder))
            for name in ["last", "best"] {
                #expect(
                    files(directory("part/\(folder)/\(name)")) == files(directory("whole/\(folder)/\(name)")), "\(name)"
                )
            }
        }
        #expect(try resumed.map { try $0.saveState() } == whole.map { try $0.saveState() })
        #expect(try resumed[0].saveState() != resumed[1].saveState())
        // One that ends within an epoch has its `last` in both folders.
        try quietTrainer(maxSteps: 2) {
            $0.callbacks = ["x", "y"].map { ModelCheckpoint(directory: directory($0)) }
        }.fit(SmallClassifier(), train: train)
        for name in ["x", "y"] { #expect(try Checkpoint(directory(name + "/last")).state.globalStep == 2) }
        // Another run's second folder is none of this one's.
        _ = try fit("other", epochs: 1)
        try FileManager.default.removeItem(atPath: directory("part/all"))
        try FileManager.default.moveItem(atPath: directory("other/all"), toPath: directory("part/all"))
        #expect(refusal { _ = try fit("part", epochs: 5, resume: .last) }?.path == directory("part/all"))
    }

    // MARK: Two at a time

    /// While one fit runs nobody else writes to its folder, new or resumed, or replacing it.
    @Test func oneRunAtATime() throws {
        let directory = try TemporaryDirectory()
        try makeTrainer(directory("run")).fit(SmallClassifier(), train: train)
        var problems: [CheckpointError.Problem?] = []
        let looking = LambdaCallback {
            $0.onTrainStart = { [self] _, _ in
                problems = [
                    refusal { try makeTrainer(directory("run")).fit(SmallClassifier(), train: train, resume: .last) },
                    refusal {
                        try makeTrainer(directory("run")) { $0.overwrite = true }.fit(SmallClassifier(), train: train)
                    },
                ].map { $0?.problem }
            }
        }
        try quietTrainer(maxEpochs: 2) {
            $0.callbacks = [ModelCheckpoint(directory: directory("run")), looking]
        }.fit(SmallClassifier(), train: train, resume: .last)
        #expect(problems == [.inUse, .inUse])
        #expect(!directory.names(in: "run").contains(".run.lock"))
        // Also before there is a checkpoint.
        let early = LambdaCallback {
            $0.onTrainStart = { [self] _, _ in
                #expect(
                    refusal { try makeTrainer(directory("new")).fit(SmallClassifier(), train: train) }?.problem
                        == .inUse)
            }
        }
        try quietTrainer(maxEpochs: 1) {
            $0.callbacks = [ModelCheckpoint(directory: directory("new")), early]
        }.fit(SmallClassifier(), train: train)
        #expect(directory.names(in: "new") == ["last", "run.json"])
    }

    // MARK: Replacing

    /// Everything of the old run is there until the new one has a checkpoint, and nothing of it afterwards; what is not a run's stays.
    @Test func replacingLeavesNothingOfTheOldRun() throws {
        let directory = try TemporaryDirectory()
        let old = makeTrainer(directory("run"))
        for _ in 0..<2 { try old.fit(SmallClassifier(seed: 2), train: train) }
        func put(_ name: String) throws { try Data("mine".utf8).write(to: URL(fileURLWithPath: directory(name))) }
        try put("run/notes.txt")
        try put("run/fit-2/notes.txt")
        try put("run/best/notes.txt")
        let before = files(directory("run"))
        // Killed before its first checkpoint: as it was.
        #expect(throws: StepFailure.self) {
            try quietTrainer(maxEpochs: 1) {
                $0.callbacks = [
                    ModelCheckpoint(directory: directory("run")) { $0.overwrite = true },
                    LambdaCallback { $0.onTrainEpochEnd = { _, _ in throw StepFailure() } },
                ]
            }.fit(SmallClassifier(), train: train)
        }
        #expect(files(directory("run")) == before)
        try quietTrainer(maxEpochs: 1) {
            $0.callbacks = [ModelCheckpoint(directory: directory("run")) { $0.overwrite = true }]
        }.fit(SmallClassifier(), train: train)
        #expect(directory.names(in: "run") == ["best.kept", "fit-2", "last", "notes.txt", "run.json"])
        #expect(directory.names(in: "run/fit-2") == ["notes.txt"])
        #expect(text(directory("run/best.kept/notes.txt")) == "mine" && text(directory("run/notes.txt")) == "mine")
        try makeTrainer(directory("fresh")).fit(SmallClassifier(), train: train)
        let model = "last/model.safetensors"
        #expect(bytes(directory("run/" + model)) == bytes(directory("fresh/" + model)))
    }

    // MARK: Places that cannot be written

    /// Said before the first step, by the library too.
    @Test func whatCannotBeWrittenIsSaidBeforeTheFirstStep() throws {
        let directory = try TemporaryDirectory()
        try Data().write(to: URL(fileURLWithPath: directory("file")))
        for name in ["folder/last", "alien/last"] {
            try FileManager.default.createDirectory(atPath: directory(name), withIntermediateDirectories: true)
        }
        try Data().write(to: URL(fileURLWithPath: directory("alien/last/thesis.txt")))
        try FileManager.default.createDirectory(atPath: directory("blocked"), withIntermediateDirectories: true)
        try Data().write(to: URL(fileURLWithPath: directory("blocked/best")))
        for path in ["file", "file/run", "alien", "blocked"].map({ directory($0) }) + ["/proc/needletail/run"] {
            let trainer = makeTrainer(path)
            let error = refusal { try trainer.fit(SmallClassifier(), train: train) }
            if case .notWritten = error?.problem {} else { Issue.record("\(path): \(error?.description ?? "")") }
            #expect(trainer.state.globalStep == 0 && trainer.metrics.isEmpty, "\(path)")
        }
        try makeTrainer(directory("folder")).fit(SmallClassifier(), train: train)  // an empty one is no obstacle
        let within = refusal {
            try makeTrainer(directory("folder/last")) { $0.overwrite = true }.fit(SmallClassifier(), train: train)
        }
        #expect(within?.description.contains("a checkpoint itself") == true)
        #expect(directory.names(in: "folder/last") == ["model.safetensors", "optimizer.safetensors", "state.json"])
        #expect(throws: CheckpointError.self) {
            try quietTrainer(maxEpochs: 1) { $0.rootDirectory = directory("file") }
                .fit(SmallClassifier(), train: train)
        }
    }

    // MARK: run.json

    /// It says who and when, and nothing of that is anywhere else: equal runs write equal bytes, with a limit of time too.
    @Test func equalRunsDifferInTheirRecordAlone() throws {
        let directory = try TemporaryDirectory()
        for name in ["a", "b/c"] {
            let trainer = quietTrainer(maxEpochs: 2) {
                $0.maxTime = .seconds(3600)
                $0.logEveryNSteps = 1
                $0.callbacks = [
                    ThroughputMonitor(), RunReport(to: directory("report.html")),
                    ModelCheckpoint(directory: directory(name), monitor: "train_loss_epoch", saveTopK: 2),
                ]
            }
            try trainer.fit(SmallClassifier(), train: train)
            #expect(trainer.metrics["throughput/samples_per_second"] != nil)
        }
        var (first, second) = (files(directory("a")), files(directory("b/c")))
        #expect(first["run.json"] != second["run.json"] && first["run.json"]?.isEmpty == false)
        (first["run.json"], second["run.json"]) = (nil, nil)
        #expect(first.keys.contains("best/state.json") && first == second)
        #expect(!text(directory("a/last/state.json")).contains("elapsed"))
        let found = try record(directory("a"))
        #expect(found["began"] is String && found["ended"] is String)
    }

    /// Times are found beside the checkpoint that they are of, under any name, and in state.json as older versions wrote it.
    @Test func timeIsFoundAgain() throws {
        let directory = try TemporaryDirectory()
        func run(_ steps: Int, _ resume: ResumePoint?, to folder: String = "run") throws -> (Double, [String]) {
            var now = 0.0
            let timer = TrainingTimer(.seconds(1_000_000)) {
                now += 1
                return now
            }
            var first: Double?
            let trainer = quietTrainer(maxSteps: steps) {
                $0.callbacks = [
                    timer, ModelCheckpoint(directory: directory(folder)),
                    LambdaCallback { $0.onFitStart = { _, _ in first = timer.elapsed / .seconds(1) } },
                    SaveTo(directory("elsewhere/mine")),
                ]
            }
            try trainer.fit(SmallClassifier(), train: train, resume: resume)
            return (first ?? -1, trainer.notices)
        }
        #expect(try run(3, nil).0 == 0)
        let (before, _) = try run(4, .last)
        #expect(before > 3)
        #expect(try run(5, .path(directory("elsewhere/mine")), to: "other").0 > 3, "an explicit checkpoint")
        #expect(directory.names(in: "elsewhere") == ["mine", "run.json"])
        // Nothing is known where the record is gone, or of another checkpoint; that is said.
        try FileManager.default.copyItem(atPath: directory("run/last"), toPath: directory("copy"))
        let (alone, notices) = try run(5, .path(directory("copy")), to: "third")
        #expect(alone == 0 && notices.contains { $0.contains("not known") })
        let old = TrainingTimer(.seconds(1))
        try old.loadState(["elapsed": 12.5])
        #expect(old.elapsed == .seconds(12.5))
        for wrong in [-1, .nan, .infinity, 1e300] as [Double] {
            #expect(throws: DecodingError.self) { try old.loadState(["elapsed": .number(wrong)]) }
        }
    }

    /// What a tracker calls the run stands there, and in no checkpoint.
    @Test func trackersAreNamed() throws {
        final class Tracker: Logger {
            var runID: String? { "0123456789abcdef" }
            func log(_ record: MetricsRecord) throws {}
        }
        let directory = try TemporaryDirectory()
        try quietTrainer(maxEpochs: 1) {
            $0.loggers = [Tracker(), MemoryLogger()]
            $0.rootDirectory = directory.path
        }.fit(SmallClassifier(), train: train)
        let folder = directory("checkpoints")
        #expect(try record(folder)["trackers"] as? [String: String] == ["Tracker": "0123456789abcdef"])
        #expect(!text(folder + "/last/state.json").contains("0123456789abcdef"))
    }

    /// A record of hostile bytes is never believed and ends nothing.
    @Test func aHostileRecordIsNoRecord() throws {
        let directory = try TemporaryDirectory()
        try makeTrainer(directory("run")).fit(SmallClassifier(), train: train)
        let path = directory("run/run.json")
        let whole = bytes(path)
        let nested = Array((String(repeating: "[", count: 100_000)).utf8)
        let cut: [UInt8] = whole.dropLast(9) + [0x7D]
        for content: [UInt8] in [nested, cut, Array("null".utf8), [UInt8](repeating: 0, count: 100)] {
            try Data(content).write(to: URL(fileURLWithPath: path))
            #expect(refusal { try makeTrainer(directory("run")).fit(SmallClassifier(), train: train) } != nil)
            try makeTrainer(directory("run"), epochs: 1).fit(SmallClassifier(), train: train, resume: .last)
        }
        try FileManager.default.removeItem(atPath: path)
        #expect(mkfifo(path, 0o600) == 0)
        #expect(refusal { try makeTrainer(directory("run")).fit(SmallClassifier(), train: train) } != nil)
    }
}

/// Saves a checkpoint at a path of its own after each step.
private final class SaveTo: Callback {
    let path: String
    init(_ path: String) { self.path = path }
    override var runsLast: Bool { true }
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws { try trainer.saveCheckpoint(to: path) }
}
