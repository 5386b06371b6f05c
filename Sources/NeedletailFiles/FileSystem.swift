// All that is asked of the file system about paths. No other target asks it anything.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What stands at a path.
package struct FileStatus: Equatable, Sendable {
    /// Kinds of files.
    package enum Kind: Sendable { case regular, folder, link, pipe, socket, device, other }

    package let kind: Kind
    /// In bytes.
    package let size: Int
    /// The file's number on its device: a path that names another file has another one, until the number is used again.
    package let number: UInt64
    /// When the content was last written: seconds since 1970, and nanoseconds.
    package let written: (seconds: Int, nanoseconds: Int)

    init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .folder
            case S_IFLNK: .link
            case S_IFIFO: .pipe
            case S_IFSOCK: .socket
            case S_IFCHR, S_IFBLK: .device
            default: .other
            }
        size = Int(status.st_size)
        number = UInt64(status.st_ino)
        #if canImport(Darwin)
            written = (Int(status.st_mtimespec.tv_sec), Int(status.st_mtimespec.tv_nsec))
        #else
            written = (Int(status.st_mtim.tv_sec), Int(status.st_mtim.tv_nsec))
        #endif
    }

    package static func == (a: FileStatus, b: FileStatus) -> Bool {
        a.kind == b.kind && a.size == b.size && a.number == b.number && a.written == b.written
    }
}

/// Questions and orders to the file system. Paths are taken as they are: no `~`, no pattern and no variable is expanded.
package enum FileSystem {
    // MARK: Questions

    /// What stands at `path`; where `followingLinks`, what a link there leads to.
    /// - Throws: ``FileError``.
    package static func status(_ path: FilePath, followingLinks: Bool = true) throws -> FileStatus {
        try check(path)
        var status = stat()
        let result = followingLinks ? stat(path.terminated, &status) : lstat(path.terminated, &status)
        guard result == 0 else { throw FileError(path, errno) }
        return FileStatus(status)
    }

    /// What stands at `path`; nil where nothing can be seen there.
    package static func kind(_ path: FilePath, followingLinks: Bool = true) -> FileStatus.Kind? {
        (try? status(path, followingLinks: followingLinks))?.kind
    }

    /// Whether something stands at `path`; a link counts where it leads to something.
    package static func exists(_ path: FilePath) -> Bool { kind(path) != nil }

    /// Whether `path` is a folder, or a link to one.
    package static func isFolder(_ path: FilePath) -> Bool { kind(path) == .folder }

    /// Whether two paths lead to one thing that is there.
    package static func isSame(_ a: FilePath, _ b: FilePath) -> Bool {
        var first = stat(), second = stat()
        return a.problem == nil && b.problem == nil && stat(a.terminated, &first) == 0
            && stat(b.terminated, &second) == 0 && first.st_ino == second.st_ino && first.st_dev == second.st_dev
    }

    /// Whether the process may write to what stands at `path`.
    /// - Throws: ``FileError`` with the reason where it may not.
    package static func checkWritable(_ path: FilePath) throws {
        try check(path)
        guard access(path.terminated, W_OK) == 0 else { throw FileError(path, errno) }
    }

    /// Whether the folder still exists from which relative paths begin.
    static var hasWorkingFolder: Bool {
        guard let path = getcwd(nil, 0) else { return errno != ENOENT }
        free(path)
        return true
    }

    /// The names in a folder, in no order, without `.` and `..`.
    /// - Throws: ``FileError``.
    package static func names(in folder: FilePath) throws -> [FilePath] {
        try check(folder)
        guard let stream = opendir(folder.terminated) else { throw FileError(folder, errno) }
        defer { closedir(stream) }
        var names: [FilePath] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw FileError(folder, errno) }
                return names
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { FilePath(bytes: $0.prefix { $0 != 0 }) }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    /// The path of what stands at `path`, without links, `.` and `..`.
    /// - Throws: ``FileError``.
    package static func resolved(_ path: FilePath) throws -> FilePath {
        try check(path)
        guard let found = realpath(path.terminated, nil) else { throw FileError(path, errno) }
        defer { free(found) }
        return FilePath(bytes: UnsafeBufferPointer(start: found, count: strlen(found)).map { UInt8(bitPattern: $0) })
    }

    // MARK: Folders

    /// Makes a folder where nothing is.
    /// - Throws: ``FileError``, with EEXIST where something is.
    package static func makeFolder(_ path: FilePath) throws {
        try check(path)
        guard mkdir(path.terminated, 0o777) == 0 else { throw FileError(path, errno) }
    }

    /// Makes a folder and those that it lies in; one that is there is left as it is.
    /// - Throws: ``FileError``.
    package static func makeFolders(_ path: FilePath) throws {
        do { try makeFolder(path) } catch let error as FileError {
            if isFolder(path) { return }
            guard error.systemError == ENOENT, path.parent != path, path.parent != "." else { throw error }
            try makeFolders(path.parent)
            // Another process may have made it meanwhile.
            do { try makeFolder(path) } catch { if !isFolder(path) { throw error } }
        }
    }

    // MARK: Removal and names

    /// Removes a name that is no folder's.
    /// - Throws: ``FileError``.
    package static func removeFile(_ path: FilePath) throws {
        try check(path)
        guard unlink(path.terminated) == 0 else { throw FileError(path, errno) }
    }

    /// Removes a folder that holds nothing.
    /// - Throws: ``FileError``.
    package static func removeEmptyFolder(_ path: FilePath) throws {
        try check(path)
        guard rmdir(path.terminated) == 0 else { throw FileError(path, errno) }
    }

    /// Removes what stands at `path`, a folder with all that is in it; no link is followed.
    /// - Throws: ``FileError`` of the first that stays.
    package static func removeTree(_ path: FilePath) throws {
        guard try status(path, followingLinks: false).kind == .folder else { return try removeFile(path) }
        for name in try names(in: path) { try removeTree(path.appending(name)) }
        try removeEmptyFolder(path)
    }

    /// Gives `path` another name, replacing a file that has it.
    /// - Throws: ``FileError`` naming the new path.
    package static func rename(_ path: FilePath, to other: FilePath) throws {
        try check(path)
        try check(other)
        #if canImport(Glibc)
            let result = Glibc.rename(path.terminated, other.terminated)
        #elseif canImport(Musl)
            let result = Musl.rename(path.terminated, other.terminated)
        #else
            let result = Darwin.rename(path.terminated, other.terminated)
        #endif
        guard result == 0 else { throw FileError(other, errno) }
    }

    /// Exchanges what stands at two paths in one system call; false where the system or the file system cannot.
    package static func exchange(_ a: FilePath, _ b: FilePath) -> Bool {
        #if os(Linux)
            // Not among the functions that Swift's Glibc module shows; older C libraries lack it.
            guard let symbol = dlsym(nil, "renameat2") else { return false }
            typealias RenameAt2 =
                @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32
            let renameExchange: UInt32 = 1 << 1
            let call = unsafeBitCast(symbol, to: RenameAt2.self)
            return call(AT_FDCWD, a.terminated, AT_FDCWD, b.terminated, renameExchange) == 0
        #elseif canImport(Darwin)
            return renamex_np(a.terminated, b.terminated, UInt32(RENAME_SWAP)) == 0
        #else
            return false
        #endif
    }

    // MARK: Descriptors

    /// Opens what stands at `path`; never inherited by programs that the process starts.
    /// - Throws: ``FileError``.
    package static func open(_ path: FilePath, _ flags: Int32) throws -> Int32 {
        try check(path)
        #if canImport(Glibc)
            let descriptor = Glibc.open(path.terminated, flags | O_CLOEXEC, 0o666)
        #elseif canImport(Musl)
            let descriptor = Musl.open(path.terminated, flags | O_CLOEXEC, 0o666)
        #else
            let descriptor = Darwin.open(path.terminated, flags | O_CLOEXEC, 0o666)
        #endif
        guard descriptor >= 0 else { throw FileError(path, errno) }
        return descriptor
    }

    /// Writes all bytes; returns the system's error number where it cannot, else 0.
    package static func write(_ bytes: some Sequence<UInt8>, to descriptor: Int32) -> Int32 {
        CheckedWrite.all(Array(bytes), to: descriptor).problem ?? 0
    }

    private static func check(_ path: FilePath) throws {
        if let problem = path.problem { throw FileError(path, path.bytes.isEmpty ? ENOENT : EINVAL, reason: problem) }
    }
}
