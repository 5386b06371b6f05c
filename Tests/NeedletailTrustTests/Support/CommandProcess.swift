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
    init(_ arguments: String, environment: [String: String] = [:], limit: Int? = nil, setup: String = "") throws {
        scratch = try Scratch()
        // Without `trap` the shell's child would be killed by the limit's signal before the write can fail.
        let bounds = limit.map { "trap '' XFSZ; ulimit -f \($0); " } ?? ""
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "\(setup)\n\(bounds)exec '\(Self.command)' \(arguments)"]
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        for path in [scratch("output"), scratch("complaint")] { try write([], to: path) }
        process.standardOutput = FileHandle(forWritingAtPath: scratch("output"))
        process.standardError = FileHandle(forWritingAtPath: scratch("complaint"))
        try process.run()
    }

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
