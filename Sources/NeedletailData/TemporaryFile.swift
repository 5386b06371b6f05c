// A new file beside its final place, which becomes visible under its name only when it is complete.
import Foundation

/// A file with a name of its own in the folder of the final one.
final class TemporaryFile {
    /// Where it lies.
    let path: String
    /// Open for writing until `rename` or `remove`.
    let descriptor: Int32
    private var isOpen = true

    /// Creates an empty file named `.NAME.XXXXXX`.
    init(beside final: String) throws {
        let (folder, name) = ((final as NSString).deletingLastPathComponent, (final as NSString).lastPathComponent)
        var template = Array("\(folder)/.\(name).XXXXXX".utf8CString)
        descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw TemporaryFile.failure(folder) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        fchmod(descriptor, 0o644)
    }

    /// Makes the content durable and gives the file its final name, replacing what was there, in one step.
    func rename(to final: String) throws {
        guard fsync(descriptor) == 0 else { throw TemporaryFile.failure(path) }
        closeOnce()
        guard Foundation.rename(path, final) == 0 else { throw TemporaryFile.failure(final) }
    }

    /// Removes the file if it still has its temporary name.
    func remove() {
        closeOnce()
        unlink(path)
    }

    private func closeOnce() {
        if isOpen { close(descriptor) }
        isOpen = false
    }

    private static func failure(_ path: String) -> DataFileError {
        DataFileError(
            .unreadable, file: path, found: String(cString: strerror(errno)).lowercased(),
            expected: "a place to write to")
    }
}
