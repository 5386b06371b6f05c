import Foundation
import Needletail
import Testing

@Suite struct MLflowLoggerTests {
    private final class Notes {
        var text = ""
        var console: Console { Console(isTerminal: false) { self.text += $0 } }
    }

    private func logger(
        _ stub: MLflowStub, _ directory: TemporaryDirectory, _ notes: Notes, timeout: Double = 5
    ) throws -> MLflowLogger {
        try MLflowLogger(
            stub.address, experiment: "a b&c", run: "first", spool: directory("spool"), timeout: timeout,
            retryInterval: 0.02, console: notes.console, clock: { 1.5 })
    }

    private func record(_ step: Int, _ value: Double = 0.5) -> MetricsRecord {
        MetricsRecord(event: .step, epoch: 0, step: step, values: [("loss", value)])
    }

    /// Waits for what happens on another thread; false after half a minute.
    private func eventually(_ condition: () -> Bool) -> Bool {
        for _ in 0..<3000 where !condition() { usleep(10_000) }
        return condition()
    }

    @Test func aRunIsLogged() throws {
        let stub = try MLflowStub(), directory = try TemporaryDirectory(), notes = Notes()
        let logger = try logger(stub, directory, notes)
        let module = SmallClassifier()
        module.hyperparameters = ["lr": 0.5, "data": ["name": "x"], "odd$name": [1, 2]]
        let trainer = quietTrainer(maxEpochs: 2) {
            $0.loggers = [logger]
            $0.logEveryNSteps = 1
        }
        try trainer.fit(module, train: DataLoader(Points(32), batchSize: 16))
        try trainer.test(module, DataLoader(Points(16), batchSize: 16))
        let paths = stub.requests.map { $0.path.replacingOccurrences(of: "/api/2.0/mlflow/", with: "") }
        #expect(paths.first == "experiments/get-by-name?experiment_name=a%20b%26c")
        #expect(paths.count { $0 == "runs/create" } == 1 && logger.runID == "run1")
        let parameters = try #require(stub.requests.first { $0.path.hasSuffix("log-batch") }?.body)
        #expect(
            parameters == [
                "run_id": "run1",
                "params": [
                    ["key": "data.name", "value": "x"], ["key": "lr", "value": "0.5"],
                    ["key": "odd_name", "value": "[1,2]"],
                ],
            ])
        #expect(stub.metrics.filter { $0.name == "train_loss_step" }.map(\.step) == [1, 2, 3, 4])
        #expect(stub.metrics.contains { $0.name == "test_loss" && $0.step == 4 })
        let end = try #require(stub.requests.last { $0.path.hasSuffix("runs/update") }?.body)
        #expect(end == ["run_id": "run1", "status": "FINISHED", "end_time": 1500])
        #expect(notes.text.isEmpty && directory.names(in: "spool").isEmpty)
    }

    /// The server goes away in the middle of a run and comes back: a notice for each, and every value once, in order.
    @Test(arguments: [false, true]) func aServerThatComesBackHasEverything(isSilent: Bool) throws {
        let stub = try MLflowStub(), directory = try TemporaryDirectory(), notes = Notes()
        let logger = try logger(stub, directory, notes, timeout: isSilent ? 0.2 : 5)
        try logger.logHyperparameters([:])
        for step in 1...3 { try logger.log(record(step)) }
        #expect(eventually { stub.metrics.count == 3 })
        if isSilent { stub.become(.silent) } else { stub.stop() }
        for step in 4...50 { try logger.log(record(step, step == 9 ? .nan : 0.5)) }
        var last = 50
        for _ in 0..<3000 where notes.text.isEmpty {  // the note comes with the first record after the failure
            usleep(10_000)
            last += 1
            try logger.log(record(last))
        }
        #expect(notes.text.contains("does not answer") && notes.text.contains("training goes on"), "\(notes.text)")
        #expect(directory.names(in: "spool").count == 1)
        if isSilent { stub.become(.well) } else { try stub.start() }
        #expect(eventually { stub.metrics.count == last })
        try logger.flush()
        #expect(stub.metrics.map(\.step) == (1...last).map(Int64.init))
        #expect(stub.metrics[8].value == "NaN")
        #expect(notes.text.contains("answers again") && notes.text.split(separator: "\n").count == 2, "\(notes.text)")
        #expect(directory.names(in: "spool").isEmpty)
    }

    /// The server does not come back: the run ends well and says where its values are; the next run sends them. What had
    /// been taken before the server went away, while later requests waited, is in that file too and comes a second time.
    @Test func whatIsLeftIsSentByTheNextRun() throws {
        let stub = try MLflowStub(), directory = try TemporaryDirectory(), notes = Notes()
        final class Stopping: Callback {
            let stub: MLflowStub
            init(_ stub: MLflowStub) { self.stub = stub }
            override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) {
                if trainer.state.epoch == 1 { stub.stop() }
            }
        }
        do {
            let logger = try logger(stub, directory, notes)
            let trainer = quietTrainer(maxEpochs: 3) {
                $0.loggers = [logger]
                $0.callbacks = [Stopping(stub)]
                $0.logEveryNSteps = 1
            }
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(32), batchSize: 16))
            #expect(trainer.state.globalStep == 6)
        }
        #expect(notes.text.contains("kept in") && notes.text.contains("the next run"), "\(notes.text)")
        #expect(directory.names(in: "spool").count == 1)
        try stub.start()
        let next = try logger(stub, directory, Notes())
        try next.flush()
        let steps = stub.metrics.filter { $0.name == "train_loss_step" }.map(\.step)
        #expect(Set(steps) == Set(1...6) && steps.suffix(4) == [3, 4, 5, 6], "\(steps)")
        #expect(stub.requests.last?.path.hasSuffix("runs/update") == true)
        #expect(directory.names(in: "spool").isEmpty)
    }

    /// A request that the server will never take is told of, and does not hold the others up.
    @Test func aRefusalIsTold() throws {
        let stub = try MLflowStub(), directory = try TemporaryDirectory(), notes = Notes()
        let logger = try logger(stub, directory, notes)
        try logger.logHyperparameters([:])
        try logger.flush()
        stub.become(.status(400))
        try logger.log(record(1))
        try logger.flush()
        #expect(
            notes.text.contains("refused a request: status 400") && notes.text.contains("not today"), "\(notes.text)")
        stub.become(.well)
        try logger.log(record(2))
        try logger.flush()
        #expect(stub.metrics.map(\.step) == [2])
    }

    /// What has waited is sent together, at most a thousand values at once; values refused together are tried in halves.
    @Test func whatWaitsIsSentTogether() throws {
        let stub = try MLflowStub(), directory = try TemporaryDirectory(), notes = Notes()
        let logger = try logger(stub, directory, notes)
        try logger.logHyperparameters([:])
        try logger.flush()
        stub.stop()
        for step in 1...1500 { try logger.log(record(step, step == 700 ? -77 : 0.5)) }
        // An attempt that began while they were logged may have taken a part of them: the next one has all.
        for _ in 0..<2 { try logger.flush() }
        stub.refuse("-77")
        try stub.start()
        for _ in 0..<100 where directory.names(in: "spool").count > 0 { try logger.flush() }
        #expect(stub.metrics.map(\.step) == Array(1...699) + Array(701...1500))
        #expect(stub.largestBatch <= 1000 && stub.largestBatch >= 400)
        #expect(notes.text.contains("refused a request") && notes.text.contains("-77"))
    }

    /// A run that was killed before it had logged anything leaves an empty file, or half a line: there is nothing to send.
    @Test(arguments: ["", "{\"path\":\"runs/log-b"]) func aFileWithoutALineIsRemoved(left: String) throws {
        let stub = try MLflowStub(), directory = try TemporaryDirectory(), notes = Notes()
        try write(left, to: "mlflow-unsent-1.jsonl", in: directory)
        let logger = try logger(stub, directory, notes)
        try logger.flush()
        #expect(directory.names(in: "spool").isEmpty && notes.text.isEmpty)
        #expect(stub.requests.count == 1)  // the experiment's
    }

    /// A file with a line that cannot be understood is left where it is, whole; others are sent.
    @Test func aDamagedFileIsKept() throws {
        let stub = try MLflowStub(), directory = try TemporaryDirectory(), notes = Notes()
        let good = "{\"path\":\"runs/update\",\"body\":{\"run_id\":\"a\"}}\n"
        let damaged = good + "{\"path\":\"runs/upda\n" + good
        try write(damaged, to: "mlflow-unsent-1.jsonl", in: directory)
        try write(good, to: "mlflow-unsent-2.jsonl", in: directory)
        let logger = try logger(stub, directory, notes)
        try logger.flush()
        #expect(directory.names(in: "spool") == ["mlflow-unsent-1.jsonl"])
        #expect(text(directory("spool/mlflow-unsent-1.jsonl")) == damaged)
        #expect(stub.requests.count { $0.path.hasSuffix("runs/update") } == 1)
        #expect(notes.text.contains("mlflow-unsent-1.jsonl") && notes.text.contains("line 2"), "\(notes.text)")
    }

    private func write(_ text: String, to name: String, in directory: TemporaryDirectory) throws {
        try FileManager.default.createDirectory(atPath: directory("spool"), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: directory("spool/\(name)")))
    }

    @Test func aServerThatIsNotThereIsAnErrorAtOnce() throws {
        let stub = try MLflowStub(), directory = try TemporaryDirectory()
        stub.stop()
        #expect { try logger(stub, directory, Notes()) } throws: { error in
            "\(error)".contains("does not answer") && "\(error)".contains("mlflow server")
        }
        #expect(throws: MLflowError.self) { try MLflowLogger("not an address", spool: directory("spool")) }
        stub.become(.status(500))
        try stub.start()
        #expect(throws: MLflowError.self) { try logger(stub, directory, Notes()) }
        #expect(directory.names(in: "spool").isEmpty)
    }

    /// A run that fails is FAILED, and what it had logged is there.
    @Test func aRunThatFailsIsMarked() throws {
        struct Failure: Error {}
        final class Breaking: Callback {
            override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws { throw Failure() }
        }
        let stub = try MLflowStub(), directory = try TemporaryDirectory()
        let logger = try logger(stub, directory, Notes())
        let trainer = quietTrainer(maxEpochs: 3) {
            $0.loggers = [logger]
            $0.callbacks = [Breaking()]
            $0.logEveryNSteps = 1
        }
        #expect(throws: Failure.self) {
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(32), batchSize: 16))
        }
        guard case .object(let end)? = stub.requests.last?.body else {
            Issue.record("no end")
            return
        }
        #expect(end["status"] == "FAILED" && stub.metrics.count { $0.name == "train_loss_step" } == 2)
    }
}
