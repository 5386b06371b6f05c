// The built command as a process that signals are sent to.
import Foundation

/// A running `needletail`, started with no signal blocked or ignored: Swift Testing's own processes block SIGTERM, and
/// children inherit that.
final class SpawnedNeedletail {
    private let scratch: Scratch
    private var process = pid_t()

    /// What it has said on standard error so far.
    var complaint: String { (try? String(contentsOfFile: scratch.path("complaint"), encoding: .utf8)) ?? "" }

    /// Starts the command with arguments separated by spaces.
    init(_ arguments: String) throws {
        scratch = try Scratch()
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let command = folder.appendingPathComponent("needletail").path
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var none = sigset_t(), all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, scratch.path("output"), O_WRONLY | O_CREAT, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, scratch.path("complaint"), O_WRONLY | O_CREAT, 0o600)
        defer {
            posix_spawnattr_destroy(&attributes)
            posix_spawn_file_actions_destroy(&actions)
        }
        var words = ([command] + arguments.split(separator: " ").map(String.init)).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        let error = posix_spawn(&process, command, &actions, &attributes, &words, environ)
        guard error == 0 else { throw POSIXError(POSIXErrorCode(rawValue: error) ?? .EINVAL) }
    }

    /// Sends a signal.
    func send(_ signal: Int32) { kill(process, signal) }

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
