// Where the user's programs keep what can be fetched again.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The user's cache folder, by the XDG Base Directory Specification.
package enum CacheFolder {
    /// No variable says where it is, and the system knows no home.
    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    /// `XDG_CACHE_HOME` where it is an absolute path (the specification has others ignored), else `.cache` in the home folder.
    /// - Throws: ``Missing``.
    package static func path() throws -> FilePath {
        try path(cache: ProcessSurroundings.variable("XDG_CACHE_HOME"), home: ProcessSurroundings.variable("HOME")) {
            homeOfUser()
        }
    }

    package static func path(cache: String?, home: String?, homeOfUser: () -> FilePath?) throws -> FilePath {
        if let cache = absolute(cache) { return cache }
        if let home = absolute(home) ?? homeOfUser().flatMap({ $0.isAbsolute ? $0 : nil }) {
            return home.appending(".cache")
        }
        throw Missing(
            description:
                "found no home folder: HOME is \(home.map { $0.isEmpty ? "empty" : "'\($0)'" } ?? "not set"), and the "
                + "system knows none of user \(getuid()); set XDG_CACHE_HOME to a folder that can be written to")
    }

    private static func absolute(_ text: String?) -> FilePath? {
        guard let path = text.map({ FilePath($0) }), path.isAbsolute else { return nil }
        return path
    }

    /// What the system's list of users says.
    private static func homeOfUser() -> FilePath? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        guard getpwuid_r(getuid(), &entry, &buffer, buffer.count, &found) == 0, found != nil, let home = entry.pw_dir
        else { return nil }
        return FilePath(bytes: UnsafeBufferPointer(start: home, count: strlen(home)).map { UInt8(bitPattern: $0) })
    }
}
