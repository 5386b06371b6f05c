// A real MLflow server on loopback, where NEEDLETAIL_TEST_MLFLOW names the command `mlflow` (make mlflow installs it).
import Foundation
import Needletail
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

private let mlflow = ProcessInfo.processInfo.environment["NEEDLETAIL_TEST_MLFLOW"]

/// Ends a server with the processes that it has started: they are of its group.
private func end(_ server: Process) {
    kill(-server.processIdentifier, SIGKILL)
    server.waitUntilExit()
}

/// A value of a metric.
private struct Logged: Hashable {
    let step: Int
    let value: Double
}

@Suite(.enabled(if: mlflow != nil, "NEEDLETAIL_TEST_MLFLOW names no mlflow: make mlflow"))
struct MLflowServerTests {
    /// Of this process: a server that another run has left behind is never met.
    private static let port = 20_000 + Int(getpid()) % 20_000
    private static let address = "http://127.0.0.1:\(port)"

    /// Starts the server on the data in a folder, and waits until it answers.
    private func start(_ directory: TemporaryDirectory) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(mlflow))
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        process.arguments = [
            "server", "--backend-store-uri", "sqlite:///\(directory("mlflow.db"))", "--host", "127.0.0.1", "--port",
            "\(Self.port)", "--workers", "1",
        ]
        // Its runners of jobs are processes of their own that outlive it.
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"]) { $1 }
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        for _ in 0..<1200 where (try? get("/health")) == nil && process.isRunning { usleep(100_000) }
        _ = try get("/health")
        return process
    }

    private func get(_ path: String) throws -> Data { try Data(contentsOf: URL(string: Self.address + path)!) }

    /// The steps and values of a metric, as the server tells them.
    private func history(_ name: String, of run: String) throws -> [Logged] {
        let path = "/api/2.0/mlflow/metrics/get-history?run_id=\(run)&metric_key=\(name)&max_results=25000"
        let answer = try JSONDecoder().decode(JSONValue.self, from: get(path))
        guard case .object(let members) = answer, case .array(let metrics)? = members["metrics"] else { return [] }
        return metrics.compactMap { metric -> Logged? in
            guard case .object(let members) = metric, case .integer(let step)? = members["step"],
                let value: Double = try? members["value"]?.decoded()
            else { return nil }
            return Logged(step: Int(step), value: value)
        }
    }

    /// Trains, loses the server in the middle, gets it back at the end: the server has what a logger in memory has.
    @Test func aServerThatIsGoneInMidRunLosesNothing() throws {
        let directory = try TemporaryDirectory()
        final class Killing: Callback {
            var server: Process
            init(_ server: Process) { self.server = server }
            override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) {
                guard trainer.state.epoch == 2 else { return }
                end(server)
            }
        }
        var notes = ""
        let console = Console(isTerminal: false) { notes += $0 }
        let killing = Killing(try start(directory))
        defer { end(killing.server) }
        let memory = MemoryLogger()
        var run = ""
        do {
            let logger = try MLflowLogger(
                Self.address, experiment: "loopback", run: nil, spool: directory("spool"), timeout: 5,
                retryInterval: 0.1, console: console)
            let trainer = quietTrainer(maxEpochs: 5, precision: .mixedFloat16) {
                $0.loggers = [logger, memory]
                $0.callbacks = [killing]
                $0.logEveryNSteps = 1
            }
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(64, infiniteRows: 17..<18), batchSize: 16))
            run = try #require(logger.runID)
        }
        #expect(notes.contains("does not answer") && directory.names(in: "spool").count == 1, "\(notes)")
        killing.server = try start(directory)
        try MLflowLogger(Self.address, experiment: "loopback", spool: directory("spool")).flush()
        #expect(directory.names(in: "spool").isEmpty)
        for name in ["train_loss_step", "train_loss_epoch", "amp/scale", "lr"] {
            // The server shows NaN and infinities in its own way, and takes equal values of one step and millisecond (the step
            // of a skipped update is that of the one before) as one.
            let logged = Set(
                memory.values(of: name).filter(\.value.isFinite).map { Logged(step: $0.step, value: $0.value) })
            let kept = Set(try history(name, of: run).filter { abs($0.value) < 1e300 })
            #expect(kept == logged && logged.count >= 5, "\(name)")
        }
        let found = String(decoding: try get("/api/2.0/mlflow/runs/get?run_id=\(run)"), as: UTF8.self)
        #expect(found.contains("FINISHED") && found.contains("width"))
    }
}
