// The built command as a process that signals are sent to, and whose standard streams are anything.
import Foundation

/// A running `needletail`, started with no signal blocked or ignored: Swift Testing's own processes block SIGTERM, and
/// children inherit that.
final class SpawnedNeedletail {
    /// What a standard stream of the process is.
    enum Stream: CustomStringConvertible {
        /// A file in the scratch folder, or another one that is opened for writing.
        case scratch, file(String)
        /// No descriptor at all.
        case closed
        /// A pipe whose reader has gone away; where `ignored`, the process is started with SIGPIPE ignored.
        case withoutReader(ignored: Bool)
        /// A pipe that ``SpawnedNeedletail/read`` reads; where `blocks` is false, it is one that does not block.
        case pipe(blocks: Bool)
        /// The other end of a terminal.
        case terminal(Int32)

        var description: String {
            switch self {
            case .scratch: "in a file"
            case .file(let path): path
            case .closed: "closed"
            case .withoutReader(let ignored): "without a reader\(ignored ? ", SIGPIPE ignored" : "")"
            case .pipe: "to a pipe"
            case .terminal: "on a terminal"
            }
        }

        fileprivate var isIgnoringPipeSignal: Bool {
            if case .withoutReader(true) = self { true } else { false }
        }
    }

    private let scratch: Scratch
    private var process = pid_t()
    /// The end of a pipe that this process reads; -1 where there is none.
    private var reader: Int32 = -1

    /// What it has said on standard error so far.
    var complaint: String { text("complaint") }
    /// What it has printed so far, where that goes to the scratch folder.
    var printed: String { text("output") }

    private func text(_ name: String) -> String {
        (try? String(contentsOfFile: scratch.path(name), encoding: .utf8)) ?? ""
    }

    /// Starts the command with arguments separated by spaces.
    init(
        _ arguments: String, output: Stream = .scratch, error: Stream = .scratch, fileSizeLimit: Int? = nil
    ) throws {
        scratch = try Scratch()
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let command = folder.appendingPathComponent("needletail").path
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var none = sigset_t(), all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        if output.isIgnoringPipeSignal || error.isIgnoringPipeSignal {
            signal(SIGPIPE, SIG_IGN)  // inherited, as is what a shell's trap '' PIPE ignores
            sigdelset(&all, SIGPIPE)
        }
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        var ours: [Int32] = []
        defer { for descriptor in ours { close(descriptor) } }
        for (number, stream, name) in [(Int32(1), output, "output"), (2, error, "complaint")] {
            switch stream {
            case .scratch:
                posix_spawn_file_actions_addopen(&actions, number, scratch.path(name), O_WRONLY | O_CREAT, 0o600)
            case .file(let path): posix_spawn_file_actions_addopen(&actions, number, path, O_WRONLY | O_CREAT, 0o600)
            case .closed: posix_spawn_file_actions_addclose(&actions, number)
            case .terminal(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, number)
            case .withoutReader, .pipe:
                var ends: [Int32] = [0, 0]
                guard pipe(&ends) == 0 else { throw POSIXError(.EMFILE) }
                for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
                if case .pipe(let blocks) = stream {
                    reader = ends[0]
                    if !blocks { _ = fcntl(ends[1], F_SETFL, O_NONBLOCK) }
                } else {
                    close(ends[0])
                }
                ours.append(ends[1])
                posix_spawn_file_actions_adddup2(&actions, ends[1], number)
            }
        }
        defer {
            posix_spawnattr_destroy(&attributes)
            posix_spawn_file_actions_destroy(&actions)
        }
        var line = [command] + arguments.split(separator: " ").map(String.init)
        if let fileSizeLimit {  // in blocks of 1024 bytes, as bash counts them
            line = ["/bin/bash", "-c", "ulimit -f \(fileSizeLimit); exec \"$@\"", "bash"] + line
        }
        var words = line.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        let problem = posix_spawn(&process, line[0], &actions, &attributes, &words, environ)
        guard problem == 0 else { throw POSIXError(POSIXErrorCode(rawValue: problem) ?? .EINVAL) }
    }

    deinit { stopReading() }

    /// Sends a signal.
    func send(_ signal: Int32) { kill(process, signal) }

    /// Reads what it prints to a pipe until that contains `text` or ends.
    func read(until text: String? = nil) -> String {
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Foundation.read(reader, &chunk, chunk.count)
            if count <= 0 { break }
            all += chunk[..<count]
            if let text, String(decoding: all, as: UTF8.self).contains(text) { break }
        }
        return String(decoding: all, as: UTF8.self)
    }

    /// Goes away as a reader.
    func stopReading() {
        if reader >= 0 { close(reader) }
        reader = -1
    }

    /// Whether it has a handler for a signal by now: without one the signal itself ends it.
    func handles(_ signal: Int32) -> Bool {
        let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
        guard let digits = status.firstMatch(of: /SigCgt:\s*([0-9a-f]+)/)?.1, let mask = UInt64(digits, radix: 16)
        else { return false }
        return mask >> UInt64(signal - 1) & 1 == 1
    }

    /// Waits until `condition` holds, or the process ends; whether it holds.
    func wait(until condition: () -> Bool) -> Bool {
        while !condition() {
            var information = siginfo_t()
            waitid(P_PID, id_t(process), &information, WEXITED | WNOHANG | WNOWAIT)
            if information.si_signo == SIGCHLD { return condition() }
            usleep(1000)
        }
        return true
    }

    /// The exit status once it has ended (the negative signal where one has ended it), and how many seconds that took.
    func wait() -> (status: Int32, seconds: Double) {
        let start = ContinuousClock.now
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        let signal = status & 0x7F
        return (signal == 0 ? (status >> 8) & 0xFF : -signal, (ContinuousClock.now - start) / .seconds(1))
    }
}
