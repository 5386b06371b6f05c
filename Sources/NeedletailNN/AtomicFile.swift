// Writing a file so that a crash at any byte leaves the old content or the new, never a part.
import Foundation

/// Whole-file writes through a temporary file in the same directory: write, fsync, rename, fsync of the directory.
package enum AtomicFile {
    /// Replaces the file at `path` by the pieces that `body` hands to its argument.
    ///
    /// The file at `path` is replaced only when everything is on disk; if `body` or a write fails, it is left as it was
    /// and the temporary file is removed. A symbolic link at `path` is replaced, not followed; a device, pipe or socket, or
    /// a link to one, is refused: a file put into its place would take it from every program.
    /// - Throws: what `body` throws, or `AtomicFileError`.
    package static func write(to path: String, _ body: ((_ piece: [UInt8]) throws -> Void) throws -> Void) throws {
        var status = stat()
        let isThere = stat(path, &status) == 0
        let isPlain = [S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT) && directory(of: path) != "/dev"
        guard !isThere || isPlain else {
            throw AtomicFileError(path: path, action: "put a file in the place of", systemError: EEXIST)
        }
        let temporary = temporaryPath(for: path)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw AtomicFileError(path: path, action: "create", systemError: errno) }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
        do {
            var isOpen = true
            defer { if isOpen { _ = close(descriptor) } }
            try body { piece in
                do { try file.write(contentsOf: piece) } catch {
                    throw AtomicFileError(path: path, action: "write", systemError: Self.errorNumber(of: error))
                }
            }
            guard fsync(descriptor) == 0 else { throw AtomicFileError(path: path, action: "flush", systemError: errno) }
            isOpen = false
            guard close(descriptor) == 0 else { throw AtomicFileError(path: path, action: "close", systemError: errno) }
            try replace(path, by: temporary)
        } catch {
            _ = unlink(temporary)
            throw error
        }
    }

    /// Replaces the file at `path` by `bytes`.
    ///
    /// Where `isFlushed` is false a reader still finds the old file or the new one, but a machine that loses power may lose it.
    package static func write(_ bytes: [UInt8], to path: String, isFlushed: Bool = true) throws {
        guard !isFlushed else { return try write(to: path) { try $0(bytes) } }
        let temporary = temporaryPath(for: path)
        do {
            try create(temporary, bytes, isFlushed: false)
            guard rename(temporary, path) == 0 else {
                throw AtomicFileError(path: path, action: "rename the temporary file to", systemError: errno)
            }
        } catch {
            _ = unlink(temporary)
            throw error
        }
    }

    /// Makes a file that is not there yet. Its name is durable only with its folder.
    package static func create(_ path: String, _ bytes: [UInt8], isFlushed: Bool = true) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw AtomicFileError(path: path, action: "create", systemError: errno) }
        do {
            try FileHandle(fileDescriptor: descriptor, closeOnDealloc: false).write(contentsOf: bytes)
        } catch {
            _ = close(descriptor)
            throw AtomicFileError(path: path, action: "write", systemError: Self.errorNumber(of: error))
        }
        let isOnDisk = !isFlushed || fsync(descriptor) == 0
        let problem = errno
        guard close(descriptor) == 0, isOnDisk else {
            throw AtomicFileError(path: path, action: "flush", systemError: isOnDisk ? errno : problem)
        }
    }

    /// Renames a file or folder whose content is already on disk over `path`, and makes the rename itself durable.
    package static func replace(_ path: String, by temporary: String) throws {
        guard rename(temporary, path) == 0 else {
            throw AtomicFileError(path: path, action: "rename the temporary file to", systemError: errno)
        }
        try synchronizeDirectory(containing: path)
    }

    /// Makes creations and renames in the folder that holds `path` durable.
    package static func synchronizeDirectory(containing path: String) throws {
        try synchronizeDirectory(directory(of: path))
    }

    /// Makes creations and renames in the folder at `path` durable.
    package static func synchronizeDirectory(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw AtomicFileError(path: path, action: "open the folder", systemError: errno) }
        defer { _ = close(descriptor) }
        // Some file systems cannot flush a directory, and say so with EINVAL; there is nothing more to do there.
        guard fsync(descriptor) == 0 || errno == EINVAL else {
            throw AtomicFileError(path: path, action: "flush the folder", systemError: errno)
        }
    }

    /// A hidden name beside `path` that no other process or call uses; writers of folders may use it too.
    package static func temporaryPath(for path: String) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? "file"
        // A file name may be 255 bytes long: a long one is shortened, the random number keeps it apart.
        let stem = String(decoding: name.utf8.prefix(200), as: UTF8.self)
        let number = String(UInt64.random(in: 0 ... .max), radix: 36)
        return directory(of: path) + "/.\(stem).\(getpid()).\(number).tmp"
    }

    private static func directory(of path: String) -> String {
        var trimmed = Substring(path)
        while trimmed.count > 1 && trimmed.hasSuffix("/") { trimmed.removeLast() }
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/." : String(trimmed[..<slash])
    }

    /// What the system says of a failed write: Foundation's own text may be no more than a number.
    package static func reason(_ error: any Error) -> String { String(cString: strerror(errorNumber(of: error))) }

    private static func errorNumber(of error: any Error) -> Int32 {
        if let posix = error as? POSIXError { return posix.code.rawValue }
        let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
        for candidate in [error as NSError, underlying].compactMap({ $0 }) where candidate.domain == NSPOSIXErrorDomain
        {
            return Int32(candidate.code)
        }
        return (error as? CocoaError)?.code == .fileWriteOutOfSpace ? ENOSPC : EIO
    }
}

/// A file could not be written; what stood at the path before is unharmed.
package struct AtomicFileError: Error, CustomStringConvertible {
    /// The path that was to be written.
    package let path: String
    /// The step that failed, as a verb.
    package let action: String
    /// The system's error number.
    package let systemError: Int32

    package var description: String {
        "cannot \(action) '\(path)': \(String(cString: strerror(systemError))); what was there before is unchanged. "
            + "Check that the folder exists, may be written to and has free space"
    }
}
