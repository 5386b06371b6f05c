// A lock that the system frees where its holder dies.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Holds a file, which is made for it, until it is released or the process dies. Where the file system has no locks nothing is held.
package final class FileLock: Sendable {
    private let path: FilePath
    private let descriptor: Int32

    /// Makes the file at `path` where there is none, and takes it.
    /// - Throws: ``FileError``, with EWOULDBLOCK where another process, or another lock of this one, holds the file.
    package init(_ path: FilePath) throws {
        self.path = path
        while true {
            let descriptor = try Self.open(path)
            if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
                close(descriptor)
                throw FileError(path, EWOULDBLOCK)
            }
            var held = stat(), named = stat()
            if fstat(descriptor, &held) == 0, lstat(path.terminated, &named) == 0, held.st_ino == named.st_ino,
                held.st_dev == named.st_dev
            {
                self.descriptor = descriptor
                return
            }
            close(descriptor)  // whoever held it has removed the file meanwhile
        }
    }

    /// Lets go of the file, and removes it.
    package func release() {
        try? FileSystem.removeFile(path)  // first: nobody can take the lock of a name that is gone
        close(descriptor)
    }

    private static func open(_ path: FilePath) throws -> Int32 {
        let flags = O_NOFOLLOW | O_NONBLOCK
        do { return try FileSystem.open(path, O_RDWR | O_CREAT | flags) } catch let error as FileError {
            // One that another user's killed process has left can be locked too.
            guard error.systemError == EACCES else { throw error }
            return try FileSystem.open(path, O_RDONLY | flags)
        }
    }
}
