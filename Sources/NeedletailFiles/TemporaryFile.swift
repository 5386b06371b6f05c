// A file that is written beside its final place and takes that place in one step, for writers of whole files.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A new file with a hidden name of its own in the folder of the final one, `.NAME.PROCESS.NUMBER.tmp`.
///
/// It is locked (`flock`) as long as its writer lives. One that is not locked is what a killed writer has left: the next writer to
/// the same final name removes it. Where the file system has no locks nothing is removed.
package final class TemporaryFile {
    /// A step that failed, as a verb, and the system's error number.
    package struct Failure: Error {
        package let action: String
        package let systemError: Int32
    }

    /// Where it lies.
    package let path: String
    /// Open for writing until `rename` or `remove`.
    package let descriptor: Int32
    private var isOpen = true

    /// Removes what killed writers to `final` have left, and creates an empty file beside it.
    /// - Throws: ``Failure``.
    package init(beside final: String) throws {
        Self.removeAbandoned(beside: final)
        while true {
            let path = Self.path(beside: final)
            let descriptor: Int32
            do { descriptor = try FileSystem.open(FilePath(path), O_WRONLY | O_CREAT | O_EXCL) } catch let error
                as FileError
            {
                throw Failure(action: "create", systemError: error.systemError)
            }
            // Another writer may have found it between its creation and its lock, and be about to remove it.
            let isTaken = flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
            var status = stat()
            if !isTaken, fstat(descriptor, &status) == 0, status.st_nlink > 0 {
                self.path = path
                self.descriptor = descriptor
                return
            }
            try? FileSystem.removeFile(FilePath(path))
            close(descriptor)
        }
    }

    /// Gives the file its final name, replacing what was there, in one step; where `isFlushed`, its content is on the disk before.
    /// - Throws: ``Failure``.
    package func rename(to final: String, isFlushed: Bool = true) throws {
        guard !isFlushed || fsync(descriptor) == 0 else { throw Failure(action: "flush", systemError: errno) }
        // Closing tells of what a network's file system could not write; the lock lasts until the last descriptor is closed.
        let lock = dup(descriptor)
        defer { close(lock) }
        isOpen = false
        guard close(descriptor) == 0 else { throw Failure(action: "close", systemError: errno) }
        do { try FileSystem.rename(FilePath(path), to: FilePath(final)) } catch let error as FileError {
            throw Failure(action: "rename the temporary file to", systemError: error.systemError)
        }
    }

    /// Removes the file if it still has its temporary name.
    package func remove() {
        try? FileSystem.removeFile(FilePath(path))
        if isOpen { close(descriptor) }
        isOpen = false
    }

    /// A name beside `path` that no other process or call uses.
    package static func path(beside path: String) -> String {
        let number = String(UInt64.random(in: 0 ... .max), radix: 36)
        let digits = String(repeating: "0", count: numberLength - number.count) + number
        let name = FilePath(bytes: prefix(for: path) + Array("\(getpid()).\(digits).tmp".utf8))
        return FilePath(path).parent.appending(name).text
    }

    private static let numberLength = 13  // 36^13 > 2^64

    private static func prefix(for path: String) -> [UInt8] {
        // A file name may be 255 bytes long: a long one is shortened, the random number keeps it apart.
        Array(".".utf8) + FilePath(path).name.bytes.prefix(200) + Array(".".utf8)
    }

    private static func removeAbandoned(beside final: String) {
        let folder = FilePath(final).parent, prefix = prefix(for: final), ending = Array(".tmp".utf8)
        for name in (try? FileSystem.names(in: folder)) ?? [] {
            guard name.bytes.starts(with: prefix), name.bytes.suffix(ending.count) == ending[...] else { continue }
            let middle = String(decoding: name.bytes.dropFirst(prefix.count).dropLast(ending.count), as: UTF8.self)
            let parts = middle.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 2, Int32(parts[0]) != nil, parts[1].count == numberLength,
                UInt64(parts[1], radix: 36) != nil
            else { continue }
            removeUnlessLocked(folder.appending(name))
        }
    }

    private static func removeUnlessLocked(_ path: FilePath) {
        guard let descriptor = try? FileSystem.open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK) else { return }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            flock(descriptor, LOCK_EX | LOCK_NB) == 0
        else { return }
        try? FileSystem.removeFile(path)
    }
}
