// Runs the built command as a process of its own.
import Foundation
import Testing

/// What a run of the command printed, and how it ended.
struct Needletail {
    let status: Int32
    let output: String
    let complaint: String

    /// The lines of standard error.
    var complaints: [Substring] { complaint.split(separator: "\n") }

    /// Runs `needletail` with arguments; the command stands beside the test program.
    init(_ arguments: [String], environment: [String: String] = [:]) throws {
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let process = Process()
        process.executableURL = folder.appendingPathComponent("needletail")
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        // Files, not pipes: nobody has to read while the process runs.
        let scratch = try Scratch()
        let (outputPath, complaintPath) = (scratch.path("output"), scratch.path("complaint"))
        for path in [outputPath, complaintPath] { try Data().write(to: URL(fileURLWithPath: path)) }
        process.standardOutput = FileHandle(forWritingAtPath: outputPath)
        process.standardError = FileHandle(forWritingAtPath: complaintPath)
        try process.run()
        process.waitUntilExit()
        status = process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
        output = try String(contentsOfFile: outputPath, encoding: .utf8)
        complaint = try String(contentsOfFile: complaintPath, encoding: .utf8)
    }

    /// Runs the command with arguments separated by spaces, and expects success.
    static func succeeds(_ arguments: String, location: SourceLocation = #_sourceLocation) throws -> Needletail {
        let run = try Needletail(arguments.split(separator: " ").map(String.init))
        #expect(run.status == 0, "\(arguments): \(run.complaint)", sourceLocation: location)
        return run
    }
}

/// A folder that goes away with its owner.
final class Scratch: Sendable {
    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("needletail-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    /// Writes a file and returns its path.
    func write(_ bytes: [UInt8], _ name: String) throws -> String {
        try Data(bytes).write(to: folder.appendingPathComponent(name))
        return path(name)
    }

    /// All files below a sub-folder by relative path, with their bytes.
    func files(below name: String) throws -> [String: Data] {
        let root = folder.appendingPathComponent(name)
        var files: [String: Data] = [:]
        for relative in try FileManager.default.subpathsOfDirectory(atPath: root.path) {
            let url = root.appendingPathComponent(relative)
            if (try url.resourceValues(forKeys: [.isRegularFileKey])).isRegularFile == true {
                files[relative] = try Data(contentsOf: url)
            }
        }
        return files
    }
}

/// The bytes of an IDX file of unsigned bytes.
func idx(_ shape: [Int], _ elements: [UInt8]) -> [UInt8] {
    [0, 0, 8, UInt8(shape.count)]
        + shape.flatMap { size in (0..<4).map { UInt8(truncatingIfNeeded: size >> (24 - 8 * $0)) } }
        + elements
}
