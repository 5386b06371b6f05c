// Metrics, histograms, texts and hyper-parameters for TensorBoard.
import Foundation
import NeedletailFiles
public import NeedletailTrainer
import SwiftProtobuf

/// Writes an event file that TensorBoard shows: `tensorboard --logdir DIRECTORY`.
///
///     let logger = try TensorBoardLogger("runs")
///     let trainer = Trainer(maxEpochs: 3) { $0.loggers = [logger] }
///
/// Each logger is a run of its own, in the first of the folders `run-1`, `run-2`, … of `directory` that is still free.
/// Every record is in the file when ``log(_:)`` returns, and whole: what a run that was killed had logged can be read.
///
/// Scalars are float32, as TensorBoard has them, NaN and infinities included; steps are int64. The epoch is logged beside
/// the metrics. Hyper-parameters and how the run ended go to the page HPARAMS, which compares runs, and to TEXT.
public final class TensorBoardLogger: Logger {
    /// The folder of this run.
    public let directory: String
    /// The event file.
    public var path: String { file.path }
    private let file: EventFile
    private let clock: () -> Double
    private var hasSession = false

    /// A new run in `directory`. Throws ``LogFileError``.
    public convenience init(_ directory: String) throws {
        try self.init(newRunIn: directory) { Date().timeIntervalSince1970 }
    }

    /// A new run in `directory`; `clock` gives seconds since 1970.
    package convenience init(newRunIn directory: String, clock: @escaping () -> Double) throws {
        let folder = try Self.unusedFolder(in: directory)
        do { try self.init(run: folder, clock: clock) } catch {
            try? FileSystem.removeEmptyFolder(FilePath(folder))
            throw error
        }
    }

    /// A further event file in the folder of a run.
    package init(run directory: String, clock: @escaping () -> Double) throws {
        self.directory = directory
        self.clock = clock
        file = try EventFile(in: directory, clock: clock)
    }

    /// Makes and returns the first `run-N` that does not exist. That it is new decides, so two runs never share one.
    private static func unusedFolder(in directory: String) throws -> String {
        do { try FileSystem.makeFolders(FilePath(directory)) } catch let error as FileError {
            throw LogFileError(path: directory, why: "no folder can be made there: \(error.reason)")
        }
        for number in 1... {
            let folder = "\(directory)/run-\(number)"
            do {
                try FileSystem.makeFolder(FilePath(folder))
                return folder
            } catch let error as FileError {
                guard error.systemError == EEXIST else { throw LogFileError(path: folder, why: error.reason) }
            }
        }
        preconditionFailure("unreachable: an unbounded loop")
    }

    /// Begins the run's entry on the page HPARAMS, and writes a table of the hyper-parameters as text.
    public func logHyperparameters(_ hyperparameters: [String: JSONValue]) throws {
        let flat = JSONValue.flattened(hyperparameters)
        var data = ProtoHParamsPluginData()
        data.sessionStartInfo.startTimeSecs = clock()
        data.sessionStartInfo.groupName = FilePath(directory).name.description
        for (name, value) in flat { data.sessionStartInfo.hparams[name] = Self.value(value) }
        try writeSession("_hparams_/session_start_info", data)
        hasSession = true
        guard !flat.isEmpty else { return }
        let rows = flat.map { "| \($0.name) | \(Self.text($0.value)) |\n" }.joined()
        try logText("hyperparameters", "| name | value |\n|---|---|\n" + rows, step: 0)
    }

    /// Writes the record's values and its epoch.
    public func log(_ record: MetricsRecord) throws {
        let values = record.values + [("epoch", Double(record.epoch))]
        try file.write(
            values.map { name, number in
                var value = ProtoSummary.Value()
                value.tag = name
                value.simpleValue = Float(number)
                return value
            }, step: record.step)
    }

    /// Writes a text, which TensorBoard reads as Markdown.
    public func logText(_ name: String, _ text: String, step: Int) throws {
        try file.write(name + "/text_summary", step: step) {
            $0.metadata.pluginData.pluginName = "text"
            $0.metadata.dataClass = .tensor
            $0.tensor.dtype = .dtString
            var one = ProtoTensorShapeProto.Dim()
            one.size = 1
            $0.tensor.tensorShape.dim = [one]
            $0.tensor.stringVal = [Data(text.utf8)]
        }
    }

    /// Writes a histogram.
    public func logHistogram(_ name: String, _ histogram: Histogram, step: Int) throws {
        try file.write(name, step: step) {
            $0.histo.min = histogram.minimum
            $0.histo.max = histogram.maximum
            $0.histo.num = Double(histogram.count)
            $0.histo.sum = histogram.sum
            $0.histo.sumSquares = histogram.sumOfSquares
            $0.histo.bucketLimit = histogram.buckets.map(\.limit)
            $0.histo.bucket = histogram.buckets.map { Double($0.count) }
        }
    }

    /// Says on the page HPARAMS how fit has ended.
    public func runEnded(_ stage: Stage, error: (any Error)?) throws {
        guard hasSession, stage == .fit else { return }
        hasSession = false
        var data = ProtoHParamsPluginData()
        data.sessionEndInfo.status = error == nil ? .success : .failure
        data.sessionEndInfo.endTimeSecs = clock()
        try writeSession("_hparams_/session_end_info", data)
    }

    private func writeSession(_ tag: String, _ data: ProtoHParamsPluginData) throws {
        let content = Data(try data.serializedBytes() as [UInt8])
        try file.write(tag, step: 0) {
            $0.metadata.pluginData.pluginName = "hparams"
            $0.metadata.pluginData.content = content
            $0.metadata.dataClass = .tensor
        }
    }

    /// A hyper-parameter as TensorBoard knows them: number, Boolean or string.
    private static func value(_ value: JSONValue) -> Google_Protobuf_Value {
        switch value {
        case .bool(let value): Google_Protobuf_Value(boolValue: value)
        case .integer(let value): Google_Protobuf_Value(numberValue: Double(value))
        case .unsigned(let value): Google_Protobuf_Value(numberValue: Double(value))
        case .number(let value): Google_Protobuf_Value(numberValue: value)
        default: Google_Protobuf_Value(stringValue: text(value))
        }
    }

    private static func text(_ value: JSONValue) -> String {
        if case .string(let text) = value { return text }
        return value.text
    }
}
