// The one way by which text leaves the command: nothing else prints.
import Foundation
import Needletail
import NeedletailFiles
import Synchronization

/// The process's standard output, each write of which is checked.
enum StandardOutput {
    /// The system's error number of the first write that failed; 0 before one has.
    private static let failure = Atomic<Int32>(0)

    /// Writes a line at once.
    static func line(_ text: String = "") throws { try write(text + "\n") }

    /// Writes text as it is.
    static func write(_ text: String) throws { try write(Array(text.utf8)) }

    /// Writes bytes as they are.
    /// - Throws: ``CommandError/unprinted(systemError:saved:)``, from the first write that failed on.
    static func write(_ bytes: [UInt8]) throws {
        try check()
        guard let problem = CheckedWrite.all(bytes, to: STDOUT_FILENO).problem else { return }
        failure.store(problem, ordering: .relaxed)
        try check()
    }

    /// Throws what a write has failed with so far.
    static func check(saved: String? = nil) throws {
        let problem = failure.load(ordering: .relaxed)
        if problem != 0 { throw CommandError.unprinted(systemError: problem, saved: saved) }
    }

    /// Throws where standard output is closed, or a device that is full: for commands that take long before they print.
    static func requireOpen() throws {
        if let problem = CheckedWrite.refusal(of: STDOUT_FILENO) {
            throw CommandError.unprinted(systemError: problem, saved: nil)
        }
    }

    /// For what training shows. Where it cannot be shown any more, training ends after the current step, as it does for a
    /// signal, and saves.
    static var console: Console {
        Console(isTerminal: isatty(STDOUT_FILENO) == 1, width: Console.terminalWidth(STDOUT_FILENO)) { text in
            do { try write(text) } catch { ProcessSignals.askToEnd(as: SIGPIPE) }
        }
    }
}

/// The process's standard error. What it does not take is lost: the exit code tells the rest.
enum StandardError {
    /// Writes a line at once.
    static func line(_ text: String) { write(text + "\n") }

    /// Writes text as it is.
    static func write(_ text: String) { _ = CheckedWrite.all(Array(text.utf8), to: STDERR_FILENO) }
}
