// Sends what waits, on a thread of its own.
import Foundation

/// Requests in their order: each is in the spool before it is tried, and leaves it when the server has taken it.
///
/// `@unchecked Sendable`: everything that changes is guarded by `condition`.
final class MLflowSender: @unchecked Sendable {
    private let client: MLflowClient
    private let spool: MLflowSpool
    private let retryInterval: TimeInterval
    private let condition = NSCondition()
    private var waiting: [MLflowSpool.Line] = []
    private var first = 0
    private var notices: [String] = []
    private var isClosed = false, isDown = false, mustHurry = false
    private var attempts = 0
    /// The most requests that are joined: halved where the server has refused them together, doubled where it takes them.
    private var joined = most
    /// The most metrics that MLflow takes at once.
    private static let most = 1000

    init(_ client: MLflowClient, _ spool: MLflowSpool, retryInterval: TimeInterval) {
        (self.client, self.spool, self.retryInterval) = (client, spool, retryInterval)
        let thread = Thread { [self] in work() }
        thread.name = "mlflow"
        thread.start()
    }

    /// Adds a request: it is on disk when this returns.
    func add(_ line: MLflowSpool.Line) throws {
        condition.lock()
        defer { condition.unlock() }
        try spool.append(line)
        waiting.append(line)
        condition.broadcast()
    }

    /// What the user should be told, each thing once.
    func takeNotices() -> [String] {
        condition.lock()
        defer { condition.unlock() }
        defer { notices = [] }
        return notices
    }

    /// Waits until everything is sent, or until the server has failed once more; returns how many requests are left. Where
    /// none is, there is no file either until the next one.
    func drain() -> Int {
        condition.lock()
        defer { condition.unlock() }
        let before = attempts
        mustHurry = true
        condition.broadcast()
        while first < waiting.count, !(isDown && attempts > before) { condition.wait() }
        mustHurry = false
        if waiting.isEmpty { spool.remove() }
        return waiting.count - first
    }

    /// Ends the thread after the request that runs; the spool keeps what is left.
    func close() {
        condition.lock()
        isClosed = true
        condition.broadcast()
        condition.unlock()
    }

    private func work() {
        condition.lock()
        defer { condition.unlock() }
        while !isClosed {
            guard first < waiting.count else {
                condition.wait()
                continue
            }
            let (line, count) = next()
            condition.unlock()
            let problem = attempt(line)
            condition.lock()
            attempts += 1
            note(problem, of: line, count)
            condition.broadcast()
            if isDown, !isClosed, !mustHurry { _ = condition.wait(until: Date(timeIntervalSinceNow: retryInterval)) }
            if isDown, mustHurry { _ = condition.wait(until: Date(timeIntervalSinceNow: 0.05)) }
        }
    }

    /// The next request: neighbours that log metrics of one run are joined to one. Called with the lock held.
    private func next() -> (line: MLflowSpool.Line, count: Int) {
        let line = waiting[first]
        guard let (run, own) = line.metrics else { return (line, 1) }
        var (values, count) = (own, 1)
        while count < joined, first + count < waiting.count, let (other, more) = waiting[first + count].metrics,
            other == run,
            values.count + more.count <= Self.most
        {
            values += more
            count += 1
        }
        let body: JSONValue = ["run_id": .string(run), "metrics": .array(values)]
        return count == 1 ? (line, 1) : (MLflowSpool.Line(path: line.path, body: body), count)
    }

    private func attempt(_ line: MLflowSpool.Line) -> MLflowError? {
        do {
            _ = try client.send(line.path, line.body)
            return nil
        } catch {
            return error as? MLflowError
                ?? MLflowError(problem: .refused, server: client.server, why: "\(error)")
        }
    }

    /// Moves on, or remembers that the server is down; called with the lock held.
    private func note(_ problem: MLflowError?, of line: MLflowSpool.Line, _ count: Int) {
        if let problem, problem.problem == .unreachable {
            if !isDown {
                notices.append(
                    "\(problem); training goes on, what it logs is kept in \(spool.path) until the server answers")
            }
            isDown = true
            return
        }
        if problem != nil, count > 1 {  // one of them is to blame
            joined = count / 2
            return
        }
        if let problem { notices.append("\(problem); it was: \(line.text.prefix(300))") }
        first += count
        joined = min(Self.most, 2 * joined)
        guard first == waiting.count else { return }
        (waiting, first) = ([], 0)
        spool.empty()
        if isDown { notices.append("MLflow at \(client.server) answers again: everything that was kept has been sent") }
        isDown = false
    }
}
