// What the system says where it does not do what it was asked for.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A path under which something could not be done.
package struct FileError: Error, CustomStringConvertible {
    /// The path.
    package let path: FilePath
    /// The system's error number.
    package let systemError: Int32
    /// What was found there, in words.
    package let reason: String

    /// A refusal with the system's own words, or with better ones.
    package init(_ path: FilePath, _ systemError: Int32, reason: String? = nil) {
        self.path = path
        self.systemError = systemError
        self.reason = reason ?? Self.reason(systemError, path)
    }

    /// The system's words; where nothing is found because the working folder is gone, that.
    static func reason(_ systemError: Int32, _ path: FilePath) -> String {
        if systemError == ENOENT, !path.isAbsolute, !FileSystem.hasWorkingFolder {
            return "the folder that the process works in was removed"
        }
        return String(cString: strerror(systemError))
    }

    /// Whether there is nothing under the path.
    package var isMissing: Bool { systemError == ENOENT || systemError == ENOTDIR }

    package var description: String { "\(path): \(reason)" }
}
