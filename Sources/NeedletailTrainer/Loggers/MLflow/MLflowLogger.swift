// Metrics and hyper-parameters for an MLflow server.
import Foundation

/// Logs to an MLflow server over its REST interface: `MLflowLogger("http://127.0.0.1:5000", experiment: "digits")`.
///
/// Each fit is a run. It is created before training begins, so a wrong address is an error at once. From then on requests
/// are sent on a thread of their own, and training never waits for them but at the end of a run. Each request is in a file
/// `mlflow-unsent-….jsonl` in `spool` before it is tried. Where the server goes away, a notice says so, training goes on, and
/// the requests are tried again every few seconds; what is left at the end stays in the file, and the next logger with the
/// same `spool` sends it. So neither a server nor a run that dies loses anything. What is sent again that way can hold values that
/// were taken before; they are equal in step, value and time, and MLflow keeps such values once.
///
/// MLflow's names hold letters, digits and `_ - . / : space`; other characters become `_`. It stores infinities as ±1.8e308.
public final class MLflowLogger: Logger {
    /// The server's address.
    public let server: String
    /// The experiment's name; it is made where it is missing.
    public let experiment: String
    /// The identifier of the run; nil before the first fit.
    public private(set) var runID: String?
    private let runName: String?
    private var hasToldOfRest = false
    /// Whether the run is one of a fit that has not ended yet.
    private var isRunning = false
    private let client: MLflowClient
    private let spool: MLflowSpool
    private let sender: MLflowSender
    private let console: Console
    private let clock: () -> Double

    /// A logger for the server at `url`. `run` names the run; MLflow finds a name where it is nil.
    ///
    /// Throws ``MLflowError`` where the server does not answer, ``LogFileError`` where `spool` cannot be written.
    public convenience init(
        _ url: String, experiment: String = "needletail", run: String? = nil, spool: String = "."
    ) throws {
        try self.init(url, experiment: experiment, run: run, spool: spool, timeout: 10, retryInterval: 5)
    }

    /// A logger with limits and outlets of one's own, times in seconds.
    package init(
        _ url: String, experiment: String, run: String?, spool directory: String, timeout: Double,
        retryInterval: Double,
        console: Console = .standardError, clock: @escaping () -> Double = { Date().timeIntervalSince1970 }
    ) throws {
        server = url.hasSuffix("/") ? String(url.dropLast()) : url
        (self.experiment, runName, self.console, self.clock) = (experiment, run, console, clock)
        client = MLflowClient(server: server, timeout: timeout)
        _ = try Self.experimentID(experiment, client)
        let left = MLflowSpool.adopt(from: directory) { console.write("note: \($0)\n") }
        spool = try MLflowSpool.make(in: directory)
        sender = MLflowSender(client, spool, retryInterval: retryInterval)
        for (old, lines) in left {
            for line in lines { try sender.add(line) }
            old.remove()
        }
    }

    deinit {
        _ = sender.drain()
        sender.close()
    }

    /// Creates the run and logs the hyper-parameters, members of objects under dotted names.
    public func logHyperparameters(_ hyperparameters: [String: JSONValue]) throws {
        let run = try createRun()
        let all = JSONValue.flattened(hyperparameters).map { name, value -> JSONValue in
            let text = if case .string(let text) = value { text } else { value.text }
            return ["key": .string(Self.name(name)), "value": .string(String(text.prefix(6000)))]
        }
        for start in stride(from: 0, to: all.count, by: 100) {  // the most that MLflow takes at once
            try add(
                "runs/log-batch",
                ["run_id": .string(run), "params": .array(Array(all[start..<min(start + 100, all.count)]))])
        }
    }

    /// Logs the record's values with its step.
    public func log(_ record: MetricsRecord) throws {
        let run = try runID ?? createRun()
        let time = JSONValue.integer(Int64(clock() * 1000))
        let metrics = record.values.map { name, value -> JSONValue in
            [
                "key": .string(Self.name(name)), "value": .number(value), "timestamp": time,
                "step": .integer(Int64(record.step)),
            ]
        }
        for start in stride(from: 0, to: metrics.count, by: 1000) {
            let part = JSONValue.array(Array(metrics[start..<min(start + 1000, metrics.count)]))
            try add("runs/log-batch", ["run_id": .string(run), "metrics": part])
        }
        tell()
    }

    /// Waits until everything is sent, or until the server has failed once more.
    public func flush() throws {
        let left = sender.drain()
        tell()
        if left > 0, !hasToldOfRest {
            console.write(
                "note: what MLflow has not taken is kept in \(spool.path); the next run that logs to MLflow from that folder "
                    + "sends it\n")
        }
        hasToldOfRest = left > 0
    }

    /// Says how fit has ended.
    public func runEnded(_ stage: Stage, error: (any Error)?) throws {
        guard stage == .fit, isRunning, let runID else { return }
        isRunning = false
        let status = error == nil ? "FINISHED" : "FAILED"
        try add(
            "runs/update",
            ["run_id": .string(runID), "status": .string(status), "end_time": .integer(Int64(clock() * 1000))])
        try flush()
    }

    private func createRun() throws -> String {
        var body: [String: JSONValue] = [
            "experiment_id": .string(try Self.experimentID(experiment, client)),
            "start_time": .integer(Int64(clock() * 1000)),
            "tags": [["key": "mlflow.source.name", "value": "needletail"]],
        ]
        if let runName { body["run_name"] = .string(runName) }
        let answer = try client.send("runs/create", .object(body))
        guard case .string(let id)? = answer["run"]?["info"]?["run_id"] else {
            throw MLflowError(problem: .refused, server: server, why: "it created a run without run_id")
        }
        (runID, isRunning) = (id, true)
        return id
    }

    /// The experiment's identifier; it is made where it is missing.
    private static func experimentID(_ name: String, _ client: MLflowClient) throws -> String {
        var allowed = CharacterSet.alphanumerics
        allowed.insert(charactersIn: "-._~")
        let query = name.addingPercentEncoding(withAllowedCharacters: allowed) ?? name
        if let found = try client.find("experiments/get-by-name?experiment_name=\(query)"),
            case .string(let id)? = found["experiment"]?["experiment_id"]
        {
            return id
        }
        guard case .string(let id)? = try client.send("experiments/create", ["name": .string(name)])["experiment_id"]
        else { throw MLflowError(problem: .refused, server: client.server, why: "it made an experiment without an id") }
        return id
    }

    private func add(_ path: String, _ body: JSONValue) throws {
        try sender.add(MLflowSpool.Line(path: path, body: body))
    }

    private func tell() {
        for notice in sender.takeNotices() { console.write("note: \(notice)\n") }
    }

    private static func name(_ name: String) -> String {
        String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber) || "_-./: ".contains($0) ? $0 : "_" })
    }
}

extension JSONValue {
    /// A member of an object; nil where there is none.
    fileprivate subscript(name: String) -> JSONValue? {
        if case .object(let members) = self { return members[name] }
        return nil
    }
}
