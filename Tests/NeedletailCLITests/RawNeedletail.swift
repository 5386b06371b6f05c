// The built command with arguments and an environment of any bytes, in a folder of one's own.
import Foundation
import NeedletailFiles

/// What a run of the command printed, and how it ended.
struct RawNeedletail {
    let status: Int32
    let output: [UInt8]
    let complaint: String

    /// Runs `needletail` in `folder`, which is then gone where it is to be `removing`; an environment variable that is nil is not
    /// set.
    init(
        _ arguments: [FilePath], in folder: String, environment: [String: FilePath?] = [:], removing: Bool = false
    ) throws {
        let scratch = try Scratch()
        let place = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let command = place.appendingPathComponent("needletail").path
        let (outputPath, complaintPath) = (scratch.path("output"), scratch.path("complaint"))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, complaintPath, O_WRONLY | O_CREAT, 0o600)
        var variables = ProcessInfo.processInfo.environment.mapValues { Optional(FilePath($0)) }
        variables.merge(environment) { $1 }
        // The shell goes to the folder: not every C library's spawn can.
        let script: FilePath = removing ? #"cd "$0" && rmdir "$0" && exec "$@""# : #"cd "$0" && exec "$@""#
        let words = ["sh", "-c", script, FilePath(folder), FilePath(command)] + arguments
        let entries = variables.compactMap { name, value in value.map { FilePath("\(name)=").bytes + $0.bytes } }
        var argv = words.map { Self.terminated($0.bytes) } + [nil]
        var envp = entries.map { Self.terminated($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var process = pid_t()
        let error = posix_spawn(&process, "/bin/sh", &actions, nil, &argv, &envp)
        guard error == 0 else { throw POSIXError(POSIXErrorCode(rawValue: error) ?? .EINVAL) }
        var ended: Int32 = 0
        while waitpid(process, &ended, 0) < 0 && errno == EINTR {}
        status = ended & 0x7F == 0 ? (ended >> 8) & 0xFF : -(ended & 0x7F)
        output = Array(try Data(contentsOf: URL(fileURLWithPath: outputPath)))
        complaint = String(decoding: try Data(contentsOf: URL(fileURLWithPath: complaintPath)), as: UTF8.self)
    }

    private static func terminated(_ bytes: [UInt8]) -> UnsafeMutablePointer<CChar>? {
        strdup(bytes.map { CChar(bitPattern: $0) } + [0])
    }
}
