// A folder that one run holds at a time.
import Foundation
import NeedletailFiles

/// Holds a folder until it is released, or until the process dies, by a lock on the file `.run.lock` in it.
struct FolderLock: Sendable {
    static let fileName = ".run.lock"
    private let lock: FileLock

    /// Takes the folder; throws ``CheckpointError`` where another process, or another trainer of this one, holds it, or where no
    /// file can be made in it.
    init(_ folder: String) throws {
        do { lock = try FileLock(FilePath(folder + "/" + Self.fileName)) } catch let error as FileError {
            let isHeld = error.systemError == EWOULDBLOCK
            throw CheckpointError(
                path: folder, problem: isHeld ? .inUse : .notWritten("no file can be made in it: \(error.reason)"))
        }
    }

    /// Whether a run holds the folder. A lock that a killed run has left is removed.
    static func isHeld(_ folder: String) -> Bool {
        let path = FilePath(folder + "/" + fileName)
        guard FileSystem.exists(path) else { return false }
        do {
            try FileLock(path).release()
            return false
        } catch { return (error as? FileError)?.systemError == EWOULDBLOCK }
    }

    /// Lets go of the folder.
    func release() { lock.release() }
}
