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
    public var description: String { "cannot write \(FilePath(path)): \(why); \(advice)" }
}

/// Text or bytes appended to a file, each piece in one write, so that a reader or a crash finds whole pieces.
package final class LogFile {
    package let path: String
    private let descriptor: Int32

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Opens the file, empty unless `appending`, making its directory where there is none.
    package convenience init(_ path: String, appending: Bool = false) throws {
        Self.makeDirectory(for: path)
        self.init(path: path, descriptor: try Self.descriptor(path, appending ? O_APPEND : O_TRUNC))
    }

    /// Opens a file of lines, or makes it, to go on after its last whole line: what a killed process has begun is cut off.
    package static func continued(_ path: String) throws -> LogFile {
        let file = try LogFile(path, appending: true)
        guard let bytes = try? RegularFile.bytes(of: FilePath(path), limit: .max - 1), bytes.last != 0x0A else {
            return file
        }
        let whole = bytes.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        guard ftruncate(file.descriptor, off_t(whole)) == 0 else {
            throw LogFileError(path: path, why: String(cString: strerror(errno)))
        }
        return file
    }

    /// Opens a file to write to, or makes it. A pipe that nobody reads is an error: opening it would wait for a reader, and
    /// no signal would end that.
    package static func descriptor(_ path: String, _ flags: Int32) throws -> Int32 {
        do {
            let descriptor = try FileSystem.open(FilePath(path), O_WRONLY | O_CREAT | O_NONBLOCK | flags)
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
            return descriptor
        } catch let error as FileError {
            let why = error.systemError == ENXIO ? "a pipe that nobody reads" : error.reason
            throw LogFileError(path: path, why: why)
        }
    }

    /// Makes a file under the first of the names for 0, 1, … that nothing has yet: two writers never share one.
    package static func unused(_ path: (Int) -> String) throws -> LogFile {
        makeDirectory(for: path(0))
        for number in 0... {
            let path = path(number)
            do {
                let descriptor = try FileSystem.open(FilePath(path), O_WRONLY | O_CREAT | O_EXCL | O_APPEND)
                return LogFile(path: path, descriptor: descriptor)
            } catch let error as FileError {
                guard error.systemError == EEXIST else { throw LogFileError(path: path, why: error.reason) }
            }
        }
        preconditionFailure("unreachable: an unbounded loop")
    }

    /// Makes a file's folder; where that fails, opening the file says why.
    private static func makeDirectory(for path: String) {
        try? FileSystem.makeFolders(FilePath(path).parent)
    }

    /// Appends text.
    package func append(_ text: String) throws { try append(Array(text.utf8)) }

    /// Appends bytes.
    package func append(_ bytes: [UInt8]) throws {
        let problem = FileSystem.write(bytes, to: descriptor)
        guard problem == 0 else { throw LogFileError(path: path, why: String(cString: strerror(problem))) }
    }
}
