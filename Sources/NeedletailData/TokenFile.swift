// A file whose bytes are tokens.
import NeedletailFiles

/// The bytes of a file, read a window at a time: they take no memory of the process, only the system's cache of files.
///
/// A mapping of the file would do the same, but reading one that has been made shorter meanwhile ends the process (SIGBUS), and
/// one that was written to gives other tokens without a word. Here both are errors.
///
/// `@unchecked Sendable`: a `RegularFile` has constants only, and reads without a place of its own.
final class TokenFile: @unchecked Sendable {
    private let file: RegularFile
    /// The number of bytes, as it was when the file was opened.
    var count: Int { file.size }

    /// Opens the file at `path`. Throws ``DataFileError`` for what is not a readable regular file.
    init(path: String) throws {
        do { file = try RegularFile(FilePath(path)) } catch let error as FileError {
            throw StoredBytes.unreadable(error, path)
        }
    }

    /// The bytes at these places. Throws ``DataFileError`` where the file is not as it was when it was opened.
    func bytes(_ range: Range<Int>) throws -> [UInt8] {
        let name = file.path.description
        let bytes: [UInt8]
        do { bytes = try file.bytes(range.count, at: range.lowerBound) } catch let error as FileError {
            throw StoredBytes.unreadable(error, name)
        }
        guard bytes.count == range.count, file.isUnchanged else {
            throw DataFileError(
                .truncated, file: name, found: "a file that was changed while it was being trained on",
                expected: "the \(file.size) bytes that were there", advice: "start again with the file as it is now")
        }
        return bytes
    }
}
