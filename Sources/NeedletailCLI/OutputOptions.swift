// The files that a command writes, by the options that name them: checked together, before anything is computed.
import Foundation
import Needletail
import NeedletailFiles

/// Outputs and inputs of a command.
struct OutputOptions {
    /// What an output is.
    enum Kind {
        case lines, table, page
        /// A folder in which files of their own names are made.
        case folder
    }

    private let outputs: [(option: String, path: String, kind: Kind)]
    private let inputs: [(option: String, path: String)]

    /// The outputs and inputs that were given; an input may be a folder, of which every file is one.
    init(outputs: [(String, String?, Kind)], inputs: [(String, String?)]) {
        self.outputs = outputs.compactMap { option, path, kind in path.map { (option, $0, kind) } }
        self.inputs = inputs.compactMap { option, path in path.map { (option, $0) } }
    }

    /// Tries to write each output, and leaves everything as it was.
    /// - Throws: ``CommandError`` naming the option: of usage where two are one file or an output is an input, else of
    ///   output.
    func check() throws {
        try checkDistinct()
        for (option, path, kind) in outputs {
            do { try Self.check(path, kind) } catch let error as OutputError {
                throw CommandError.output("\(option) \(path): \(error.why); \(error.advice)")
            }
        }
    }

    private static func check(_ path: String, _ kind: Kind) throws {
        switch kind {
        case .lines: try OutputFile(path, .lines).check()
        case .table: try OutputFile(path, .table).check()
        case .page: try OutputFile(path, .page).check()
        case .folder: try OutputFolder.check(path)
        }
    }

    private func checkDistinct() throws {
        var owners: [OutputIdentity: (option: String, path: String, isFolder: Bool)] = [:]
        for (option, path, kind) in outputs where !OutputIdentity.isNull(path) {
            guard let identity = OutputIdentity(path) else { continue }
            let isFolder = kind == .folder
            if let owner = owners[identity], !(isFolder && owner.isFolder) {
                throw CommandError.usage(
                    "\(owner.option) \(owner.path) and \(option) \(path) are the same \(isFolder ? "place" : "file"); "
                        + "give each its own")
            }
            owners[identity] = (option, path, isFolder)
        }
        for (option, path) in inputs.flatMap(Self.files) {
            guard let identity = OutputIdentity(path), let owner = owners[identity], !owner.isFolder else { continue }
            throw CommandError.usage(
                "\(owner.option) \(owner.path) is what \(option) reads, and would be overwritten; give another file")
        }
        for (stream, name) in [(STDOUT_FILENO, "standard output"), (STDERR_FILENO, "standard error")] {
            guard let identity = OutputIdentity(descriptor: stream), let owner = owners[identity], !owner.isFolder,
                (try? LinkTarget(of: FilePath(owner.path)))?.descriptor == nil, Self.isFile(owner.path)
            else { continue }
            throw CommandError.usage(
                "\(owner.option) \(owner.path) is where \(name) goes, too; give another file, or /dev/stdout")
        }
    }

    private static func isFile(_ path: String) -> Bool { FileSystem.kind(FilePath(path)) == .regular }

    /// The input itself, or the files of a folder.
    private static func files(_ input: (option: String, path: String)) -> [(option: String, path: String)] {
        guard !isFile(input.path) else { return [input] }
        let folder = FilePath(input.path)
        return ((try? FileSystem.names(in: folder)) ?? []).map { (input.option, folder.appending($0).text) }
    }

    /// The error as the command says it: an output that cannot be written is called by its option.
    func naming(_ error: any Error) -> any Error {
        guard let error = error as? LogFileError,
            let option = outputs.first(where: { $0.path == error.path || error.path.hasPrefix($0.path + "/") })?.option
        else { return error }
        // A log on standard output has its reader.
        if error.systemError == EPIPE, (try? LinkTarget(of: FilePath(error.path)))?.descriptor == STDOUT_FILENO {
            return CommandError.unprinted(systemError: EPIPE, saved: nil)
        }
        return CommandError.output("\(option) \(error.path): \(error.remedy)")
    }
}
