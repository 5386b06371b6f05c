// Reading files that are files: a pipe or a device would be waited for, or never end.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A regular file, open for reading until the last reference to it goes.
package final class RegularFile {
    /// The path that was opened.
    package let path: FilePath
    /// Its size when it was opened, in bytes; 0 for the files of /proc and /sys.
    package let size: Int
    package let descriptor: Int32
    private let opened: FileStatus

    /// What is said of everything else.
    package static let expectation = "found a folder, pipe or device, expected a file"

    /// Opens the file at `path`.
    /// - Throws: ``FileError``, also for what is no regular file.
    package init(_ path: FilePath) throws {
        descriptor = try FileSystem.open(path, O_RDONLY | O_NONBLOCK)  // a pipe would else wait for a writer
        self.path = path
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw FileError(path, EINVAL, reason: Self.expectation)
        }
        size = Int(status.st_size)
        opened = FileStatus(status)
    }

    deinit { close(descriptor) }

    /// Whether it has the size, and the time of its last change, that it had when it was opened.
    package var isUnchanged: Bool {
        var now = stat()
        return fstat(descriptor, &now) == 0 && FileStatus(now) == opened
    }

    /// Fills `buffer` from `offset` as far as the file goes; returns the number of bytes.
    /// - Throws: ``FileError``.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
        var filled = 0
        while filled < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            // One read of at most 1 GB: the system's own limit lies at 2 GB.
            let count = pread(descriptor, rest.baseAddress, min(rest.count, 1 << 30), off_t(offset + filled))
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw FileError(path, errno) }
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    /// At most `count` bytes from `offset`; fewer where the file ends.
    /// - Throws: ``FileError``.
    package func bytes(_ count: Int, at offset: Int = 0) throws -> [UInt8] {
        var failure: (any Error)?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            do { filled = try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset) } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    /// The content of the file at `path`; of one with more than `limit` bytes, the first `limit` + 1.
    /// - Throws: ``FileError``.
    package static func bytes(of path: FilePath, limit: Int) throws -> [UInt8] {
        let file = try RegularFile(path)
        // One byte more than the size tells whether the file has grown; files of /proc say 0 and hold more.
        var bytes = try file.bytes(min(file.size, limit) + 1)
        while bytes.count > min(file.size, limit), bytes.count <= limit {
            let more = try file.bytes(min(1 << 16, limit + 1 - bytes.count), at: bytes.count)
            if more.isEmpty { break }
            bytes += more
        }
        return bytes
    }

    /// The content of the file at `path` as text; nil where it cannot be read, is not UTF-8 or is larger than `limit`.
    package static func text(of path: FilePath, limit: Int = 1 << 26) -> String? {
        guard let bytes = try? bytes(of: path, limit: limit), bytes.count <= limit else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}
