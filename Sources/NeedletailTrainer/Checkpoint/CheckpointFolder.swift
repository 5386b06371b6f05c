// Writing and reading a checkpoint's folder, so that a crash at any byte leaves the old checkpoint or the new one.
import Foundation
import NeedletailFiles
import NeedletailNN

/// The files of a checkpoint on disk.
///
/// Writing: the files go into a folder `.NAME.PROCESS.partial` beside the target, each one is flushed, so is the folder; the
/// folder then takes the target's place by one rename and the directory above is flushed. An existing target is exchanged
/// for it in one system call where the file system can do that; where it cannot, the old one first becomes
/// `NAME.previous`, a full checkpoint under a name that readers of NAME know to look for. At every moment one of the
/// two is complete. Nothing is deleted but what checkpoints consist of: a folder with other files under the target's name is
/// refused, and an old checkpoint beside which someone has put a file becomes `NAME.kept`.
enum CheckpointFolder {
    /// Whether `path` is what an interrupted write leaves behind.
    static func isPartial(_ path: String) -> Bool {
        let name = (path as NSString).lastPathComponent
        return name.hasPrefix(".") && name.hasSuffix(".partial")
    }

    /// The folder at `path`, or the one that an interrupted exchange has set aside for it; nil where there is neither.
    static func existing(_ path: String) -> String? {
        [path, path + ".previous"].first { isDirectory($0) }
    }

    /// What tells one folder from another that takes its name; nil where there is none.
    static func identity(_ path: String) -> String? {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path) else { return nil }
        let written = (attributes[.modificationDate] as? Date)?.timeIntervalSinceReferenceDate ?? 0
        return "\(attributes[.systemFileNumber] ?? 0) \(written)"  // the number alone may be used again
    }

    /// Writes `files` as the folder at `path`, replacing what is there.
    static func write(_ files: [(name: String, bytes: [UInt8])], to path: String) throws {
        let path = (path as NSString).standardizingPath
        let parent = (path as NSString).deletingLastPathComponent
        let directory = parent.isEmpty ? "." : parent
        let name = (path as NSString).lastPathComponent
        let partial = directory + "/.\(name).\(getpid()).partial"
        var isInPlace = false
        guard !isForeign(path) else {
            throw CheckpointError(
                path: path,
                problem: .notWritten("found a folder with other files there; give another name, or move it away"))
        }
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            for name in abandoned(of: name, in: directory) { try clear(directory + "/" + name, of: path) }
            try FileManager.default.createDirectory(atPath: partial, withIntermediateDirectories: false)
            // By their own names: nobody takes the folder for a checkpoint before it has its name.
            for file in files { try AtomicFile.create(partial + "/" + file.name, file.bytes) }
            try AtomicFile.synchronizeDirectory(partial)
            try put(partial, at: path)
            isInPlace = true
            try AtomicFile.synchronizeDirectory(containing: path)
            // After an exchange the partial folder holds the old checkpoint.
            for leftover in [partial, path + ".previous"] { try clear(leftover, of: path) }
        } catch {
            // On a full disk the space is needed. Once in place, the partial folder is the old checkpoint.
            if !isInPlace { try? FileManager.default.removeItem(atPath: partial) }
            throw CheckpointError(path: path, problem: .notWritten("\(error)"))
        }
    }

    /// The partial folders of a checkpoint that no other living process is writing.
    private static func abandoned(of name: String, in directory: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { entry in
            guard entry.hasPrefix(".\(name)."), isPartial(entry) else { return false }
            let process = entry.dropFirst(name.count + 2).dropLast("partial".count)  // "123.", once nothing
            if process.isEmpty || process == "\(getpid())." { return true }
            guard process.hasSuffix("."), let number = Int32(process.dropLast()) else { return false }
            return kill(number, 0) != 0 && errno == ESRCH
        }
    }

    /// Removes the checkpoint at `path`; a folder that holds anything that a checkpoint does not hold stays, for its name may
    /// come from a file.
    static func remove(_ path: String) {
        guard hasState(path), others(in: path).isEmpty else { return }
        try? FileManager.default.removeItem(atPath: path)
    }

    /// The names in a folder that are none of a checkpoint's files, nor what an interrupted write of one leaves.
    private static func others(in path: String) -> [String] {
        let own = [CheckpointState.fileName, Checkpoint.modelFile, Checkpoint.optimizerFile, Checkpoint.callbackFile]
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.filter { name in
            !own.contains(name) && !own.contains { name.hasPrefix(".\($0).") && name.hasSuffix(".tmp") }
        }
    }

    private static func hasState(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: path + "/" + CheckpointState.fileName)
    }

    /// Whether the folder at `path` is somebody else's.
    private static func isForeign(_ path: String) -> Bool {
        isDirectory(path) && !hasState(path) && !others(in: path).isEmpty
    }

    /// Deletes what was the checkpoint at `path`, where it is still there; with others' files in it, it is renamed to the first of
    /// `NAME.kept`, `NAME.kept-2`, … that is free.
    private static func clear(_ folder: String, of path: String) throws {
        guard FileManager.default.fileExists(atPath: folder) else { return }
        if others(in: folder).isEmpty { return try FileManager.default.removeItem(atPath: folder) }
        for number in 1... {
            let kept = path + ".kept" + (number == 1 ? "" : "-\(number)")
            if !FileManager.default.fileExists(atPath: kept) { return try move(folder, to: kept) }
        }
    }

    /// The bytes of a file of the checkpoint at `path`, whose size must be within `sizes`: looked at before memory is taken.
    static func read(_ file: String, of path: String, sizes: ClosedRange<Int>) throws -> [UInt8] {
        let full = path + "/" + file
        func error(_ why: String) -> CheckpointError {
            CheckpointError(path: path, problem: .unreadable(file: file, why: why))
        }
        guard FileManager.default.fileExists(atPath: full) else {
            throw CheckpointError(path: path, problem: .incomplete("there is no \(file)"))
        }
        let descriptor = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK)  // a pipe would else wait for a writer
        guard descriptor >= 0 else { throw error(String(cString: strerror(errno))) }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw error("found a folder, pipe or device, expected a file")
        }
        let count = Int(status.st_size)
        guard sizes.contains(count) else {
            let expected = sizes.lowerBound == sizes.upperBound ? "" : "at most "
            throw CheckpointError(
                path: path,
                problem: .damaged(file: file, found: "\(count) bytes", expected: expected + "\(sizes.upperBound)"))
        }
        do { return [UInt8](try handle.read(upToCount: count) ?? Data()) } catch let failure {
            throw error(failure.localizedDescription)
        }
    }

    private static func isDirectory(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
    }

    /// Renames the complete folder `partial` to `path`.
    private static func put(_ partial: String, at path: String) throws {
        guard isDirectory(path) else {
            try move(partial, to: path)
            return
        }
        if exchange(partial, path) { return }
        let previous = path + ".previous"
        try clear(previous, of: path)
        try move(path, to: previous)
        try move(partial, to: path)
    }

    private static func move(_ from: String, to: String) throws {
        guard rename(from, to) == 0 else {
            throw CheckpointError(
                path: to, problem: .notWritten("renaming \(from) failed: \(String(cString: strerror(errno)))"))
        }
    }

    /// Exchanges two folders in one system call; false where the system or the file system has none.
    private static func exchange(_ a: String, _ b: String) -> Bool {
        #if os(Linux)
            // Not among the functions that Swift's Glibc module shows; older C libraries lack it.
            guard let symbol = dlsym(nil, "renameat2") else { return false }
            typealias RenameAt2 =
                @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32
            let renameExchange: UInt32 = 1 << 1
            return unsafeBitCast(symbol, to: RenameAt2.self)(AT_FDCWD, a, AT_FDCWD, b, renameExchange) == 0
        #elseif canImport(Darwin)
            return renamex_np(a, b, UInt32(RENAME_SWAP)) == 0
        #else
            return false
        #endif
    }
}
