// Where text for people goes.
import Foundation
import NeedletailFiles

/// A place for text: a terminal, a pipe, or a test's buffer.
public struct Console {
    /// Whether lines can be drawn over.
    public let isTerminal: Bool
    /// Columns of a line: of a terminal, those that it has now.
    public var width: Int { columns() }
    /// Writes text as it is.
    public let write: (String) -> Void
    private let columns: () -> Int

    /// A console that hands its text to `write`; `width` is asked for whenever something is drawn.
    public init(
        isTerminal: Bool, width: @autoclosure @escaping () -> Int = 100, write: @escaping (String) -> Void
    ) {
        self.isTerminal = isTerminal
        self.write = write
        columns = width
    }

    /// The process's standard output. What it does not take is lost: neither a reader that has gone away nor a full disk ends
    /// the program, and where it was closed when the program started, nothing is written.
    public static var standardOutput: Console { standard(STDOUT_FILENO) }
    /// The process's standard error, as ``standardOutput``.
    public static var standardError: Console { standard(STDERR_FILENO) }

    private static func standard(_ descriptor: Int32) -> Console {
        Console(isTerminal: isatty(descriptor) == 1, width: terminalWidth(descriptor)) { text in
            withoutPipeSignal { _ = CheckedWrite.all(Array(text.utf8), to: descriptor) }
        }
    }

    /// The columns of the terminal at `descriptor`; 100 where there is none, or it does not say.
    package static func terminalWidth(_ descriptor: Int32) -> Int {
        var size = winsize()
        return ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 100
    }

    /// Runs `body`, whose writes to a pipe without a reader then fail and do not end the process.
    private static func withoutPipeSignal(_ body: () -> Void) {
        var pipeSignal = sigset_t(), pending = sigset_t(), before = sigset_t()
        sigemptyset(&pipeSignal)
        sigaddset(&pipeSignal, SIGPIPE)
        sigpending(&pending)
        let waited = sigismember(&pending, SIGPIPE) == 1
        pthread_sigmask(SIG_BLOCK, &pipeSignal, &before)
        body()
        #if os(Linux)
            var none = timespec()
            if !waited { while sigtimedwait(&pipeSignal, nil, &none) < 0 && errno == EINTR {} }
        #endif
        pthread_sigmask(SIG_SETMASK, &before, nil)
    }
}
