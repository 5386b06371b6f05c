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
        do { try FileSystem.makeFolders(FilePath(directory)) } catch let error as FileError {
            throw LogFileError(path: directory, why: "no folder can be made there: \(error.reason)")
        }
        let path = "\(directory)/\(prefix)\(getpid())-\(UInt32.random(in: 0 ... .max)).jsonl"
        let spool = MLflowSpool(path: path, descriptor: -1)
        try spool.create()
        return spool
    }

    private func create() throws {
        do { descriptor = try FileSystem.open(FilePath(path), O_RDWR | O_CREAT | O_EXCL | O_APPEND) } catch let error
            as FileError
        {
            throw LogFileError(path: path, why: error.reason)
        }
        flock(descriptor, LOCK_EX | LOCK_NB)
    }

    /// What runs that have ended left in `directory`, and the files, which can be removed once the lines are elsewhere.
    ///
    /// Files that cannot be read, or not understood, stay where they are; `note` is told of each.
    static func adopt(from directory: String, note: (String) -> Void) -> [(spool: MLflowSpool, lines: [Line])] {
        let names = ((try? FileSystem.names(in: FilePath(directory))) ?? []).map(\.text)
        return names.filter { $0.hasPrefix(prefix) && $0.hasSuffix(".jsonl") }.sorted().compactMap { name in
            let path = "\(directory)/\(name)"
            let descriptor: Int32
            do { descriptor = try FileSystem.open(FilePath(path), O_RDWR | O_APPEND | O_NONBLOCK) } catch {
                note(
                    "\(FilePath(path)) cannot be read (\((error as? FileError)?.reason ?? "")): what it holds is not sent"
                )
                return nil
            }
            let spool = MLflowSpool(path: path, descriptor: descriptor)
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return nil }  // its run goes on
            let data: Data
            do { data = Data(try RegularFile.bytes(of: FilePath(path), limit: .max - 1)) } catch {
                note(
                    "\(FilePath(path)) cannot be read (\((error as? FileError)?.reason ?? "")): what it holds is not sent"
                )
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

    /// Appends a line, to a new file where it was removed; a full disk takes all of it or nothing.
    func append(_ line: Line) throws {
        if descriptor < 0 { try create() }
        if let problem = CheckedWrite.append(Array(line.text.utf8), to: descriptor, keepingLines: false) {
            throw LogFileError(OutputError(path, problem))
        }
    }

    /// Forgets every line: all of them were sent.
    func empty() { _ = ftruncate(descriptor, 0) }

    /// Removes the file.
    func remove() {
        guard descriptor >= 0 else { return }
        try? FileSystem.removeFile(FilePath(path))
        close(descriptor)
        descriptor = -1
    }
}
