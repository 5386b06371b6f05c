import Foundation
import Needletail
import Testing

@Suite struct CheckpointTests {
    private static let fileNames = ["model.safetensors", "optimizer.safetensors", "state.json"]

    private func train(
        _ directory: String, width: Int = 8, epochs: Int = 1, resume: ResumePoint? = nil,
        optimizer: @escaping (SmallClassifier) -> [Optimizer] = { [Adam($0.parameters())] }
    ) throws {
        let module = SmallClassifier(width: width)
        module.makeOptimizers = optimizer
        try quietTrainer(maxEpochs: epochs, precision: .mixedFloat16) {
            $0.callbacks = [ModelCheckpoint(directory: directory)]
        }.fit(module, train: DataLoader(Points(12), batchSize: 4), resume: resume)
    }

    @Test func whatACheckpointHolds() throws {
        let directory = try TemporaryDirectory()
        try train(directory.path)
        #expect(directory.names() == ["last", "run.json"])
        #expect(directory.names(in: "last") == Self.fileNames)
        let checkpoint = try Checkpoint(directory("last"))
        #expect(checkpoint.precision == .mixedFloat16 && checkpoint.formatVersion == 1)
        #expect(checkpoint.state.epoch == 1 && checkpoint.state.globalStep == 3 && checkpoint.state.batchInEpoch == 0)
        #expect(checkpoint.scaler?.scale == 65536 && checkpoint.scaler?.growthTracker == 3)
        #expect(checkpoint.hyperparameters == ["width": 8])
        #expect(checkpoint.model.keys.sorted() == ["head.bias", "head.weight", "hidden.bias", "hidden.weight"])
        #expect(checkpoint.model.values.allSatisfy { $0.dtype == .float32 })
        #expect(checkpoint.optimizer["0/hidden.weight.exp_avg"]?.shape == [8, 6])
        #expect(checkpoint.optimizer["0/hidden.weight.step"]?.scalars(as: Int64.self) == [3])
        #expect(checkpoint.optimizers.map(\.kind) == ["Adam"])
        #expect(!checkpoint.kernelRow.isEmpty)
        // Masters are not values of the 16-bit type.
        let master = try #require(checkpoint.model["hidden.weight"])
        #expect(master.bytes != master.cast(to: .float16).cast(to: .float32).bytes)
        let module = SmallClassifier(seed: 99)
        try module.load(stateDictionary: checkpoint.model)
        #expect(module.hidden.weight.master.bytes == master.bytes)
    }

    /// One flipped bit anywhere, in any file, is an error.
    @Test func oneFlippedBitIsAnError() throws {
        let directory = try TemporaryDirectory()
        try train(directory.path)
        for name in Self.fileNames {
            let path = directory("last/" + name)
            let original = bytes(path)
            let step = max(1, original.count / 60)
            for (turn, position) in stride(from: 0, to: original.count, by: step).enumerated() {
                var changed = original
                changed[position] ^= 1 << (turn % 8)
                try Data(changed).write(to: URL(fileURLWithPath: path))
                #expect(throws: CheckpointError.self, "\(name) byte \(position)") { try Checkpoint(directory("last")) }
            }
            try Data(original).write(to: URL(fileURLWithPath: path))
        }
        _ = try Checkpoint(directory("last"))
    }

    /// Truncated, extended, empty, missing, swapped: an error that names the file, in fit too, which trains nothing.
    @Test func damagedFilesAreErrorsAndNeverAFreshStart() throws {
        let directory = try TemporaryDirectory()
        try train(directory.path)
        let cases: [(String, (String) throws -> Void)] = [
            ("truncated", { try Data(bytes($0).dropLast()).write(to: URL(fileURLWithPath: $0)) }),
            ("half", { try Data(bytes($0).prefix(bytes($0).count / 2)).write(to: URL(fileURLWithPath: $0)) }),
            ("extended", { try Data(bytes($0) + [0]).write(to: URL(fileURLWithPath: $0)) }),
            ("empty", { try Data().write(to: URL(fileURLWithPath: $0)) }),
            ("missing", { try FileManager.default.removeItem(atPath: $0) }),
            ("foreign", { try Data("{\"a\":1}".utf8).write(to: URL(fileURLWithPath: $0)) }),
            (
                "a folder",
                {
                    try FileManager.default.removeItem(atPath: $0)
                    try FileManager.default.createDirectory(atPath: $0, withIntermediateDirectories: false)
                }
            ),
        ]
        for name in Self.fileNames {
            for (what, damage) in cases {
                let copy = directory("copy")
                try FileManager.default.copyItem(atPath: directory("last"), toPath: copy)
                try damage(copy + "/" + name)
                let error = #expect(throws: CheckpointError.self, "\(name) \(what)") {
                    try train(directory("out"), resume: .path(copy))
                }
                #expect(error?.description.contains(name) == true, "\(name) \(what): \(error?.description ?? "")")
                #expect(directory.names(in: "out") == [])
                try FileManager.default.removeItem(atPath: copy)
            }
        }
        // The optimizer's file under the model's name.
        try FileManager.default.copyItem(atPath: directory("last"), toPath: directory("swapped"))
        try Data(bytes(directory("last/optimizer.safetensors")))
            .write(to: URL(fileURLWithPath: directory("swapped/model.safetensors")))
        #expect(throws: CheckpointError.self) { try Checkpoint(directory("swapped")) }
    }

    @Test func otherModelsOptimizersAndPathsAreRefused() throws {
        let directory = try TemporaryDirectory()
        try train(directory.path)
        let last = ResumePoint.path(directory("last"))
        let shape = #expect(throws: CheckpointError.self) { try train(directory("out"), width: 9, resume: last) }
        #expect(shape?.description.contains("[9, 6]") == true && shape?.description.contains("[8, 6]") == true)
        let kind = #expect(throws: CheckpointError.self) {
            try train(directory("out"), resume: last) { [AdamW($0.parameters())] }
        }
        #expect(kind?.description.contains("AdamW") == true)
        #expect(throws: CheckpointError.self) {
            try train(directory("out"), resume: last) { [Adam($0.hidden.parameters()), Adam($0.head.parameters())] }
        }
        let missing = #expect(throws: CheckpointError.self) {
            try train(directory("out"), resume: .path(directory("none")))
        }
        #expect(missing?.problem == .missing)
        #expect(throws: CheckpointError(path: directory("out/last"), problem: .missing)) {
            try train(directory("out"), resume: .last)
        }
        #expect(throws: CheckpointError(path: "", problem: .noDirectory)) {
            try quietTrainer(maxEpochs: 1).fit(
                SmallClassifier(), train: DataLoader(Points(4), batchSize: 4), resume: .last)
        }
    }

    /// A newer version is refused by its number, before anything else is looked at.
    @Test func newerVersionsAreRefused() throws {
        let directory = try TemporaryDirectory()
        try train(directory.path)
        let path = directory("last/state.json")
        let body = text(path).dropFirst(20)  // {"crc32":"xxxxxxxx",
        #expect(text(path).hasPrefix("{\"crc32\":\"") && body.contains("\"formatVersion\" : 1"))
        let newer = body.replacingOccurrences(of: "\"formatVersion\" : 1", with: "\"formatVersion\" : 2")
        try Data("{\"crc32\":\"\(crc32(Array(newer.utf8)))\",\(newer)".utf8).write(to: URL(fileURLWithPath: path))
        #expect(throws: CheckpointError(path: directory("last"), problem: .newerFormat(found: 2, supported: 1))) {
            try Checkpoint(directory("last"))
        }
    }

    /// Tensors of types that cannot be read: the checkpoint is read without them, and what needs one names it.
    @Test(arguments: ["model", "optimizer"]) func tensorsOfOtherTypesAreNamedWhereTheyAreNeeded(_ file: String) throws {
        let directory = try TemporaryDirectory()
        try train(directory.path)
        let (path, statePath) = (directory("last/\(file).safetensors"), directory("last/state.json"))
        let old = bytes(path)
        // The first float32 tensor of the header becomes one of uint32.
        let place = try #require(Data(old).range(of: Data("F32".utf8))).lowerBound
        var new = old
        new[place] = UInt8(ascii: "U")
        try Data(new).write(to: URL(fileURLWithPath: path))
        let state = text(statePath).dropFirst(20).replacingOccurrences(of: crc32(old), with: crc32(new))
        let whole = "{\"crc32\":\"\(crc32(Array(state.utf8)))\",\(state)"
        try Data(whole.utf8).write(to: URL(fileURLWithPath: statePath))

        let entry = try #require(SafeTensorsFile.inspect(path).entries.first { $0.dtype == nil })
        let checkpoint = try Checkpoint(directory("last"))
        #expect((file == "model" ? checkpoint.model : checkpoint.optimizer)[entry.name] == nil)
        #expect((file == "model" ? checkpoint.unreadModel : checkpoint.unreadOptimizer) == [entry])
        let error = #expect(throws: CheckpointError.self) {
            try train(directory("next"), epochs: 2, resume: .path(directory("last")))
        }
        for word in ["\(file).safetensors", "'\(entry.name)'", "U32", "F64 F32"] {
            #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
        }
        guard file == "model" else { return }
        let module = SmallClassifier()
        let needed = #expect(throws: StateDictionaryError.self) { try module.load(from: directory("last")) }
        #expect(needed?.problems.count == 1)
        #expect(needed?.problems.first?.contains("'\(entry.name)': found type U32") == true)
        try module.load(from: directory("last"), except: [entry.name])
    }

    /// CRC-32 a bit at a time, as its definition reads.
    private func crc32(_ bytes: [UInt8]) -> String {
        var state = ~UInt32(0)
        for byte in bytes {
            state ^= UInt32(byte)
            for _ in 0..<8 { state = state & 1 == 0 ? state >> 1 : state >> 1 ^ 0xEDB8_8320 }
        }
        return String(format: "%08x", ~state)
    }

    /// What a killed run leaves behind is never taken for a checkpoint, and the next save clears it away.
    @Test func partialFoldersAreNotCheckpoints() throws {
        let directory = try TemporaryDirectory()
        let partial = directory(".last.partial")
        try FileManager.default.createDirectory(atPath: partial, withIntermediateDirectories: true)
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: partial + "/model.safetensors"))
        #expect(throws: CheckpointError(path: directory("last"), problem: .missing)) {
            try Checkpoint(directory("last"))
        }
        try train(directory.path)
        #expect(directory.names() == ["last", "run.json"])
        // Even a complete one is refused under its temporary name: nobody knows whether it was flushed.
        try FileManager.default.copyItem(atPath: directory("last"), toPath: partial)
        #expect(throws: CheckpointError.self) { try Checkpoint(partial) }
        try train(directory.path, epochs: 2, resume: .last)
        #expect(directory.names() == ["last", "run.json"])
        #expect(try Checkpoint(directory("last")).state.epoch == 2)
    }

    /// Two processes that save to one name do not write into each other's folder: one of a living process stays, one of a dead
    /// one is cleared away.
    @Test func anotherProcessesPartialFolderStays() throws {
        let directory = try TemporaryDirectory()
        let dead = Process()
        dead.executableURL = URL(fileURLWithPath: "/bin/true")
        try dead.run()
        dead.waitUntilExit()
        let (alive, gone) = (".last.\(getppid()).partial", ".last.\(dead.processIdentifier).partial")
        for name in [alive, gone] {
            try FileManager.default.createDirectory(atPath: directory(name), withIntermediateDirectories: true)
            try Data([1]).write(to: URL(fileURLWithPath: directory(name) + "/model.safetensors"))
        }
        try train(directory.path)
        #expect(directory.names() == [alive, "last", "run.json"])
        #expect(bytes(directory(alive) + "/model.safetensors") == [1])
    }

    /// A folder with other files is no checkpoint to be replaced, and notes put beside one are not deleted with it.
    @Test func nothingButCheckpointsIsDeleted() throws {
        let directory = try TemporaryDirectory()
        func put(_ name: String) throws {
            let folder = (directory(name) as NSString).deletingLastPathComponent
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data("mine".utf8).write(to: URL(fileURLWithPath: directory(name)))
        }
        try put("other/last/thesis.txt")
        let error = #expect(throws: CheckpointError.self) { try train(directory("other")) }
        #expect(error?.description.contains("other files") == true)
        #expect(directory.names(in: "other") == ["last"] && directory.names(in: "other/last") == ["thesis.txt"])

        try train(directory("run"))
        try put("run/last/notes.txt")
        try train(directory("run"), epochs: 2, resume: .last)
        #expect(directory.names(in: "run") == ["last", "last.kept", "run.json"])
        #expect(directory.names(in: "run/last") == Self.fileNames)
        #expect(bytes(directory("run/last.kept/notes.txt")) == Array("mine".utf8))
        #expect(try Checkpoint(directory("run/last.kept")).state.epoch == 1)
        try put("run/last/notes.txt")
        try train(directory("run"), epochs: 3, resume: .last)
        #expect(directory.names(in: "run") == ["last", "last.kept", "last.kept-2", "run.json"])
    }

    /// Where folders cannot be exchanged the old one stands as `.previous` for a moment, and is found there.
    @Test func thePreviousOneIsFound() throws {
        let directory = try TemporaryDirectory()
        try train(directory.path)
        try FileManager.default.moveItem(atPath: directory("last"), toPath: directory("last.previous"))
        #expect(try Checkpoint(directory("last")).state.epoch == 1)
        try train(directory.path, epochs: 2, resume: .last)
        #expect(directory.names() == ["last", "run.json"])
    }

    /// A reader that opens `last` again and again while it is replaced always finds a whole checkpoint.
    @Test func thereIsAlwaysAWholeCheckpoint() throws {
        let directory = try TemporaryDirectory()
        try train(directory.path)
        let path = directory("last")
        let reader = Reader(path)
        reader.start()
        let trainer = quietTrainer(maxSteps: 60) {
            $0.callbacks = [AfterBatch { trainer, _, _, _ in try trainer.saveCheckpoint(to: path) }]
        }
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(12), batchSize: 4))
        #expect(reader.stop() == [])
        #expect(reader.reads > 0)
        #expect(directory.names() == ["last", "run.json"])
    }

    @Test func savingWithinAWindowOrOutsideOfFitIsRefused() throws {
        let directory = try TemporaryDirectory()
        var refused = 0
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.accumulateGradBatches = 2
            $0.callbacks = [
                AfterBatch { trainer, _, result, _ in
                    do { try trainer.saveCheckpoint(to: directory("x")) } catch TrainerError.noStepBoundary {
                        #expect(!result.closesWindow)
                        refused += 1
                    }
                }
            ]
        }
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(16), batchSize: 4))
        #expect(refused == 2)
        #expect(throws: TrainerError.noStepBoundary) { try trainer.saveCheckpoint(to: directory("y")) }
    }

    /// A failing write is an error, and the old checkpoint stays.
    @Test func aFailingWriteLeavesTheOldOne() throws {
        let directory = try TemporaryDirectory()
        try train(directory.path)
        let before = bytes(directory("last/state.json"))
        try Data("x".utf8).write(to: URL(fileURLWithPath: directory("file")))
        let error = #expect(throws: CheckpointError.self) {
            try train(directory("file"), resume: .path(directory("last")))
        }
        if case .notWritten = error?.problem {} else { Issue.record("found \(String(describing: error?.problem))") }
        #expect(bytes(directory("last/state.json")) == before)
    }
}

/// Opens a checkpoint again and again on a thread of its own.
private final class Reader: @unchecked Sendable {
    // The lock guards all that both threads touch.
    private let lock = NSLock()
    private let path: String
    private let done = DispatchSemaphore(value: 0)
    private var failures: [String] = []
    private var isStopped = false
    private(set) var reads = 0

    init(_ path: String) { self.path = path }

    func start() {
        let thread = Thread { [self] in
            while !lock.withLock({ isStopped }) {
                do {
                    _ = try Checkpoint(path)
                    lock.withLock { reads += 1 }
                } catch { lock.withLock { failures.append("\(error)") } }
            }
            done.signal()
        }
        thread.start()
    }

    /// Ends the thread and returns what went wrong.
    func stop() -> [String] {
        lock.withLock { isStopped = true }
        done.wait()
        return failures
    }
}
