// Writing and reading a checkpoint's folder, so that a crash at any byte leaves the old checkpoint or the new one.
import Foundation
import NeedletailData
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
        let name = FilePath(path).name.bytes
        return name.first == UInt8(ascii: ".") && name.suffix(8).elementsEqual(".partial".utf8)
    }

    /// The folder at `path`, or the one that an interrupted exchange has set aside for it; nil where there is neither.
    static func existing(_ path: String) -> String? {
        [path, path + ".previous"].first { isDirectory($0) }
    }

    /// What tells one folder from another that takes its name; nil where there is none.
    static func identity(_ path: String) -> String? {
        guard let status = try? FileSystem.status(FilePath(path)) else { return nil }
        // The number alone may be used again.
        return "\(status.number) \(status.written.seconds).\(status.written.nanoseconds)"
    }

    /// Writes `files` as the folder at `path`, replacing what is there.
    static func write(_ files: [(name: String, bytes: [UInt8])], to path: String) throws {
        let target = try target(path)
        let path = target.text, directory = target.parent.text
        let partial = target.parent.appending(FilePath(bytes: prefix(of: target) + "\(getpid()).partial".utf8)).text
        var isInPlace = false
        try checkPlace(path)
        do {
            try FileSystem.makeFolders(FilePath(directory))
            for folder in abandoned(of: target) { try clear(folder.text, of: path) }
            try FileSystem.makeFolder(FilePath(partial))
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
            if !isInPlace { try? FileSystem.removeTree(FilePath(partial)) }
            throw CheckpointError(path: path, problem: .notWritten("\(error)"))
        }
    }

    /// The path whose last part is the folder's own name: `.` and `..` have another one.
    static func target(_ path: String) throws -> FilePath {
        let path = FilePath(path)
        guard [".", "..", "/", ""].contains(path.name) else { return path.parent.appending(path.name) }
        do { return try FileSystem.resolved(path) } catch {
            throw CheckpointError(path: path.text, problem: .notWritten("\(error)"))
        }
    }

    /// How the names of a checkpoint's partial folders begin. Of a long name only a part fits; a checksum tells it from others.
    private static func prefix(of target: FilePath) -> [UInt8] {
        let name = target.name.bytes
        let known = name.count <= 200 ? name : name.prefix(180) + Array("~\(CRC32.text(name))".utf8)
        return Array(".".utf8) + known + Array(".".utf8)
    }

    /// Throws where something else than a checkpoint stands at `path`.
    static func checkPlace(_ path: String) throws {
        let isFile = !isDirectory(path) && FileSystem.exists(FilePath(path))
        guard isFile || isForeign(path) else { return }
        let found = isFile ? "a file" : "a folder with other files"
        throw CheckpointError(
            path: path, problem: .notWritten("found \(found) there; give another name, or move it away"))
    }

    /// The partial folders of a checkpoint that no other living process is writing.
    private static func abandoned(of target: FilePath) -> [FilePath] {
        let prefix = prefix(of: target)
        let names = (try? FileSystem.names(in: target.parent)) ?? []
        return names.filter { entry in
            guard entry.bytes.starts(with: prefix), isPartial(entry.text) else { return false }
            // "123.", once nothing
            let process = String(decoding: entry.bytes.dropFirst(prefix.count).dropLast(7), as: UTF8.self)
            if process.isEmpty || process == "\(getpid())." { return true }
            guard process.hasSuffix("."), let number = Int32(process.dropLast()) else { return false }
            return kill(number, 0) != 0 && errno == ESRCH
        }.map { target.parent.appending($0) }
    }

    /// Removes the checkpoint at `path`; a folder that holds anything that a checkpoint does not hold stays, for its name may
    /// come from a file.
    static func remove(_ path: String) {
        guard hasState(path), others(in: path).isEmpty else { return }
        try? FileSystem.removeTree(FilePath(path))
    }

    /// The names in a folder that are none of a checkpoint's files, nor what an interrupted write of one leaves.
    static func others(in path: String) -> [String] {
        let own = [CheckpointState.fileName, Checkpoint.modelFile, Checkpoint.optimizerFile, Checkpoint.callbackFile]
        let names = (try? FileSystem.names(in: FilePath(path))) ?? []
        return names.map(\.text).filter { name in
            !own.contains(name) && !own.contains { name.hasPrefix(".\($0).") && name.hasSuffix(".tmp") }
        }
    }

    static func hasState(_ path: String) -> Bool {
        FileSystem.exists(FilePath(path + "/" + CheckpointState.fileName))
    }

    /// Whether the folder at `path` is somebody else's.
    private static func isForeign(_ path: String) -> Bool {
        isDirectory(path) && !hasState(path) && !others(in: path).isEmpty
    }

    /// Deletes what was the checkpoint at `path`, where it is still there; with others' files in it, it is renamed to the first of
    /// `NAME.kept`, `NAME.kept-2`, … that is free.
    static func clear(_ folder: String, of path: String) throws {
        guard FileSystem.exists(FilePath(folder)) else { return }
        if others(in: folder).isEmpty { return try FileSystem.removeTree(FilePath(folder)) }
        for number in 1... {
            let kept = path + ".kept" + (number == 1 ? "" : "-\(number)")
            if !FileSystem.exists(FilePath(kept)) { return try move(folder, to: kept) }
        }
    }

    /// The bytes of a file of the checkpoint at `path`, whose size must be within `sizes`: looked at before memory is taken.
    static func read(_ file: String, of path: String, sizes: ClosedRange<Int>) throws -> [UInt8] {
        let full = path + "/" + file
        func error(_ why: String) -> CheckpointError {
            CheckpointError(path: path, problem: .unreadable(file: file, why: why))
        }
        let handle: RegularFile
        do { handle = try RegularFile(FilePath(full)) } catch let failure as FileError {
            guard !failure.isMissing else {
                throw CheckpointError(path: path, problem: .incomplete("there is no \(file)"))
            }
            throw error(failure.reason)
        }
        let count = handle.size
        guard sizes.contains(count) else {
            let expected = sizes.lowerBound == sizes.upperBound ? "" : "at most "
            throw CheckpointError(
                path: path,
                problem: .damaged(file: file, found: "\(count) bytes", expected: expected + "\(sizes.upperBound)"))
        }
        do { return try handle.bytes(count) } catch let failure as FileError { throw error(failure.reason) }
    }

    static func isDirectory(_ path: String) -> Bool {
        FileSystem.isFolder(FilePath(path))
    }

    /// Renames the complete folder `partial` to `path`.
    private static func put(_ partial: String, at path: String) throws {
        guard isDirectory(path) else {
            try move(partial, to: path)
            return
        }
        if FileSystem.exchange(FilePath(partial), FilePath(path)) { return }
        let previous = path + ".previous"
        try clear(previous, of: path)
        try move(path, to: previous)
        try move(partial, to: path)
    }

    private static func move(_ from: String, to: String) throws {
        do { try FileSystem.rename(FilePath(from), to: FilePath(to)) } catch let error as FileError {
            throw CheckpointError(path: to, problem: .notWritten("renaming \(from) failed: \(error.reason)"))
        }
    }
}
