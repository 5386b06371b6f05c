// A web server on 127.0.0.1 that answers as a test says, truthfully or not.
import Foundation
import Synchronization

final class LoopbackServer: Sendable {
    enum Answer: Sendable {
        /// Status 200 and the body, with its true length.
        case body([UInt8])
        /// Status 200 and a body of fewer bytes than announced, then the end.
        case truncated([UInt8], announced: Int)
        /// Status 200 and the body with no length.
        case unannounced([UInt8])
        /// Another status, with a short page.
        case status(Int)
    }

    /// `http://127.0.0.1:PORT`.
    let address: String
    private let descriptor: Int32
    private let paths = Mutex<[String]>([])

    /// Serves until the value is let go; `answer` gets the path of each request.
    init(_ answer: @escaping @Sendable (String) -> Answer) throws {
        #if os(Linux)
            let kind = Int32(SOCK_STREAM.rawValue)
        #else
            let kind = SOCK_STREAM
        #endif
        descriptor = socket(AF_INET, kind, 0)
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let socket = descriptor
        let bound = withUnsafeMutablePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, size) == 0 && listen(socket, 16) == 0 && getsockname(socket, $0, &size) == 0
            }
        }
        guard bound else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
        address = "http://127.0.0.1:\(UInt16(bigEndian: place.sin_port))"
        let note: @Sendable (String) -> Void = { [weak self] path in self?.paths.withLock { $0.append(path) } }
        Thread {
            while true {
                let connection = accept(socket, nil, nil)
                if connection < 0 { return }
                if let path = LoopbackServer.readRequest(connection) {
                    note(path)
                    LoopbackServer.send(answer(path), connection)
                }
                close(connection)
            }
        }.start()
    }

    deinit {
        shutdown(descriptor, Int32(SHUT_RDWR))
        close(descriptor)
    }

    /// The paths asked for so far.
    var requests: [String] { paths.withLock { $0 } }

    private static func readRequest(_ connection: Int32) -> String? {
        var request: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !String(decoding: request, as: UTF8.self).contains("\r\n\r\n") {
            let count = recv(connection, &buffer, buffer.count, 0)
            if count <= 0 { return nil }
            request += buffer[..<count]
        }
        let words = String(decoding: request, as: UTF8.self).split(separator: " ")
        return words.count > 1 ? String(words[1]) : nil
    }

    private static func send(_ answer: Answer, _ connection: Int32) {
        let (status, length, body): (Int, Int?, [UInt8]) =
            switch answer {
            case .body(let body): (200, body.count, body)
            case .truncated(let body, let announced): (200, announced, body)
            case .unannounced(let body): (200, nil, body)
            case .status(let status): (status, 5, Array("sorry".utf8))
            }
        let header =
            "HTTP/1.1 \(status) X\r\nConnection: close\r\n" + (length.map { "Content-Length: \($0)\r\n" } ?? "")
            + "\r\n"
        var rest = (Array(header.utf8) + body)[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes {
                Foundation.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if sent <= 0 { return }
            rest = rest.dropFirst(sent)
        }
    }
}
