// Writing a file so that a crash at any byte leaves the old content or the new, never a part.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Whole-file writes through a temporary file in the same directory: write, fsync, rename, fsync of the directory.
package enum AtomicFile {
    /// Replaces the file at `path` by the pieces that `body` hands to its argument.
    ///
    /// The file at `path` is replaced only when everything is on disk; if `body` or a write fails, it is left as it was
    /// and the temporary file is removed. A symbolic link at `path` is followed: it stays, and what it leads to is replaced. A
    /// device, pipe or socket, or a link to one, is refused: a file put into its place would take it from every program.
    /// Where `isFlushed` is false a reader still finds the old file or the new one, but a machine that loses power may lose it.
    /// What a killed process has left of an earlier write to `path` is removed.
    /// - Throws: what `body` throws, or `AtomicFileError`.
    package static func write(
        to path: String, isFlushed: Bool = true, _ body: ((_ piece: [UInt8]) throws -> Void) throws -> Void
    ) throws {
        guard let link = try? LinkTarget(of: FilePath(path)) else {
            throw AtomicFileError(path: path, action: "follow the links at", systemError: ELOOP)
        }
        let target = link.path.text
        let kind = link.descriptor == nil ? FileSystem.kind(link.path) : .other
        let isPlain = [.regular, .folder].contains(kind) && link.path.parent != "/dev"
        guard kind == nil || isPlain else {
            throw AtomicFileError(path: path, action: "put a file in the place of", systemError: EEXIST)
        }
        do {
            let temporary = try TemporaryFile(beside: target)
            defer { temporary.remove() }
            try body { piece in
                let problem = FileSystem.write(piece, to: temporary.descriptor)
                guard problem == 0 else { throw AtomicFileError(path: path, action: "write", systemError: problem) }
            }
            try temporary.rename(to: target, isFlushed: isFlushed)
            if isFlushed { try synchronizeDirectory(containing: target) }
        } catch let failure as TemporaryFile.Failure {
            throw AtomicFileError(path: path, action: failure.action, systemError: failure.systemError)
        }
    }

    /// Replaces the file at `path` by `bytes`, as `write(to:isFlushed:_:)` does.
    package static func write(_ bytes: [UInt8], to path: String, isFlushed: Bool = true) throws {
        try write(to: path, isFlushed: isFlushed) { try $0(bytes) }
    }

    /// Makes a file that is not there yet. Its name is durable only with its folder.
    package static func create(_ path: String, _ bytes: [UInt8], isFlushed: Bool = true) throws {
        let descriptor: Int32
        do { descriptor = try FileSystem.open(FilePath(path), O_WRONLY | O_CREAT | O_EXCL) } catch let error
            as FileError
        {
            throw AtomicFileError(path: path, action: "create", systemError: error.systemError)
        }
        let failure = FileSystem.write(bytes, to: descriptor)
        guard failure == 0 else {
            _ = close(descriptor)
            throw AtomicFileError(path: path, action: "write", systemError: failure)
        }
        let isOnDisk = !isFlushed || fsync(descriptor) == 0
        let problem = errno
        guard close(descriptor) == 0, isOnDisk else {
            throw AtomicFileError(path: path, action: "flush", systemError: isOnDisk ? errno : problem)
        }
    }

    /// Makes creations and renames in the folder that holds `path` durable.
    package static func synchronizeDirectory(containing path: String) throws {
        try synchronizeDirectory(FilePath(path).parent.text)
    }

    /// Makes creations and renames in the folder at `path` durable.
    package static func synchronizeDirectory(_ path: String) throws {
        let descriptor: Int32
        do { descriptor = try FileSystem.open(FilePath(path), O_RDONLY | O_DIRECTORY) } catch let error as FileError {
            throw AtomicFileError(path: path, action: "open the folder", systemError: error.systemError)
        }
        defer { _ = close(descriptor) }
        // Some file systems cannot flush a directory, and say so with EINVAL; there is nothing more to do there.
        guard fsync(descriptor) == 0 || errno == EINVAL else {
            throw AtomicFileError(path: path, action: "flush the folder", systemError: errno)
        }
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
        "cannot \(action) '\(FilePath(path))': \(FileError.reason(systemError, FilePath(path))); what was there before is unchanged. "
            + "Check that the folder exists, may be written to and has free space"
    }
}
