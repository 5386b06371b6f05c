// Where results go, and the one rule for what may stand there.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file that a run writes: its path as the user gave it, and how it is written.
///
/// | at the path | a log of lines | a table, whose header may grow | a page, replaced as a whole |
/// |---|---|---|---|
/// | nothing | is made | is made | is made |
/// | a file | is written anew or gone on with | the same | is replaced in one step |
/// | a symbolic link | is followed: the link stays, what it leads to is written | the same | the same, beside the target |
/// | a pipe that is read, a terminal, another device of characters | is written to | is written to | is refused |
/// | a folder, a socket, a disk | is refused | is refused | is refused |
///
/// `/dev/stdout`, `/dev/fd/3` and the like mean the process's own descriptor. Folders that are missing are made. In `/dev`
/// itself no file is made.
package struct OutputFile: Sendable {
    /// How a file is written.
    package enum Use: Sendable {
        /// Pieces are appended.
        case lines
        /// Lines are appended, and the whole is replaced where the header grows.
        case table
        /// Everything is replaced in one step.
        case page
    }

    /// The path as it was given.
    package let path: String
    /// How it is written.
    package let use: Use

    /// An output at `path`.
    package init(_ path: String, _ use: Use) {
        self.path = path
        self.use = use
    }

    // MARK: What stands there

    /// What a path leads to.
    package enum Place {
        /// Nothing yet: the path, links followed.
        case nothing(FilePath)
        /// A file: the path, links followed.
        case file(FilePath)
        /// A pipe or device.
        case stream(FilePath)
        /// A descriptor of this process.
        case descriptor(Int32)
    }

    /// What the path leads to.
    /// - Throws: ``OutputError`` where that is no place for this output.
    package func place() throws -> Place {
        let end: LinkTarget
        do { end = try LinkTarget(of: FilePath(path)) } catch let error as FileError {
            throw OutputError(path, error.systemError)
        }
        if let descriptor = end.descriptor {
            guard use != .page else { throw refusal("a descriptor of this process, which cannot be replaced") }
            return .descriptor(descriptor)
        }
        var status = stat()
        guard stat(end.path.terminated, &status) == 0 else {
            guard errno == ENOENT else { throw OutputError(path, errno) }
            guard end.path.parent != "/dev", end.path.bytes.last != UInt8(ascii: "/") else {
                throw OutputError(path, ENOENT)
            }
            return .nothing(end.path)
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            guard end.path.parent != "/dev" else { throw refusal("a file among the devices") }
            return .file(end.path)
        case S_IFDIR: throw refusal("a folder")
        case S_IFIFO where use == .page: throw refusal("a pipe, which cannot be replaced by a file")
        case S_IFCHR where use == .page: throw refusal("a device, which cannot be replaced by a file")
        case S_IFIFO, S_IFCHR: return .stream(end.path)
        case S_IFSOCK: throw refusal("a socket")
        default: throw refusal("a disk or another device of blocks")
        }
    }

    private func refusal(_ found: String) -> OutputError {
        OutputError(path: path, why: "it is \(found)", advice: "give the name of a file")
    }

    // MARK: Trying

    /// Tries to write, and leaves everything as it was: no file, no folder, and what is there unharmed.
    /// - Throws: ``OutputError``.
    package func check() throws {
        switch try place() {
        case .nothing(let path): try tryMaking(path)
        case .file(let path): try tryReplacing(path)
        case .stream(let path):
            guard access(path.terminated, W_OK) == 0 else { throw OutputError(self.path, errno) }
            var status = stat()
            // A pipe is not opened: its reader would take the closing for the end.
            guard stat(path.terminated, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else { return }
            let descriptor = Self.open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY)
            guard descriptor >= 0 else { throw OutputError(self.path, errno) }
            defer { close(descriptor) }
            if let problem = CheckedWrite.refusal(of: descriptor) { throw OutputError(self.path, problem) }
        case .descriptor(let descriptor):
            if let problem = CheckedWrite.refusal(of: descriptor) { throw OutputError(path, problem) }
        }
    }

    private func tryMaking(_ path: FilePath) throws {
        let made = try makeFolders(for: path)
        defer { for folder in made.reversed() { rmdir(folder.terminated) } }
        let descriptor = Self.open(path, O_WRONLY | O_CREAT | O_EXCL)
        guard descriptor >= 0 else {
            if errno == EEXIST { return try tryReplacing(path) }  // another process has just made it
            throw OutputError(self.path, errno)
        }
        let problem = CheckedWrite.all([0], to: descriptor).problem
        let isClosed = close(descriptor) == 0
        let last = errno
        unlink(path.terminated)
        if let problem { throw OutputError(self.path, problem) }
        guard isClosed else { throw OutputError(self.path, last) }
    }

    private func tryReplacing(_ path: FilePath) throws {
        let descriptor = Self.open(path, O_WRONLY | O_NONBLOCK)
        if descriptor >= 0 { close(descriptor) }
        // A page replaces a file that may only be read; one that the system keeps as it is (EPERM, EROFS) not.
        guard descriptor >= 0 || use == .page && errno == EACCES else { throw OutputError(self.path, errno) }
        guard use != .lines else { return }
        do {
            let temporary = try TemporaryFile(beside: path.text)
            defer { temporary.remove() }
            if let problem = CheckedWrite.all([0], to: temporary.descriptor).problem {
                throw OutputError(self.path, problem)
            }
            // A file that was mounted over another one can be written to but not replaced.
            let second = FilePath(TemporaryFile.path(beside: path.text))
            let isMounted = link(path.terminated, second.terminated) != 0 && errno == EXDEV
            unlink(second.terminated)
            guard !isMounted else { throw OutputError(self.path, EBUSY) }
        } catch let failure as TemporaryFile.Failure { throw OutputError(self.path, failure.systemError) }
        var status = stat(), folder = stat()
        guard stat(path.terminated, &status) == 0, stat(path.parent.terminated, &folder) == 0 else { return }
        let isOwn = [0, status.st_uid, folder.st_uid].contains(geteuid())
        guard folder.st_mode & mode_t(S_ISVTX) == 0 || isOwn else { throw OutputError(self.path, EPERM) }
    }

    /// Makes the folder of the output and those above it that are missing.
    package func makeFolders() throws {
        if case .nothing(let path) = try place() { try makeFolders(for: path) }
    }

    /// Makes the folder of `path` and those above it that are missing; returns those that it has made.
    @discardableResult
    func makeFolders(for path: FilePath) throws -> [FilePath] {
        var missing: [FilePath] = []
        var folder = path.parent
        while access(folder.terminated, F_OK) != 0, errno == ENOENT, folder != folder.parent {
            missing.append(folder)
            folder = folder.parent
        }
        var made: [FilePath] = []
        for folder in missing.reversed() {
            if mkdir(folder.terminated, 0o777) == 0 {
                made.append(folder)
            } else if errno != EEXIST {
                let problem = errno
                for folder in made.reversed() { rmdir(folder.terminated) }
                throw OutputError(self.path, problem, doing: "its folder cannot be made")
            }
        }
        return made
    }

    /// -1, and the system's error number, where it cannot be opened.
    private static func open(_ path: FilePath, _ flags: Int32) -> Int32 {
        do { return try FileSystem.open(path, flags) } catch {
            errno = (error as? FileError)?.systemError ?? EIO
            return -1
        }
    }

    // MARK: Writing

    /// Opens the output to append to, and says whether it is a file; where `truncating`, a file's old content goes.
    ///
    /// A pipe that nobody reads is an error: opening it would wait for a reader, and no signal would end that.
    /// - Throws: ``OutputError``.
    package func open(truncating: Bool) throws -> (descriptor: Int32, isFile: Bool) {
        let path: FilePath
        // A file is read too, for the end of its last line; a pipe that is opened for both would be its own reader.
        var access = O_RDWR | O_CREAT
        switch try place() {
        case .descriptor(let own):
            let descriptor = fcntl(own, F_DUPFD_CLOEXEC, 3)
            guard descriptor >= 0 else { throw OutputError(self.path, errno) }
            return (descriptor, false)
        case .nothing(let end):
            try makeFolders(for: end)
            path = end
        case .file(let end): path = end
        case .stream(let end): (path, access) = (end, O_WRONLY)
        }
        let flags = O_NONBLOCK | O_APPEND | O_NOCTTY
        var descriptor = Self.open(path, flags | access)
        if descriptor < 0, errno == EACCES { descriptor = Self.open(path, flags | O_WRONLY) }
        guard descriptor >= 0 else {
            throw errno == ENXIO
                ? OutputError(path: self.path, why: "a pipe that nobody reads", advice: "start its reader first")
                : OutputError(self.path, errno)
        }
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
        var status = stat()
        let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        if isFile, truncating, ftruncate(descriptor, 0) != 0 {
            let problem = errno
            close(descriptor)
            throw OutputError(self.path, problem)
        }
        return (descriptor, isFile)
    }

    /// Replaces the whole file by `bytes`; a link at the path stays, what it leads to is replaced.
    /// - Throws: ``OutputError``; what was there before is then unchanged.
    package func replace(by bytes: [UInt8], isFlushed: Bool = true) throws {
        let path: FilePath
        switch try place() {
        case .nothing(let end):
            try makeFolders(for: end)
            path = end
        case .file(let end): path = end
        case .stream, .descriptor: throw refusal("a pipe or device, which cannot be replaced by a file")
        }
        do { try AtomicFile.write(bytes, to: path.text, isFlushed: isFlushed) } catch let error as AtomicFileError {
            throw OutputError(self.path, error.systemError)
        }
    }
}

/// A place where a result cannot be written.
package struct OutputError: Error, CustomStringConvertible {
    /// The path as it was given.
    package let path: String
    /// What was found, or what the system says.
    package let why: String
    /// What to do.
    package let advice: String
    /// The system's error number; nil where it gave none.
    package private(set) var systemError: Int32?

    package init(path: String, why: String, advice: String) {
        self.path = path
        self.why = why
        self.advice = advice
    }

    /// A failure for which the system gave a number.
    package init(_ path: String, _ systemError: Int32, doing: String? = nil) {
        let why = systemError == EBADF ? "it is closed" : FileError.reason(systemError, FilePath(path))
        let advice =
            switch systemError {
            case ENOENT where !FileSystem.hasWorkingFolder: "go to a folder that exists"
            case ENOENT: "check that its folder exists"
            case ENOSPC, EDQUOT: "make room there or give another place"
            case EFBIG: "raise the limit of file sizes (ulimit -f) or give another place"
            case EACCES, EPERM, EROFS, EBUSY: "give a place that may be written to"
            case ENAMETOOLONG: "give a shorter name"
            case ENOTDIR: "one of its folders is a file; give another place"
            case ELOOP: "its links lead nowhere; give another place"
            default: "check that the folder exists and has space"
            }
        self.init(path: path, why: [doing, why].compactMap { $0 }.joined(separator: ": "), advice: advice)
        self.systemError = systemError
    }

    package var description: String { "cannot write \(FilePath(path)): \(why); \(advice)" }
}
