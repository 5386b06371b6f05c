// MLflow's REST interface, as far as a logger needs it.
import Foundation
import NeedletailData

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// A request that MLflow did not grant.
public struct MLflowError: Error, CustomStringConvertible {
    /// What was wrong.
    public enum Problem: Sendable {
        /// Nobody answered, or not in time, or with a server's error: it may work later.
        case unreachable
        /// The request was refused: it will be the next time, too.
        case refused
    }

    /// What was wrong.
    public let problem: Problem
    /// The server's address.
    public let server: String
    /// What the system or the server says.
    public let why: String

    /// What failed and what to do.
    public var description: String {
        switch problem {
        case .unreachable:
            "MLflow at \(server) does not answer (\(why)); start it with: mlflow server, or correct the address"
        case .refused: "MLflow at \(server) refused a request: \(why)"
        }
    }
}

/// Sends requests to one server, one after another. It blocks: not for the thread that trains.
struct MLflowClient: Sendable {
    let server: String
    let timeout: TimeInterval

    /// The answer to `method` for `path` below `/api/2.0/mlflow/`.
    func send(_ path: String, method: String = "POST", _ body: JSONValue? = nil) throws -> JSONValue {
        try send(path, method: method, text: body?.text)
    }

    /// What stands at `path`; nil where there is nothing (status 404).
    func find(_ path: String) throws -> JSONValue? {
        do { return try send(path, method: "GET", text: nil) } catch let error as MLflowError {
            guard error.problem == .refused, error.why.hasPrefix("status 404") else { throw error }
            return nil
        }
    }

    /// The same with a body that is JSON already.
    func send(_ path: String, method: String = "POST", text: String?) throws -> JSONValue {
        guard let url = URL(string: server + "/api/2.0/mlflow/" + path), url.scheme?.hasPrefix("http") == true else {
            throw MLflowError(
                problem: .refused, server: server, why: "this is no address, such as http://127.0.0.1:5000")
        }
        Proxy.exceptLoopback(url)
        var request = URLRequest(url: url, cachePolicy: .reloadIgnoringLocalCacheData, timeoutInterval: timeout)
        request.httpMethod = method
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        request.httpBody = text.map { Data($0.utf8) }
        let (data, response, error) = Self.answer(to: request, timeout: timeout)
        guard let response else {
            throw MLflowError(
                problem: .unreachable, server: server,
                why: (error ?? "no answer in \(Int(timeout)) s") + Proxy.remark(for: url))
        }
        guard response == 200 else {
            let text = String(String(decoding: data, as: UTF8.self).prefix(300))
            let mayPass = response >= 500 || response == 408 || response == 429
            throw MLflowError(
                problem: mayPass ? .unreachable : .refused, server: server,
                why: "status \(response)\(text.isEmpty ? "" : ": " + text)\(Proxy.remark(for: url))")
        }
        guard let value = try? JSONValue.decoder.decode(JSONValue.self, from: data.isEmpty ? Data("{}".utf8) : data)
        else {
            throw MLflowError(
                problem: .refused, server: server,
                why: "the answer is no JSON: is this an MLflow server?\(Proxy.remark(for: url))")
        }
        return value
    }

    /// The answer's body and status; what went wrong where there is none.
    private static func answer(to request: URLRequest, timeout: TimeInterval) -> (Data, Int?, String?) {
        let done = DispatchSemaphore(value: 0)
        let result = Result()
        let session = URLSession(configuration: .ephemeral)
        defer { session.invalidateAndCancel() }
        session.dataTask(with: request) { data, response, error in
            result.set((data ?? Data(), (response as? HTTPURLResponse)?.statusCode, error?.localizedDescription))
            done.signal()
        }.resume()
        // The session's own limit counts from the last byte; a server that drips must not hold anyone either.
        if done.wait(timeout: .now() + 2 * timeout) == .timedOut { return (Data(), nil, nil) }
        return result.value
    }

    /// `@unchecked Sendable`: written once before the semaphore is signalled, read after it.
    private final class Result: @unchecked Sendable {
        private(set) var value: (Data, Int?, String?) = (Data(), nil, nil)
        func set(_ value: (Data, Int?, String?)) { self.value = value }
    }
}
