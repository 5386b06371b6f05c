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
        self.reason = reason ?? String(cString: strerror(systemError))
    }

    /// Whether there is nothing under the path.
    package var isMissing: Bool { systemError == ENOENT || systemError == ENOTDIR }

    package var description: String { "\(path): \(reason)" }
}
