// A file that loggers append to.
import Foundation
import NeedletailFiles
import NeedletailNN

/// A file that could not be written.
public struct LogFileError: Error, CustomStringConvertible {
    /// The file.
    public let path: String
    /// What the system says.
    public let why: String
    private let advice: String

    /// A failure to write to `path`.
    package init(path: String, why: String, advice: String = "check that the folder exists and has space") {
        self.path = path
        self.why = why
        self.advice = advice
    }

    /// What failed and what to do.
    public var description: String { "cannot write \(path): \(why); \(advice)" }
}

/// Text or bytes appended to a file, each piece in one write, so that a reader or a crash finds whole pieces.
package final class LogFile {
    package let path: String
    private let handle: FileHandle

    private init(path: String, descriptor: Int32) {
        self.path = path
        handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    /// Opens the file, empty unless `appending`, making its directory where there is none.
    package convenience init(_ path: String, appending: Bool = false) throws {
        Self.makeDirectory(for: path)
        self.init(path: path, descriptor: try Self.descriptor(path, appending ? O_APPEND : O_TRUNC))
    }

    /// Opens a file of lines, or makes it, to go on after its last whole line: what a killed process has begun is cut off.
    package static func continued(_ path: String) throws -> LogFile {
        let file = try LogFile(path, appending: true)
        let type = try? FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType
        guard type == .typeRegular, let bytes = try? Data(contentsOf: URL(fileURLWithPath: path)), bytes.last != 0x0A
        else { return file }
        let whole = bytes.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        do { try file.handle.truncate(atOffset: UInt64(whole)) } catch {
            throw LogFileError(path: path, why: AtomicFile.reason(error))
        }
        return file
    }

    /// Opens a file to write to, or makes it. A pipe that nobody reads is an error: opening it would wait for a reader, and
    /// no signal would end that.
    package static func descriptor(_ path: String, _ flags: Int32) throws -> Int32 {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | flags, 0o666)
        guard descriptor >= 0 else {
            let why = errno == ENXIO ? "a pipe that nobody reads" : String(cString: strerror(errno))
            throw LogFileError(path: path, why: why)
        }
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
        return descriptor
    }

    /// Makes a file under the first of the names for 0, 1, … that nothing has yet: two writers never share one.
    package static func unused(_ path: (Int) -> String) throws -> LogFile {
        makeDirectory(for: path(0))
        for number in 0... {
            let path = path(number)
            let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_EXCL | O_APPEND, 0o666)
            if descriptor >= 0 { return LogFile(path: path, descriptor: descriptor) }
            guard errno == EEXIST else { throw LogFileError(path: path, why: String(cString: strerror(errno))) }
        }
        preconditionFailure("unreachable: an unbounded loop")
    }

    /// Makes a file's folder; where that fails, opening the file says why.
    private static func makeDirectory(for path: String) {
        let directory = (path as NSString).deletingLastPathComponent
        guard !directory.isEmpty else { return }
        try? FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    /// Appends text.
    package func append(_ text: String) throws { try append(Array(text.utf8)) }

    /// Appends bytes.
    package func append(_ bytes: [UInt8]) throws {
        do { try handle.write(contentsOf: bytes) } catch {
            throw LogFileError(path: path, why: AtomicFile.reason(error))
        }
    }
}
