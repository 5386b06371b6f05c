// A file that loggers append to.
import Foundation
package import NeedletailFiles

/// A file that could not be written.
public struct LogFileError: Error, CustomStringConvertible {
    /// The file.
    public let path: String
    /// What the system says.
    public let why: String
    /// What to do.
    package let advice: String

    /// A failure to write to `path`.
    package init(path: String, why: String, advice: String = "check that the folder exists and has space") {
        self.path = path
        self.why = why
        self.advice = advice
    }

    package init(_ error: OutputError) {
        self.init(path: error.path, why: error.why, advice: error.advice)
        systemError = error.systemError
    }

    /// The system's error number; nil where it gave none.
    package private(set) var systemError: Int32?

    /// The checkpoint that was saved when this ended training; nil where none was.
    public package(set) var checkpoint: String?

    /// What failed and what to do.
    public var description: String { "cannot write \(FilePath(path)): \(remedy)" }

    /// What the system says, what to do, and what was saved.
    package var remedy: String { "\(why); \(advice)" + (checkpoint.map { "; saved \($0)" } ?? "") }

    /// Runs `body`, whose errors are then those of loggers.
    @discardableResult
    package static func wrapping<R>(_ body: () throws -> R) throws -> R {
        do { return try body() } catch let error as OutputError { throw LogFileError(error) }
    }
}

/// Text or bytes appended to a file, pipe or device, so that a reader, a crash and a full disk find whole pieces.
///
/// Making one tries whether it can be written. A file that is there keeps its content until the first piece is appended.
package final class LogFile {
    /// The path as it was given.
    package var path: String { output.path }
    /// Whether it is, or will be, a file: a pipe or device cannot be written anew.
    package private(set) var isFile = true
    private let output: OutputFile
    private var continues: Bool
    /// -1 before the first piece of a file.
    private var descriptor: Int32 = -1

    /// The file at `path`, written anew or, where it `continues`, gone on with after its last whole line: what a killed
    /// process has begun is cut off.
    /// - Throws: ``LogFileError``.
    package init(_ path: String, continues: Bool = false, isTable: Bool = false) throws {
        output = OutputFile(path, isTable ? .table : .lines)
        self.continues = continues
        try LogFileError.wrapping {
            try output.check()
            switch try output.place() {
            case .stream, .descriptor: (descriptor, isFile) = try output.open(truncating: false)
            case .nothing, .file: break
            }
        }
    }

    /// A file that is open.
    private init(path: String, descriptor: Int32) {
        output = OutputFile(path, .lines)
        continues = true
        self.descriptor = descriptor
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Makes a file under the first of the names for 0, 1, … that nothing has yet: two writers never share one.
    package static func unused(_ path: (Int) -> String) throws -> LogFile {
        try LogFileError.wrapping { try OutputFile(path(0), .lines).makeFolders() }
        for number in 0... {
            let path = path(number)
            do {
                let descriptor = try FileSystem.open(FilePath(path), O_WRONLY | O_CREAT | O_EXCL | O_APPEND)
                return LogFile(path: path, descriptor: descriptor)
            } catch let error as FileError {
                guard error.systemError == EEXIST else { throw LogFileError(OutputError(path, error.systemError)) }
            }
        }
        preconditionFailure("unreachable: an unbounded loop")
    }

    /// Appends text; what a full disk does not take whole lines of is taken back.
    package func append(_ text: String) throws { try append(Array(text.utf8), keepingLines: true) }

    /// Appends bytes; where they do not fit, none of them, or the whole lines among them, stay.
    package func append(_ bytes: [UInt8], keepingLines: Bool = false) throws {
        guard !bytes.isEmpty else { return }  // nothing does not empty a file either
        try LogFileError.wrapping {
            try openWhereClosed()
            if let problem = CheckedWrite.append(bytes, to: descriptor, keepingLines: keepingLines) {
                throw OutputError(path, problem)
            }
        }
    }

    /// Replaces a file's whole content, in one step, and goes on after it.
    package func replace(by text: String) throws {
        try LogFileError.wrapping {
            try output.replace(by: Array(text.utf8), isFlushed: false)
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
            continues = true
            try openWhereClosed()
        }
    }

    private func openWhereClosed() throws {
        guard descriptor < 0 else { return }
        (descriptor, isFile) = try output.open(truncating: !continues)
        if isFile, continues { try cutUnfinishedLine() }
    }

    private func cutUnfinishedLine() throws {
        let size = lseek(descriptor, 0, SEEK_END)
        var end = size
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while end > 0 {
            let start = max(0, end - off_t(chunk.count))
            let count = pread(descriptor, &chunk, Int(end - start), start)
            guard count == Int(end - start) else { return }  // it cannot be read: it is gone on with as it is
            if let newline = chunk[..<count].lastIndex(of: UInt8(ascii: "\n")) {
                end = start + off_t(newline) + 1
                break
            }
            end = start
        }
        guard end < size else { return }
        guard ftruncate(descriptor, end) == 0 else { throw OutputError(path, errno) }
    }
}

/// Pages and other files that are replaced as a whole.
package enum PageFile {
    /// Replaces the file at `path`.
    /// - Throws: ``LogFileError``.
    package static func write(_ text: String, to path: String) throws {
        try LogFileError.wrapping { try OutputFile(path, .page).replace(by: Array(text.utf8)) }
    }
}
