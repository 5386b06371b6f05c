// state.json: everything of a checkpoint that is not a tensor, and the checksums of the tensors' files.
import Foundation
import NeedletailData
import NeedletailNN
import NeedletailOptim
import NeedletailTensor

/// The content of a checkpoint's state.json.
///
/// It holds no time, host name, path or number of threads: two runs with the same seeds write the same bytes.
struct CheckpointState: Codable, Sendable {
    /// The version that this program writes, and the newest that it reads.
    static let currentVersion = 1
    static let fileName = "state.json"
    /// The size of the largest state.json.
    static let maximumByteCount = 16 << 20
    /// What state.json may hold: bounds the memory and the time that a hostile one takes.
    private static let limits = StrictJSON(byteCount: maximumByteCount, valueCount: 1 << 18, depth: 128)

    /// What identifies a file's content.
    struct FileRecord: Codable, Equatable, Sendable {
        var bytes: Int
        var crc32: String
    }

    /// What must be equal for a position within an epoch to mean the same.
    struct LoaderRecord: Codable, Equatable, Sendable {
        var batchSize: Int, batchCount: Int, sampleCount: Int
        var dropLast: Bool
        var seed: UInt64?  // nil: not shuffled
    }

    /// An optimizer's kind, its groups' options, and how its updates are rounded (nil: no parameter is
    /// stored in 16 bits).
    struct OptimizerRecord: Codable, Equatable, Sendable {
        var kind: String
        var groups: [JSONValue]
        var updateRounding: UpdateRounding?
    }

    /// The schedule of an optimizer: what it is, and where it was.
    struct ScheduleRecord: Codable, Equatable, Sendable {
        var optimizer: Int
        var kind: String
        var options: String
        var interval: Scheduler.Interval
        var state: ScheduleState
    }

    var formatVersion = CheckpointState.currentVersion
    var precision: Precision
    var precisionOverrides: [PrecisionPolicy.Override]?  // nil: none
    var kernelRow: String
    var bfloat16MatMul: String?  // nil: written when there was no choice, "widen"
    var matmulAccumulation: String?  // nil: float32
    var trainer: TrainerState
    var scaler: LossScaler?
    var loader: LoaderRecord?
    var optimizers: [OptimizerRecord]
    var schedules: [ScheduleRecord]?  // nil: written before there were any
    var random: [String: SeededGenerator]
    var hyperparameters: [String: JSONValue]
    var module: [String: JSONValue]
    var callbacks: [String: JSONValue]
    var metrics: [String: Double]
    var epochSums: [MetricStore.Sums]
    var validation: [String: Double]?  // nil: none has run in the epoch
    var files: [String: FileRecord] = [:]

    private static let prefix = Array(#"{"crc32":""#.utf8)
    private static let infix = Array(#"","#.utf8)

    /// The file's bytes: a JSON object whose first member is the checksum of all that follows it.
    func encoded() throws -> [UInt8] {
        let encoder = JSONValue.encoder
        encoder.outputFormatting.insert(.prettyPrinted)
        let text = [UInt8](try encoder.encode(self))
        if let why = CheckpointState.limits.problem(in: text) {
            throw CheckpointError(
                path: "",
                problem: .notWritten("state.json would not be readable: \(why); keep less in its dictionaries"))
        }
        let rest = [UInt8](text.dropFirst())  // without the opening brace
        return CheckpointState.prefix + Array(CRC32.text(rest).utf8) + CheckpointState.infix + rest
    }

    /// The checksum with which what ``encoded()`` wrote begins.
    static func checksum(of bytes: [UInt8]) -> String {
        String(decoding: bytes.dropFirst(prefix.count).prefix(8), as: UTF8.self)
    }

    /// Reads what ``encoded()`` wrote; any change of a bit is an error.
    init(parsing bytes: [UInt8], path: String) throws {
        let file = CheckpointState.fileName
        let head = CheckpointState.prefix.count
        let start = head + 8 + CheckpointState.infix.count
        guard bytes.count > start, bytes.starts(with: CheckpointState.prefix),
            bytes[(head + 8)..<start].elementsEqual(CheckpointState.infix)
        else {
            let why = bytes.isEmpty ? "it is empty" : "it does not begin with a checksum"
            throw CheckpointError(path: path, problem: .foreign(file: file, why: why))
        }
        let rest = Array(bytes[start...])
        let found = CRC32.text(rest)
        let expected = CheckpointState.checksum(of: bytes)
        guard found == expected else {
            throw CheckpointError(
                path: path, problem: .damaged(file: file, found: "checksum \(found)", expected: expected))
        }
        let text = [UInt8(ascii: "{")] + rest
        func foreign(_ why: String) -> CheckpointError {
            CheckpointError(path: path, problem: .foreign(file: file, why: why))
        }
        if let why = CheckpointState.limits.problem(in: text) { throw foreign(why) }
        struct Version: Decodable { let formatVersion: Int }
        do {
            let version = try JSONValue.decoder.decode(Version.self, from: Data(text)).formatVersion
            guard version <= CheckpointState.currentVersion else {
                throw CheckpointError(
                    path: path, problem: .newerFormat(found: version, supported: CheckpointState.currentVersion))
            }
            self = try JSONValue.decoder.decode(CheckpointState.self, from: Data(text))
        } catch let error as CheckpointError { throw error } catch { throw foreign(JSONValue.reason(error)) }
        if let why = impossibleCount { throw foreign(why) }
    }

    /// A counter that no run can have reached, and that sums would stop the program with; nil where there is none.
    private var impossibleCount: String? {
        let steps = schedules ?? []
        let counts =
            [
                ("epoch", trainer.epoch), ("batchInEpoch", trainer.batchInEpoch), ("globalStep", trainer.globalStep),
                ("skippedSteps", trainer.skippedSteps), ("emptyWindows", trainer.emptyWindows),
                ("formatVersion", formatVersion), ("validatedBatch", trainer.validatedBatch ?? 0),
            ] + trainer.consecutiveSkips.map { ("consecutiveSkips", $0) }
            + steps.map { ("a schedule's count", $0.state.count) }
            + files.map { ("the size of \($0.key)", $0.value.bytes) }
        return counts.first { !(0...(1 << 53)).contains($0.1) }
            .map { "\($0.0) is \($0.1), expected 0 to 2^53" }
    }

    init(
        policy: PrecisionPolicy, kernelRow: String, bfloat16MatMul: String, matmulAccumulation: MatMulAccumulation,
        trainer: TrainerState, scaler: LossScaler?, loader: LoaderRecord?,
        optimizers: [OptimizerRecord], schedules: [ScheduleRecord], random: [String: SeededGenerator],
        hyperparameters: [String: JSONValue],
        module: [String: JSONValue], callbacks: [String: JSONValue], metrics: [String: Double],
        epochSums: [MetricStore.Sums]
    ) {
        precision = policy.precision
        precisionOverrides = policy.overrides.isEmpty ? nil : policy.overrides
        self.kernelRow = kernelRow
        self.bfloat16MatMul = bfloat16MatMul
        self.matmulAccumulation = matmulAccumulation == .float32 ? nil : matmulAccumulation.description
        self.trainer = trainer
        self.scaler = scaler
        self.loader = loader
        self.optimizers = optimizers
        self.schedules = schedules
        self.random = random
        self.hyperparameters = hyperparameters
        self.module = module
        self.callbacks = callbacks
        self.metrics = metrics
        self.epochSums = epochSums
    }
}
