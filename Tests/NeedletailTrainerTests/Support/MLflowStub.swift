// A web server on 127.0.0.1 that answers as MLflow does, or as a test says; it can go away and come back.
import Foundation
import Needletail
import Synchronization

final class MLflowStub: Sendable {
    /// What was asked for.
    struct Request: Sendable {
        let path: String
        let body: JSONValue
    }

    /// How the server behaves.
    enum Mood: Sendable {
        /// Answers.
        case well
        /// Answers with a status and nothing else.
        case status(Int)
        /// Takes requests and never answers.
        case silent
    }

    private struct State {
        var requests: [Request] = []
        var mood = Mood.well
        var descriptor: Int32 = -1
        var silenced: [Int32] = []
        var runs = 0
        var refused: String?
    }

    private let state = Mutex(State())
    private let port: UInt16

    var address: String { "http://127.0.0.1:\(port)" }

    init() throws {
        let (descriptor, port) = try Self.listening(on: 0)
        self.port = port
        state.withLock { $0.descriptor = descriptor }
        serve(descriptor)
    }

    deinit { stop() }

    /// What was asked for and answered well.
    var requests: [Request] { state.withLock { $0.requests } }

    func become(_ mood: Mood) { state.withLock { $0.mood = mood } }

    /// From here on requests whose body holds `text` are refused with status 400.
    func refuse(_ text: String) { state.withLock { $0.refused = text } }

    /// The most metrics of a request that was taken.
    var largestBatch: Int {
        requests.map { request in
            guard case .object(let body) = request.body, case .array(let metrics)? = body["metrics"] else { return 0 }
            return metrics.count
        }.max() ?? 0
    }

    /// Goes away: connections are refused from here on.
    func stop() {
        state.withLock { state in
            if state.descriptor >= 0 {
                shutdown(state.descriptor, Int32(SHUT_RDWR))
                close(state.descriptor)
            }
            for connection in state.silenced { close(connection) }
            (state.descriptor, state.silenced) = (-1, [])
        }
    }

    /// Comes back at the same address.
    func start() throws {
        let (descriptor, _) = try Self.listening(on: port)
        state.withLock { $0.descriptor = descriptor }
        serve(descriptor)
    }

    /// Every metric that was taken: name, step and value, in order.
    var metrics: [(name: String, step: Int64, value: JSONValue)] {
        requests.filter { $0.path.hasSuffix("runs/log-batch") }.flatMap { request -> [(String, Int64, JSONValue)] in
            guard case .object(let body) = request.body, case .array(let metrics)? = body["metrics"] else { return [] }
            return metrics.compactMap { metric in
                guard case .object(let members) = metric, case .string(let name)? = members["key"],
                    case .integer(let step)? = members["step"], let value = members["value"]
                else { return nil }
                return (name, step, value)
            }
        }
    }

    private static func listening(on port: UInt16) throws -> (Int32, UInt16) {
        #if os(Linux)
            let kind = Int32(SOCK_STREAM.rawValue)
        #else
            let kind = SOCK_STREAM
        #endif
        let descriptor = socket(AF_INET, kind, 0)
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        place.sin_port = port.bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard bound else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
        return (descriptor, UInt16(bigEndian: place.sin_port))
    }

    private func serve(_ socket: Int32) {
        Thread { [weak self] in
            while true {
                let connection = accept(socket, nil, nil)
                if connection < 0 { return }
                guard let self else {
                    close(connection)
                    return
                }
                answer(connection)
            }
        }.start()
    }

    private func answer(_ connection: Int32) {
        guard let (path, body) = Self.read(connection) else {
            close(connection)
            return
        }
        let reply = state.withLock { state -> (Int, String)? in
            switch state.mood {
            case .silent:
                state.silenced.append(connection)
                return nil
            case .status(let status): return (status, "{\"message\":\"not today\"}")
            case .well:
                if let refused = state.refused, body.contains(refused) { return (400, "{\"message\":\"no\"}") }
                let value = (try? JSONDecoder().decode(JSONValue.self, from: Data(body.utf8))) ?? .null
                state.requests.append(Request(path: path, body: value))
                if path.contains("get-by-name") { return (200, "{\"experiment\":{\"experiment_id\":\"7\"}}") }
                if path.hasSuffix("runs/create") {
                    state.runs += 1
                    return (200, "{\"run\":{\"info\":{\"run_id\":\"run\(state.runs)\"}}}")
                }
                return (200, "{}")
            }
        }
        guard let (status, text) = reply else { return }
        let response =
            "HTTP/1.1 \(status) X\r\nConnection: close\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(text.utf8.count)\r\n\r\n\(text)"
        let bytes = Array(response.utf8)
        _ = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        close(connection)
    }

    private static func read(_ connection: Int32) -> (path: String, body: String)? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let text = String(decoding: bytes, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n") {
                let head = text[..<end.lowerBound].lowercased()
                let length =
                    head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
                    .flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) } ?? 0
                let body = text[end.upperBound...]
                if body.utf8.count >= length {
                    let words = text.split(separator: " ")
                    return words.count > 1 ? (String(words[1]), String(body)) : nil
                }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            if count <= 0 { return nil }
            bytes += buffer[..<count]
        }
    }
}
