// Requests that wait to be sent, in a file, so that neither a dead server nor a dead run loses one.
import Foundation
import NeedletailFiles
import NeedletailNN

/// A file of requests, one JSON object a line: `{"path":…,"body":…}`. Its owner holds a lock on it as long as it lives.
///
/// `@unchecked Sendable`: its owner, the sender, calls it with a lock held.
final class MLflowSpool: @unchecked Sendable {
    /// A request.
    struct Line: Sendable {
        let path: String, body: JSONValue
        var text: String { "{\"path\":\(JSONValue.quoted(path)),\"body\":\(body.text)}\n" }

        /// The run and its metrics, where the request logs nothing but metrics: such requests can be joined.
        var metrics: (run: String, values: [JSONValue])? {
            guard case .object(let members) = body, members.count == 2, case .string(let run)? = members["run_id"],
                case .array(let values)? = members["metrics"]
            else { return nil }
            return (run, values)
        }
    }

    let path: String
    /// -1 while there is no file.
    private var descriptor: Int32

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// A new file in `directory`, which is made where it is missing.
    static func make(in directory: String) throws -> MLflowSpool {
        do { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) } catch {
            throw LogFileError(path: directory, why: "no folder can be made there")
        }
        let path = "\(directory)/\(prefix)\(getpid())-\(UInt32.random(in: 0 ... .max)).jsonl"
        let spool = MLflowSpool(path: path, descriptor: -1)
        try spool.create()
        return spool
    }

    private func create() throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw LogFileError(path: path, why: String(cString: strerror(errno))) }
        flock(descriptor, LOCK_EX | LOCK_NB)
    }

    /// What runs that have ended left in `directory`, and the files, which can be removed once the lines are elsewhere.
    ///
    /// Files that cannot be read, or not understood, stay where they are; `note` is told of each.
    static func adopt(from directory: String, note: (String) -> Void) -> [(spool: MLflowSpool, lines: [Line])] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { $0.hasPrefix(prefix) && $0.hasSuffix(".jsonl") }.sorted().compactMap { name in
            let path = "\(directory)/\(name)"
            let descriptor = open(path, O_RDWR | O_APPEND | O_CLOEXEC)
            guard descriptor >= 0 else {
                note("\(path) cannot be read (\(String(cString: strerror(errno)))): what it holds is not sent")
                return nil
            }
            let spool = MLflowSpool(path: path, descriptor: descriptor)
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return nil }  // its run goes on
            let data: Data
            do { data = try Data(contentsOf: URL(fileURLWithPath: path)) } catch {
                note("\(path) cannot be read (\(AtomicFile.reason(error))): what it holds is not sent")
                return nil
            }
            // A last line without an end was not written whole; a run that was killed early may have written none.
            let whole = data.prefix(upTo: data.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? data.startIndex)
            var lines: [Line] = []
            for (index, line) in whole.split(separator: UInt8(ascii: "\n")).enumerated() {
                guard case .object(let members)? = try? JSONValue.decoder.decode(JSONValue.self, from: Data(line)),
                    case .string(let path)? = members["path"], let body = members["body"]
                else {
                    note(
                        "\(spool.path) is not sent, because its line \(index + 1) is damaged; without that line the next run "
                            + "sends it")
                    return nil
                }
                lines.append(Line(path: path, body: body))
            }
            return (spool, lines)
        }
    }

    private static let prefix = "mlflow-unsent-"

    /// Appends a line in one write, to a new file where it was removed.
    func append(_ line: Line) throws {
        if descriptor < 0 { try create() }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
        do { try file.write(contentsOf: Data(line.text.utf8)) } catch {
            throw LogFileError(path: path, why: AtomicFile.reason(error))
        }
    }

    /// Forgets every line: all of them were sent.
    func empty() { _ = ftruncate(descriptor, 0) }

    /// Removes the file.
    func remove() {
        guard descriptor >= 0 else { return }
        _ = unlink(path)
        close(descriptor)
        descriptor = -1
    }
}
