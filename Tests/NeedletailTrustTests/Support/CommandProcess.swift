// The built command as a process that can be killed and held to limits.
import Foundation
import Testing

/// A running `needletail`.
final class CommandProcess {
    private let process = Process()
    private let scratch: Scratch

    /// What the process said on standard error; complete once it has ended.
    var complaint: String { String(decoding: contents(scratch("complaint")), as: UTF8.self) }
    /// What it printed.
    var output: String { String(decoding: contents(scratch("output")), as: UTF8.self) }
    /// The process's number.
    var identifier: String { "\(process.processIdentifier)" }
    /// Whether it is still there.
    var isRunning: Bool { process.isRunning }

    /// Where the command stands: beside the test program.
    private static let command =
        URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("needletail")
        .path

    /// Starts `needletail` with arguments separated by spaces.
    ///
    /// - Parameters:
    ///   - limit: the most 512-byte blocks that a file may have; a write beyond it fails as on a full disk.
    ///   - setup: shell commands that come first.
    ///   - isMounting: whether they mount file systems, seen by this process only.
    init(_ arguments: String, limit: Int? = nil, setup: String = "", isMounting: Bool = false) throws {
        scratch = try Scratch()
        let bounds = limit.map { "ulimit -f \($0)" } ?? ""
        let start = setup.isEmpty ? "exec " : ""  // the shell waits where it has something to do afterwards
        process.executableURL = URL(fileURLWithPath: isMounting ? "/usr/bin/unshare" : "/bin/sh")
        process.arguments =
            (isMounting ? ["--user", "--map-root-user", "--mount", "/bin/sh"] : [])
            + ["-c", "\(setup)\n\(bounds)\n\(start)'\(Self.command)' \(arguments)"]
        process.standardInput = FileHandle.nullDevice
        for path in [scratch("output"), scratch("complaint")] { try write([], to: path) }
        process.standardOutput = FileHandle(forWritingAtPath: scratch("output"))
        process.standardError = FileHandle(forWritingAtPath: scratch("complaint"))
        try process.run()
    }

    /// Whether this user may mount a file system that only its own processes see.
    static let canMount: Bool = {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
        process.arguments = ["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()

    /// Sends a signal.
    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// The exit status once the process has ended; the negative signal where one ended it.
    func wait() -> Int32 {
        process.waitUntilExit()
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }

    /// Runs the command to its end and expects success.
    static func succeeds(_ arguments: String, location: SourceLocation = #_sourceLocation) throws {
        let process = try CommandProcess(arguments)
        #expect(process.wait() == 0, "\(arguments): \(process.complaint)", sourceLocation: location)
    }
}
