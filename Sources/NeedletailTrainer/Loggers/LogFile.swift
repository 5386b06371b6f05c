// A text file that loggers append to.
import Foundation
import NeedletailNN

/// A file that could not be written.
public struct LogFileError: Error, CustomStringConvertible {
    /// The file.
    public let path: String
    /// What the system says.
    public let why: String

    /// What failed and what to do.
    public var description: String { "cannot write \(path): \(why); check that the folder exists and has space" }
}

/// Text appended to a file, each piece in one write, so that a reader or a crash finds whole lines.
final class LogFile {
    let path: String
    private let handle: FileHandle

    /// Opens the file, empty unless `appending`, making its directory where there is none.
    init(_ path: String, appending: Bool = false) throws {
        self.path = path
        let directory = (path as NSString).deletingLastPathComponent
        do {
            if !directory.isEmpty {
                try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            }
        } catch { throw LogFileError(path: path, why: error.localizedDescription) }
        let flags = O_WRONLY | O_CREAT | O_CLOEXEC | (appending ? O_APPEND : O_TRUNC)
        let descriptor = open(path, flags, 0o666)
        guard descriptor >= 0 else { throw LogFileError(path: path, why: String(cString: strerror(errno))) }
        handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    /// Appends text.
    func append(_ text: String) throws {
        do { try handle.write(contentsOf: Data(text.utf8)) } catch {
            throw LogFileError(path: path, why: AtomicFile.reason(error))
        }
    }
}
