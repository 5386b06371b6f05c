// Everything that can be wrong with a checkpoint.
import NeedletailFiles

/// A checkpoint that cannot be read, does not fit, or cannot be written.
public struct CheckpointError: Error, CustomStringConvertible, Equatable {
    /// What is wrong.
    public enum Problem: Sendable, Equatable {
        /// There is nothing at the path.
        case missing
        /// The path is that of tensors, not of a checkpoint's folder: what it is.
        case noFolder(String)
        /// The path is what an interrupted write left behind, or lacks a file.
        case incomplete(String)
        /// A file cannot be read.
        case unreadable(file: String, why: String)
        /// A file's bytes are not those that were written.
        case damaged(file: String, found: String, expected: String)
        /// A file is not what a checkpoint has there.
        case foreign(file: String, why: String)
        /// The checkpoint was written by a newer version.
        case newerFormat(found: Int, supported: Int)
        /// The checkpoint is one of another model, optimizer, callback or loader.
        case mismatch(String)
        /// The checkpoint could not be written; what was there before is unharmed.
        case notWritten(String)
        /// The folder holds checkpoints of another run, of these names.
        case occupied([String])
        /// Another run writes to the folder.
        case inUse
        /// There is no directory to look for the last or best checkpoint in.
        case noDirectory
    }

    /// The checkpoint's folder.
    public let path: String
    /// What is wrong with it.
    public let problem: Problem

    package init(path: String, problem: Problem) {
        self.path = path
        self.problem = problem
    }

    /// The first of some names, and how many there are.
    package static func list(_ names: [String]) -> String {
        names.prefix(3).joined(separator: ", ") + (names.count > 3 ? " and \(names.count - 3) more" : "")
    }

    /// What was found, what was expected, what to do.
    public var description: String {
        let head = "checkpoint \(FilePath(path)): "
        switch problem {
        case .missing: return head + "there is no such folder; give the path of a folder that holds state.json"
        case .noFolder(let kind):
            return head
                + "found \(kind), expected a checkpoint's folder, which holds state.json; weights alone are loaded into "
                + "a new model"
        case .incomplete(let why): return head + "incomplete: \(why); use an older checkpoint"
        case .unreadable(let file, let why): return head + "cannot read \(file): \(why)"
        case .damaged(let file, let found, let expected):
            return head + "\(file) is damaged: found \(found), expected \(expected); use an older checkpoint"
        case .foreign(let file, let why): return head + "\(file) is not that of a checkpoint: \(why)"
        case .newerFormat(let found, let supported):
            return head + "has format version \(found), this program reads versions up to \(supported); update it"
        case .mismatch(let why): return head + "does not fit: \(why)"
        case .notWritten(let why): return head + "could not be written: \(why)"
        case .occupied(let names):
            return
                "checkpoint folder \(path): holds \(CheckpointError.list(names)) of another run; go on from there (resume: .last), "
                + "give another folder, or have it replaced (overwrite in ModelCheckpoint's options)"
        case .inUse:
            return "checkpoint folder \(path): another run writes to it; wait for its end, or give another folder"
        case .noDirectory:
            return
                "there is no directory to resume from: give the trainer a rootDirectory or a ModelCheckpoint, or a path"
        }
    }
}

/// Where a run resumes from.
public enum ResumePoint: Sendable, Equatable {
    /// The last checkpoint of the latest fit of the trainer's first ``ModelCheckpoint``; where it has made none yet, of the newest fit in
    /// its directory.
    case last
    /// The best checkpoint of that fit.
    case best
    /// A checkpoint's folder.
    case path(String)
}
