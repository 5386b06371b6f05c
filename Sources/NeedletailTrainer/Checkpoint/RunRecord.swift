// run.json: which run the checkpoints beside it are of, and what of it depends on the clock or on chance.
import Foundation
import NeedletailFiles
import NeedletailNN

/// The content of `run.json`, which stands beside checkpoints so that they themselves hold nothing that equal runs do not share.
///
/// Nothing in it is believed further than that: where it is missing, damaged or somebody else's, the checkpoints count as those
/// of another run, and the time that training took before them as not known.
struct RunRecord: Codable, Equatable, Sendable {
    static let fileName = "run.json"
    private static let currentVersion = 1
    private static let maximumByteCount = 16 << 20
    private static let limits = StrictJSON(byteCount: maximumByteCount, valueCount: 1 << 18, depth: 32)

    /// Who writes: the run, which goes on where it is resumed, and the fit.
    struct Identity: Codable, Equatable, Sendable {
        var run: String
        var owner: String

        /// That of a fit of a new run, or of the run that it goes on with.
        init(run: String? = nil) {
            owner = UUID().uuidString.lowercased()
            self.run = run ?? owner
        }
    }

    /// What callbacks have kept of the clock with one checkpoint.
    struct Clock: Codable, Equatable, Sendable {
        /// The checksum of its state.json, which tells it from others that had its name.
        var checkpoint: String
        /// By the callbacks' keys.
        var callbacks: [String: JSONValue]
    }

    private var formatVersion = RunRecord.currentVersion
    var identity: Identity
    /// When the fit began and ended, ISO 8601; it has no end where it was killed.
    var began: String, ended: String?
    /// The identifiers that trackers have given the run, by the loggers' classes.
    var trackers: [String: String] = [:]
    /// By names of checkpoints: that of the checkpoint, then that of the one that it replaces.
    private var clocks: [String: [Clock]] = [:]

    init(_ identity: Identity, began: String) {
        self.identity = identity
        self.began = began
    }

    /// The time as text.
    static var now: String { Date().formatted(.iso8601) }

    /// The record in `folder`; nil where there is none that can be read.
    static func read(in folder: String) -> RunRecord? {
        guard let bytes = try? CheckpointFolder.read(fileName, of: folder, sizes: 0...maximumByteCount),
            limits.problem(in: bytes) == nil,
            let record = try? JSONValue.decoder.decode(RunRecord.self, from: Data(bytes)),
            record.formatVersion <= currentVersion
        else { return nil }
        return record
    }

    /// Replaces the record in `folder`.
    func write(in folder: String) throws {
        let encoder = JSONValue.encoder
        encoder.outputFormatting.insert(.prettyPrinted)
        try AtomicFile.write([UInt8](try encoder.encode(self)) + [0x0A], to: folder + "/" + Self.fileName)
    }

    /// Removes the record in `folder`, where there is one.
    static func remove(from folder: String) {
        if read(in: folder) != nil { try? FileSystem.removeFile(FilePath(folder + "/" + fileName)) }
    }

    /// Keeps what callbacks have of the clock with the checkpoint that is about to be written as `name`.
    mutating func keep(_ callbacks: [String: JSONValue], of checkpoint: String, as name: String) {
        let new = Clock(checkpoint: checkpoint, callbacks: callbacks)
        clocks[name] = [new] + (clocks[name] ?? []).prefix(1)
    }

    /// Forgets what belongs to checkpoints that are gone.
    mutating func forget(_ names: some Sequence<String>) {
        for name in names { clocks[name] = nil }
    }

    /// What callbacks had of the clock when `checkpoint` was written, by their keys.
    static func clocks(of checkpoint: Checkpoint) -> [String: JSONValue] {
        let record = read(in: CheckpointFolder.home(of: checkpoint.path))
        let kept = record?.clocks.values.joined().first { $0.checkpoint == checkpoint.checksum }
        return kept?.callbacks ?? [:]
    }
}
