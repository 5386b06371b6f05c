// One file over HTTP into an open file, waited for.
import Foundation
import Synchronization

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Receives the body of one request. URLSession calls it on one queue of its own; the caller waits for `finished`.
final class Download: NSObject, URLSessionDataDelegate {
    private struct State {
        var received = 0
        var announced: Int?
        var failure: DataFileError?
    }

    private let state = Mutex(State())
    private let finished = DispatchSemaphore(value: 0)
    private let url: URL
    private let descriptor: Int32
    private let limit: Int
    private let progress: @Sendable (Int, Int?) -> Void

    private init(_ url: URL, _ descriptor: Int32, _ limit: Int, _ progress: @escaping @Sendable (Int, Int?) -> Void) {
        self.url = url
        self.descriptor = descriptor
        self.limit = limit
        self.progress = progress
    }

    /// Writes the body at `url` to `descriptor`; calls `progress` with the bytes received and announced.
    ///
    /// Throws `DataFileError.download` where the server cannot be reached, answers with another status than 200, breaks
    /// off, or sends more than `limit` bytes.
    static func fetch(
        _ url: URL, into descriptor: Int32, limit: Int, progress: @escaping @Sendable (Int, Int?) -> Void
    ) throws {
        Proxy.exceptLoopback(url)
        let download = Download(url, descriptor, limit, progress)
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = 30
        let session = URLSession(configuration: configuration, delegate: download, delegateQueue: nil)
        session.dataTask(with: url).resume()
        download.finished.wait()
        session.finishTasksAndInvalidate()
        if let failure = download.state.withLock({ $0.failure }) { throw failure }
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping @Sendable (URLSession.ResponseDisposition) -> Void
    ) {
        let status = (response as? HTTPURLResponse)?.statusCode ?? 0
        guard status == 200 else {
            fail(
                found: "HTTP status \(status)", expected: "200",
                advice: "is the address right?\(Proxy.remark(for: url))")
            return completionHandler(.cancel)
        }
        let announced = Int(response.expectedContentLength)
        guard announced <= limit else {
            failTooLong()
            return completionHandler(.cancel)
        }
        state.withLock { $0.announced = announced > 0 ? announced : nil }
        completionHandler(.allow)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        let (received, announced, failed) = state.withLock { state in
            state.received += data.count
            return (state.received, state.announced, state.failure != nil)
        }
        if failed { return }
        guard received <= limit else {
            failTooLong()
            return dataTask.cancel()
        }
        guard data.withUnsafeBytes(writeAll) else {
            let reason = String(cString: strerror(errno)).lowercased()
            fail(found: "\"\(reason)\" when writing", expected: "room for \(announced ?? limit) bytes", advice: nil)
            return dataTask.cancel()
        }
        progress(received, announced)
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        let (received, announced) = state.withLock { ($0.received, $0.announced ?? 0) }
        // Not every connection that breaks off is reported as an error.
        if error != nil || received < announced {
            let why = error.map { "\"\($0.localizedDescription)\" after " } ?? ""
            fail(
                found: "\(why)\(received) bytes", expected: "the whole file",
                advice: "check the connection, then try again\(Proxy.remark(for: url))")
        }
        finished.signal()
    }

    private func failTooLong() {
        fail(found: "more than \(limit) bytes", expected: "at most that", advice: "is the address right?")
    }

    /// Keeps the first failure: later ones follow from it.
    private func fail(found: String, expected: String, advice: String?) {
        let failure = DataFileError(
            .download, file: url.absoluteString, found: found, expected: expected, advice: advice)
        state.withLock { $0.failure = $0.failure ?? failure }
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if written < 0 && errno == EINTR { continue }
            if written <= 0 { return false }
            rest = rest.dropFirst(written)
        }
        return true
    }
}
