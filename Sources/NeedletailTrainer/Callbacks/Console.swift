// Where text for people goes.
import Foundation

/// A place for text: a terminal, a pipe, or a test's buffer.
public struct Console {
    /// Whether lines can be drawn over.
    public let isTerminal: Bool
    /// Columns of a line.
    public let width: Int
    /// Writes text as it is.
    public let write: (String) -> Void

    /// A console that hands its text to `write`.
    public init(isTerminal: Bool, width: Int = 100, write: @escaping (String) -> Void) {
        self.isTerminal = isTerminal
        self.width = width
        self.write = write
    }

    /// The process's standard output.
    public static var standardOutput: Console { standard(STDOUT_FILENO) }
    /// The process's standard error.
    public static var standardError: Console { standard(STDERR_FILENO) }

    private static func standard(_ descriptor: Int32) -> Console {
        let isTerminal = isatty(descriptor) == 1
        var size = winsize()
        let known = isTerminal && ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
        // A reader that has gone away must not end training.
        return Console(isTerminal: isTerminal, width: known ? Int(size.ws_col) : 100) {
            try? handle.write(contentsOf: Data($0.utf8))
        }
    }
}
