// What a run ends with where a signal has asked it to.
import Foundation

/// A run that SIGINT or SIGTERM has ended, after its step and with a checkpoint.
///
///     do { try trainer.fit(classifier, train: train) } catch let error as RunInterrupted {
///         print(error)
///         exit(error.exitCode)
///     }
public struct RunInterrupted: Error, CustomStringConvertible, Equatable {
    /// The signal's number.
    public let signal: Int32
    /// The checkpoint from which the run can go on; nil where there was nothing to save or nowhere to save it.
    public let checkpoint: String?
    /// The steps applied so far.
    public let globalStep: Int

    package init(signal: Int32, checkpoint: String?, globalStep: Int) {
        self.signal = signal
        self.checkpoint = checkpoint
        self.globalStep = globalStep
    }

    /// What the process should end with: 130 for SIGINT, 143 for SIGTERM.
    public var exitCode: Int32 { 128 + signal }

    /// Which signal, when, and where the checkpoint is.
    public var description: String {
        let name =
            signal == SIGINT
            ? "SIGINT" : signal == SIGTERM ? "SIGTERM" : signal == SIGPIPE ? "SIGPIPE" : "signal \(signal)"
        let steps = globalStep == 1 ? "1 applied step" : "\(globalStep) applied steps"
        return "ended by \(name) after \(steps); " + (checkpoint.map { "saved \($0)" } ?? "no checkpoint was saved")
    }
}
