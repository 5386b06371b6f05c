// What a run writes, known before its first step.
package import NeedletailFiles

/// A logger, callback or profiler that writes files.
package protocol OutputWriter: AnyObject {
    /// The files that it is going to write; none where it only looks.
    var outputs: [OutputFile] { get }
    /// Opens those that are opened once, such as pipes: called when all outputs of the run have been tried.
    func openOutputs() throws
}

extension OutputWriter {
    package func openOutputs() throws {}
}
