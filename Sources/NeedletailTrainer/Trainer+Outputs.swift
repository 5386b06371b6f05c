// Outputs are tried before the first step: the last step is a bad time to learn that a page has no place.
import NeedletailFiles

extension Trainer {
    /// Tries every file that loggers, callbacks and the profiler are going to write, leaving everything as it was.
    ///
    /// Throws ``LogFileError``, also where two of them write one file.
    func checkOutputs() throws {
        let all = (configuration.loggers as [AnyObject]) + callbacks + [configuration.profiler].compactMap { $0 }
        var seen: Set<ObjectIdentifier> = []
        let writers = all.compactMap { $0 as? any OutputWriter }.filter { seen.insert(ObjectIdentifier($0)).inserted }
        var owners: [OutputIdentity: any OutputWriter] = [:]
        try LogFileError.wrapping {
            for writer in writers {
                for output in writer.outputs where !OutputIdentity.isNull(output.path) {
                    guard let identity = OutputIdentity(output.path) else { continue }
                    guard let owner = owners.updateValue(writer, forKey: identity) else { continue }
                    throw OutputError(
                        path: output.path, why: "\(type(of: owner)) and \(type(of: writer)) would write the same file",
                        advice: "give each a file of its own")
                }
            }
            for writer in writers { for output in writer.outputs { try output.check() } }
            for writer in writers { try writer.openOutputs() }
        }
    }

    /// Saves `last` where fit ends because an output cannot be written any more, such as on a disk that is full: what was
    /// trained is not lost with it. Returns the error, which tells of it.
    func savedAfterFailedOutput(_ error: any Error) -> any Error {
        guard stage == .fit, var failure = error as? LogFileError else { return error }
        failure.checkpoint = try? saveLastCheckpoint()
        return failure
    }
}
