// Where a path's symbolic links lead.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The end of the links that stand at a path.
///
/// The last part of the path is followed here, because a file that is replaced must be replaced where it lies; links among the
/// folders above it the system follows by itself.
package struct LinkTarget {
    /// The path of what is there, or would be made: no link itself.
    package private(set) var path: FilePath
    /// The process's own descriptor that the path means, as /dev/stdout does.
    package private(set) var descriptor: Int32?

    /// Follows the links at `path`.
    /// - Throws: ``FileError`` where they lead in a circle, or the path is none.
    package init(of path: FilePath) throws {
        if let problem = path.problem { throw FileError(path, path.bytes.isEmpty ? ENOENT : EINVAL, reason: problem) }
        self.path = path
        for _ in 0..<40 {
            if let descriptor = Self.ownDescriptor(self.path) {
                self.descriptor = descriptor
                return
            }
            guard let target = Self.link(self.path) else { return }
            self.path = target.isAbsolute ? target : self.path.parent.appending(target)
        }
        throw FileError(path, ELOOP)
    }

    /// What the link at `path` says; nil where no link is.
    private static func link(_ path: FilePath) -> FilePath? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { readlink(path.terminated, $0.baseAddress!, $0.count) }
        }
        return count < 0 ? nil : FilePath(bytes: buffer[..<count])
    }

    /// The N of /proc/self/fd/N under any name that leads there, such as /dev/fd/N.
    private static func ownDescriptor(_ path: FilePath) -> Int32? {
        guard let number = Int32(path.name.text), number >= 0, "\(number)" == path.name.text,
            let folder = try? FileSystem.resolved(path.parent)
        else { return nil }
        return [FilePath("/proc/\(getpid())/fd"), "/dev/fd"].contains(folder) ? number : nil
    }
}
