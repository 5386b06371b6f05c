// The checkpoints of whole runs in a directory: where the newest are, what a directory holds, and how a run's are removed.
import Foundation
import NeedletailFiles

extension CheckpointFolder {
    // MARK: Paths

    /// The path without slashes at its end; that of the current folder where it is empty.
    static func withoutSlashes(_ path: String) -> String {
        path.isEmpty ? "." : FilePath(path).extended(by: "").text
    }

    /// The folder that holds the checkpoint at `path`, and its name there.
    static func place(of path: String) -> (folder: String, name: String) {
        let target = (try? target(path)) ?? FilePath(path)
        return (target.parent.text, target.name.text)
    }

    /// The folder in which the checkpoint at `path` is, where `path` leads there through links.
    static func home(of path: String) -> String {
        let found = try? FileSystem.resolved(FilePath(existing(path) ?? path))
        return found?.parent.text ?? place(of: path).folder
    }

    /// Whether two paths lead to one thing that is there.
    static func isSame(_ a: String, _ b: String) -> Bool { FileSystem.isSame(FilePath(a), FilePath(b)) }

    /// Makes the folder at `path` and those above it; returns those that were not there.
    static func make(_ path: String) throws -> [String] {
        var missing: [FilePath] = [], next = FilePath(path)
        while !FileSystem.exists(next), next.parent != next, next != "." {
            missing.append(next)
            next = next.parent
        }
        var made: [String] = []
        do {
            for folder in missing.reversed() {
                do {
                    try FileSystem.makeFolder(folder)
                    made.append(folder.text)
                } catch { if !FileSystem.isFolder(folder) { throw error } }  // another process may have made it
            }
            guard isDirectory(path) else { throw FileError(FilePath(path), ENOTDIR) }
            return made
        } catch let error as FileError {
            removeMade(made)
            throw CheckpointError(
                path: path, problem: .notWritten("no folder can be made there: \(error.reason)"))
        }
    }

    /// Removes those folders that ``make(_:)`` has made and that hold nothing.
    static func removeMade(_ folders: [String]) {
        for folder in folders.reversed() { try? FileSystem.removeEmptyFolder(FilePath(folder)) }
    }

    /// Throws ``CheckpointError`` where checkpoints of these names cannot be written in `folder`: found by writing a file.
    static func tryWriting(_ names: [String], in folder: String) throws {
        for name in names { try checkPlace(folder + "/" + name) }
        let probe = folder + "/.run.probe"
        try? FileSystem.removeFile(FilePath(probe))
        defer { try? FileSystem.removeFile(FilePath(probe)) }
        do { try AtomicFile.create(probe, [UInt8](repeating: 0x20, count: 512), isFlushed: false) } catch {
            throw CheckpointError(path: folder, problem: .notWritten("\(error)"))
        }
    }

    // MARK: What a directory holds

    /// The names in a folder; none where it cannot be read.
    static func names(in folder: String) -> [String] {
        ((try? FileSystem.names(in: FilePath(folder))) ?? []).map(\.text)
    }

    /// The number of the fit whose folder has this name: 2 for `fit-2`; nil for other names.
    static func fitNumber(_ name: String) -> Int? {
        guard name.hasPrefix("fit-"), let number = Int(name.dropFirst(4)), number >= 2, name == "fit-\(number)" else {
            return nil
        }
        return number
    }

    /// The folders of later fits in a directory, in the order of their numbers.
    static func fits(in directory: String) -> [String] {
        names(in: directory).compactMap { name in fitNumber(name).map { (name, $0) } }
            .filter { isDirectory(directory + "/" + $0.0) && !hasState(directory + "/" + $0.0) }
            .sorted { $0.1 < $1.1 }.map(\.0)
    }

    /// The names of the checkpoints in a folder, without those that were set aside or left behind by an interrupted write.
    static func checkpoints(in folder: String) throws -> [String] {
        let names: [String]
        do { names = try FileSystem.names(in: FilePath(folder)).map(\.text) } catch let error as FileError {
            throw CheckpointError(path: folder, problem: .notWritten("it cannot be read: \(error.reason)"))
        }
        return names.filter { name in
            !isPartial(name) && name.firstMatch(of: #/\.kept(-[0-9]+)?$/#) == nil && hasState(folder + "/" + name)
        }
    }

    // MARK: Removing a run

    /// Gives checkpoints and folders of fits in `folder` names that nobody reads, and returns those. What holds others' files
    /// stays, a checkpoint as `NAME.kept`.
    static func hide(_ names: some Sequence<String>, in folder: String) -> [String] {
        var hidden: [String] = []
        for name in names {
            let path = folder + "/" + name
            if fitNumber(name) != nil, isDirectory(path), !hasState(path), !isFitAlone(path) {
                hidden += hide((try? checkpoints(in: path)) ?? [], in: path)
                RunRecord.remove(from: path)
            } else if hasState(path), !others(in: path).isEmpty {
                try? clear(path, of: path)
            } else if isDirectory(path) {
                let place = folder + "/.\(name).\(getpid()).partial"
                if (try? FileSystem.rename(FilePath(path), to: FilePath(place))) != nil { hidden.append(place) }
            }
        }
        return hidden
    }

    /// Removes what ``hide(_:in:)`` has returned.
    static func removeHidden(_ path: String) { try? FileSystem.removeTree(FilePath(path)) }

    /// Whether the folder of a fit holds nothing but what fits write.
    private static func isFitAlone(_ path: String) -> Bool {
        names(in: path).allSatisfy { name in
            if hasState(path + "/" + name) || isPartial(name) { return others(in: path + "/" + name).isEmpty }
            return name == RunRecord.fileName || name == FolderLock.fileName
        }
    }
}

extension Checkpoint {
    /// The folder of the newest fit in a directory that has saved anything, the directory itself where there is none of its own;
    /// with it what the user should know about the choice.
    package static func newestFit(in directory: String) -> (folder: String, notice: String?) {
        let directory = CheckpointFolder.withoutSlashes(directory)
        let newest = CheckpointFolder.fits(in: directory).map { directory + "/" + $0 }
            .last { (try? !CheckpointFolder.checkpoints(in: $0).isEmpty) ?? false }
        guard let newest else { return (directory, nil) }
        return (newest, "\(directory) holds several fits: the checkpoint is that of the newest, \(newest)")
    }

    /// The checkpoint that `path` means, that of a checkpoint or of a folder that was given for checkpoints: `last` of the newest
    /// fit in it. With it comes what the user should know about the choice.
    package static func resolve(_ path: String) -> (path: String, notice: String?) {
        if CheckpointFolder.existing(path).map(CheckpointFolder.hasState) ?? false { return (path, nil) }
        let (folder, notice) = newestFit(in: path)
        let isThere = CheckpointFolder.existing(folder + "/last") != nil
        return (notice != nil || isThere ? folder + "/last" : path, notice)
    }
}
