// A checkpoint that has been read and checked: what a run resumes from, or a model is built from.
import NeedletailData
package import NeedletailNN
public import NeedletailOptim
public import NeedletailTensor

/// The content of a checkpoint's folder. Reading it executes nothing, and every file's checksum has been compared.
///
///     let checkpoint = try Checkpoint(path)
///     let classifier = try Classifier(hyperparameters: checkpoint.hyperparameters)
///     try PrecisionPolicy(checkpoint.precision).apply(to: classifier)  // the stored types, before they are filled
///     try classifier.load(stateDictionary: checkpoint.model)
public struct Checkpoint {
    static let modelFile = "model.safetensors"
    static let optimizerFile = "optimizer.safetensors"
    static let callbackFile = "callbacks.safetensors"

    /// The folder that was read.
    public let path: String
    /// The parameters by name, as stored: float32 masters in the mixed modes.
    public let model: [String: Tensor]
    /// The optimizers' state: `<optimizer's index>/<parameter>.<moment>`.
    public let optimizer: [String: Tensor]
    /// The tensors of callbacks: `<state key>/<name>`; empty where none keeps any.
    public let callbacks: [String: Tensor]
    /// The tensors, by file, whose types cannot be read (no run writes such): they are in none of the dictionaries.
    private let unread: [String: [SafeTensorsFile.Entry]]
    let content: CheckpointState
    /// The checksum of state.json, and so of everything.
    let checksum: String

    /// Reads the checkpoint in the folder at `path`.
    ///
    /// Throws: ``CheckpointError`` where there is none, where anything is missing, truncated or altered, or where a newer
    /// version has written it.
    public init(_ path: String) throws {
        guard !CheckpointFolder.isPartial(path) else {
            throw CheckpointError(path: path, problem: .incomplete("it is what an interrupted write has left behind"))
        }
        // Files are opened one by one: where a run replaces the checkpoint meanwhile, they are read again.
        var attempts = 20
        while true {
            guard let folder = CheckpointFolder.existing(path) else {
                guard let kind = SafeTensorsFile.kind(of: path) else {
                    throw CheckpointError(path: path, problem: .missing)
                }
                throw CheckpointError(path: path, problem: .noFolder(kind))
            }
            let version = CheckpointFolder.identity(folder)
            do {
                try self.init(folder: folder)
                return
            } catch {
                attempts -= 1
                guard attempts > 0, CheckpointFolder.identity(folder) != version else { throw error }
            }
        }
    }

    private init(folder: String) throws {
        let state = try CheckpointFolder.read(
            CheckpointState.fileName, of: folder, sizes: 0...CheckpointState.maximumByteCount)
        let content = try CheckpointState(parsing: state, path: folder)
        var unread: [String: [SafeTensorsFile.Entry]] = [:]
        func tensors(_ file: String) throws -> [String: Tensor] {
            guard let record = content.files[file] else {
                throw CheckpointError(path: folder, problem: .foreign(file: file, why: "state.json does not list it"))
            }
            let bytes = try CheckpointFolder.read(file, of: folder, sizes: record.bytes...record.bytes)
            guard bytes.count == record.bytes else {  // it became shorter meanwhile
                throw CheckpointError(
                    path: folder,
                    problem: .damaged(file: file, found: "\(bytes.count) bytes", expected: "\(record.bytes)"))
            }
            let found = CRC32.text(bytes)
            guard found == record.crc32 else {
                throw CheckpointError(
                    path: folder, problem: .damaged(file: file, found: "checksum \(found)", expected: record.crc32))
            }
            do {
                let content = try SafeTensorsFile.content(decoding: bytes)
                unread[file] = content.unread
                return content.tensors
            } catch {
                throw CheckpointError(path: folder, problem: .foreign(file: file, why: "\(error)"))
            }
        }
        path = folder
        checksum = CheckpointState.checksum(of: state)
        self.content = content
        model = try tensors(Checkpoint.modelFile)
        optimizer = try tensors(Checkpoint.optimizerFile)
        callbacks = content.files[Checkpoint.callbackFile] == nil ? [:] : try tensors(Checkpoint.callbackFile)
        self.unread = unread
    }

    /// The types of those of the model's tensors, or of their averages, that cannot be read.
    var unreadTypes: [String: SafeTensorsFile.ElementType] {
        let prefix = "WeightAveraging/"
        let averages = unread[Checkpoint.callbackFile, default: []].filter { $0.name.hasPrefix(prefix) }
        let own = unreadModel.map { ($0.name, $0.type) }
        return Dictionary(own + averages.map { (String($0.name.dropFirst(prefix.count)), $0.type) }) { $1 }
    }

    /// The tensors of the model, or of the optimizers, whose types cannot be read.
    package var unreadModel: [SafeTensorsFile.Entry] { unread[Checkpoint.modelFile] ?? [] }
    package var unreadOptimizer: [SafeTensorsFile.Entry] { unread[Checkpoint.optimizerFile] ?? [] }

    /// Throws ``CheckpointError`` where a tensor of the model cannot be read, or where `all`, one of any file.
    package func checkTypes(all: Bool = false) throws {
        let files = all ? unread.keys.sorted() : [Checkpoint.modelFile]
        for file in files {
            guard let entry = unread[file]?.first else { continue }
            let problem = SafeTensorsError.Problem.unreadableType(tensor: entry.name, type: entry.type)
            throw CheckpointError(path: path, problem: .foreign(file: file, why: "\(problem)"))
        }
    }

    /// The tensors of the callback with this key, by its names for them; those of longer keys `among` which one begins as a name
    /// of this callback's are left out.
    func tensors(of stateKey: String, among keys: [String] = []) -> [String: Tensor] {
        let prefix = stateKey + "/"
        let others = keys.filter { $0.hasPrefix(prefix) }.map { $0 + "/" }
        let own = callbacks.filter { entry in
            entry.key.hasPrefix(prefix) && !others.contains { entry.key.hasPrefix($0) }
        }
        return Dictionary(
            uniqueKeysWithValues:
                own
                .map { (String($0.key.dropFirst(prefix.count)), $0.value) })
    }

    /// The averaged weights by name where the run averaged them (``WeightAveraging``); nil where it did not.
    public var averagedModel: [String: Tensor]? {
        let averages = tensors(of: "WeightAveraging")
        return averages.isEmpty ? nil : averages
    }

    /// Checks the bytes of a state.json by themselves; throws ``CheckpointError``.
    package static func check(stateFile bytes: [UInt8]) throws {
        _ = try CheckpointState(parsing: bytes, path: "")
    }

    /// The version of the format.
    public var formatVersion: Int { content.formatVersion }
    /// The precision in which the run was.
    public var precision: Precision { content.precision }
    /// The types that single parameters had.
    public var precisionOverrides: PrecisionOverrides { PrecisionOverrides(content.precisionOverrides ?? []) }
    /// The precision and the overrides together: what gives a module's parameters the types that they had.
    public var policy: PrecisionPolicy { PrecisionPolicy(precision, overrides: precisionOverrides) }
    /// Where the run was.
    public var state: TrainerState { content.trainer }
    /// The loss scale and how many steps it has been kept for; nil in modes without one.
    public var scaler: LossScaler? { content.scaler }
    /// What the module said about itself.
    public var hyperparameters: [String: JSONValue] { content.hyperparameters }
    /// The latest metrics.
    public var metrics: [String: Double] { content.metrics }
    /// Each optimizer's kind and the options of its groups, with the learning rates that a schedule begins from.
    public var optimizers: [(kind: String, groups: [JSONValue])] {
        content.optimizers.map { ($0.kind, $0.groups) }
    }
    /// Each schedule with its options, and how many steps (epochs, reductions) it has counted.
    public var schedules: [(optimizer: Int, schedule: String, interval: Scheduler.Interval, count: Int)] {
        (content.schedules ?? []).map { ($0.optimizer, $0.options, $0.interval, $0.state.count) }
    }
    /// The kernels that computed it, such as `avx512`.
    public var kernelRow: String { content.kernelRow }
    /// How they multiplied two bfloat16 matrices; nil where this version does not know the word.
    public var bfloat16MatMul: BFloat16MatMul? { BFloat16MatMul(rawValue: content.bfloat16MatMul ?? "widen") }
    /// How they summed products of float16 matrices; nil where this version does not know the word.
    public var matmulAccumulation: MatMulAccumulation? {
        content.matmulAccumulation.map { try? MatMulAccumulation(parsing: $0) } ?? .float32
    }
}
