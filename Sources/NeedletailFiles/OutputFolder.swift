// A folder in which results get files of their own.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Folders that hold results.
package enum OutputFolder {
    /// Tries to make a file in the folder at `path`, and leaves everything as it was; folders that were missing are removed
    /// again.
    /// - Throws: ``OutputError``.
    package static func check(_ path: String) throws {
        let probe = OutputFile(path + "/.needletail-\(getpid())", .lines)
        do {
            let made = try probe.makeFolders(for: FilePath(probe.path))
            defer { for folder in made.reversed() { rmdir(folder.terminated) } }
            try probe.check()
        } catch let error as OutputError { throw OutputError(path: path, why: error.why, advice: error.advice) }
    }
}
