// Where the checkpoints of a fit go, so that no run writes over those of another.
import Foundation
import NeedletailFiles
import Synchronization

/// The folder of a ``ModelCheckpoint`` during one fit: its directory, or for later fits `fit-2`, `fit-3`, … in it.
///
/// It is taken before the first step and held until fit ends, by locks on the directory and on the folder. Nothing is changed
/// in it before the first checkpoint is saved; only then does `run.json` say that the folder is this fit's. Where the
/// checkpoints of another run are replaced, they are removed after that, whole checkpoints and nothing else.
final class RunFolder: Sendable {
    /// What decides where checkpoints go.
    struct Request {
        /// The directory that was given.
        var directory: String
        /// Who is going to write.
        var identity = RunRecord.Identity()
        /// The checkpoint from which the fit goes on; nil for a new run.
        var checkpoint: String?
        /// The run that goes on; nil where the checkpoint lies outside of all folders of the fit.
        var resumedRun: String?
        /// The fits that the trainer, or the callback, has made before.
        var owners: Set<String> = []
        /// Whether the checkpoints of another run are replaced.
        var isOverwriting = false
        /// The names that the fit is going to write for certain.
        var names = ["last"]
    }

    private struct State {
        /// What is in `run.json`, or will be.
        var record: RunRecord
        var hasSaved = false
        /// Whether there was a `run.json` of anybody before.
        let hadRecord: Bool
        /// What the first checkpoint replaces, by names in the folder.
        var replaced: Set<String> = []
        /// The folders that were made for this fit.
        var made: [String] = []
    }

    /// The directory that was given.
    let directory: String
    /// The folder that checkpoints go to.
    let path: String
    let identity: RunRecord.Identity
    private let locks: [FolderLock]
    private let state: Mutex<State>

    /// Takes the folder for a fit. Throws ``CheckpointError`` where it holds another run, where another one holds it, and where it
    /// cannot be written.
    init(_ request: Request) throws {
        let directory = CheckpointFolder.withoutSlashes(request.directory)
        if CheckpointFolder.isDirectory(directory) {  // nothing is changed yet
            do { _ = try Self.place(request, directory) } catch let error as CheckpointError {
                guard case .occupied = error.problem, FolderLock.isHeld(directory) else { throw error }
                throw CheckpointError(path: directory, problem: .inUse)
            }
        }
        var made: [String] = []
        var locks: [FolderLock] = []
        do {
            made += try CheckpointFolder.make(directory)
            locks.append(try FolderLock(directory))
            let (folder, replaced) = try Self.place(request, directory)
            if folder != directory {
                made += try CheckpointFolder.make(folder)
                locks.append(try FolderLock(folder))
            }
            for name in replaced where CheckpointFolder.fitNumber(name) != nil {
                locks.append(try FolderLock(directory + "/" + name))
            }
            try CheckpointFolder.tryWriting(request.names, in: folder)
            // A folder that the fit goes on in keeps what is known of its checkpoints.
            var record = RunRecord(request.identity, began: RunRecord.now)
            if replaced.isEmpty, let earlier = RunRecord.read(in: folder) {
                record = earlier
                record.identity = request.identity
                (record.began, record.ended, record.trackers) = (RunRecord.now, nil, [:])
            }
            self.directory = directory
            path = folder
            identity = request.identity
            self.locks = locks
            let hadRecord = CheckpointFolder.names(in: folder).contains(RunRecord.fileName)
            state = Mutex(State(record: record, hadRecord: hadRecord, replaced: replaced, made: made))
        } catch {
            for lock in locks { lock.release() }
            CheckpointFolder.removeMade(made)
            throw error
        }
    }

    /// The folder that the fit gets in `directory`, and the names of what it replaces there.
    private static func place(_ request: Request, _ directory: String) throws -> (folder: String, replaced: Set<String>)
    {
        guard !CheckpointFolder.hasState(directory) else {
            throw CheckpointError(
                path: directory, problem: .notWritten("found a checkpoint itself; give a folder for checkpoints"))
        }
        let fits = CheckpointFolder.fits(in: directory)
        let folders = [directory] + fits.map { directory + "/" + $0 }
        if let checkpoint = request.checkpoint {
            let parent = CheckpointFolder.home(of: checkpoint)
            if let own = folders.first(where: { CheckpointFolder.isSame($0, parent) }) { return (own, []) }
        }
        let records = folders.map(RunRecord.read(in:))
        if let run = request.resumedRun, let own = records.lastIndex(where: { $0?.identity.run == run }) {
            return (folders[own], [])
        }
        var held = try CheckpointFolder.checkpoints(in: directory)
        held += try fits.filter { try !CheckpointFolder.checkpoints(in: directory + "/" + $0).isEmpty }
        if held.isEmpty { return (directory, []) }
        if records.contains(where: { $0.map { request.owners.contains($0.identity.owner) } ?? false }) {
            let last = CheckpointFolder.names(in: directory).compactMap(CheckpointFolder.fitNumber).max() ?? 1
            return (directory + "/fit-\(last + 1)", [])
        }
        guard request.isOverwriting else {
            throw CheckpointError(path: directory, problem: .occupied(held.sorted()))
        }
        return (directory, Set(held + fits))
    }

    /// Who a fit is, and whether it goes on with the run whose checkpoint it is resumed from: where that lies in one of its
    /// directories, or in the folder of a fit in one.
    static func identity(
        goingOnFrom checkpoint: String?, in directories: [String]
    ) -> (identity: RunRecord.Identity, isGoingOn: Bool) {
        guard let checkpoint else { return (RunRecord.Identity(), false) }
        let home = CheckpointFolder.home(of: checkpoint)
        let isWithin = directories.contains { directory in
            ([directory] + CheckpointFolder.fits(in: directory).map { directory + "/" + $0 })
                .contains { CheckpointFolder.isSame($0, home) }
        }
        guard isWithin else { return (RunRecord.Identity(), false) }
        return (RunRecord.Identity(run: RunRecord.read(in: home)?.identity.run), true)
    }

    /// Whether its directory is `path`.
    func isOf(_ path: String) -> Bool { CheckpointFolder.isSame(directory, path) }

    /// Whether `path` is that of a checkpoint in it.
    func holds(_ path: String) -> Bool { CheckpointFolder.isSame(self.path, CheckpointFolder.place(of: path).folder) }

    /// Has `run.json` name the runs of trackers, by the loggers' classes.
    func note(_ trackers: [String: String]) { state.withLock { $0.record.trackers = trackers } }

    /// Writes a checkpoint as `name`.
    func write(_ snapshot: CheckpointSnapshot, as name: String) throws {
        let (files, checksum) = try snapshot.files()
        try state.withLock { state in
            let isReplacing = !state.hasSaved && !state.replaced.isEmpty
            if !snapshot.clocks.isEmpty { state.record.keep(snapshot.clocks, of: checksum, as: name) }
            // The record of a run that is being replaced stays until there is a checkpoint of the new one.
            if !isReplacing, !state.hasSaved || !snapshot.clocks.isEmpty { try write(state.record) }
            try CheckpointFolder.write(files, to: path + "/" + name)
            state.hasSaved = true
            guard isReplacing else { return }
            let hidden = CheckpointFolder.hide(state.replaced.subtracting([name]), in: path)
            try write(state.record)
            for folder in hidden { CheckpointFolder.removeHidden(folder) }
            state.replaced = []
        }
    }

    private func write(_ record: RunRecord) throws {
        do { try record.write(in: path) } catch {
            throw CheckpointError(path: path, problem: .notWritten("\(error)"))
        }
    }

    /// Removes checkpoints of these names.
    func remove(_ names: [String]) {
        for name in names { CheckpointFolder.remove(path + "/" + name) }
        state.withLock { $0.record.forget(names) }
    }

    /// Lets go of the folder; `run.json` then says when the fit has ended. One in which nothing was saved is as it was before.
    /// Returns what went wrong.
    func end() -> (any Error)? {
        var failure: (any Error)?
        state.withLock { state in
            state.record.ended = RunRecord.now
            if state.hasSaved {
                do { try state.record.write(in: path) } catch { failure = error }
            } else if !state.hadRecord {
                RunRecord.remove(from: path)
            }
        }
        for lock in locks { lock.release() }
        state.withLock { state in
            CheckpointFolder.removeMade(state.made)
        }
        return failure
    }
}
