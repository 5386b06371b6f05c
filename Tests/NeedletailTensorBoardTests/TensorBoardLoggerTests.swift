import Foundation
import Needletail
import NeedletailTensorBoard
import Testing

@Suite struct TensorBoardLoggerTests {
    /// Values that float32 and int64 hold, read back by a reader that shares no code with the writer.
    @Test func scalarsKeepTheirBits() throws {
        let scratch = try Scratch()
        let logger = try TensorBoardLogger(scratch("runs"))
        let values: [Double] = [0, -0.0, 1.5, -1e-45, 3.4028234663852886e38, .infinity, -.infinity, .nan]
        let steps = [0, 1, 1 << 31, 1 << 53 + 1, 1 << 62]
        for step in steps {
            try logger.log(
                MetricsRecord(
                    event: .step, epoch: 3, step: step,
                    values: values.enumerated().map { ("v/\($0.offset)", $0.element) }))
        }
        #expect(scratch.files.count == 1 && logger.directory == scratch("runs/run-1"))
        let reader = try scratch.events(scratch.files[0])
        #expect(reader.damage == nil && reader.rest == 0)
        #expect(reader.version == "brain.Event:2")
        #expect(reader.events.count == 1 + steps.count)
        for (index, value) in values.enumerated() {
            let written = try #require(reader.values["v/\(index)"])
            #expect(written.map(\.step) == steps.map(Int64.init))
            let expected = Float(value)
            for scalar in written.map(\.scalar) {
                // -0 is told from 0; a NaN stays one, whatever its payload.
                let same = expected.isNaN ? scalar?.isNaN == true : scalar?.bitPattern == expected.bitPattern
                #expect(same, "\(value) became \(String(describing: scalar))")
            }
        }
        #expect(reader.values["epoch"]?.compactMap(\.scalar) == steps.map { _ in 3 })
    }

    /// The checksum's published values: RFC 3720, B.4.
    @Test func checksumsAreThoseOfTheStandard() {
        #expect(MaskedChecksum.crc32c([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(MaskedChecksum.crc32c([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(MaskedChecksum.crc32c(0..<32) == 0x46DD_794E)
        #expect(MaskedChecksum.crc32c("123456789".utf8) == 0xE306_9283)
    }

    @Test func writersInOneSecondDoNotCollide() throws {
        let scratch = try Scratch()
        let loggers = try (0..<5).map { _ in try TensorBoardLogger(newRunIn: scratch("runs")) { 1_700_000_000 } }
        #expect(Set(loggers.map(\.directory)).count == 5)
        let together = try (0..<5).map { _ in try TensorBoardLogger(run: scratch("one")) { 1_700_000_000 } }
        #expect(Set(together.map(\.path)).count == 5)
        for (index, logger) in (loggers + together).enumerated() {
            try logger.log(MetricsRecord(event: .step, epoch: 0, step: index, values: [("x", Double(index))]))
        }
        #expect(scratch.files.count == 10)
        for logger in loggers + together {
            let reader = EventReader([UInt8](try Data(contentsOf: URL(fileURLWithPath: logger.path))))
            #expect(reader.damage == nil && reader.values["x"]?.count == 1)
            #expect(reader.times == [1_700_000_000, 1_700_000_000])
        }
    }

    /// Wherever a file is cut off, what was written before is read; a changed byte is found.
    @Test func everyPrefixIsReadable() throws {
        let scratch = try Scratch()
        let logger = try TensorBoardLogger(scratch("runs"))
        for step in 1...3 {
            try logger.log(MetricsRecord(event: .step, epoch: 0, step: step, values: [("loss", 0.5)]))
        }
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: logger.path)))
        var whole = 0
        for length in 0...bytes.count {
            let reader = EventReader(Array(bytes[..<length]))
            #expect(reader.damage == nil, "\(length) bytes: \(reader.damage ?? "")")
            #expect(reader.events.count >= whole && reader.events.count <= whole + 1)
            whole = reader.events.count
        }
        #expect(whole == 4)
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 0x10
            let reader = EventReader(changed)
            #expect(reader.damage != nil || reader.events.count < 4, "byte \(place)")
        }
    }

    /// Hyper-parameters are numbers, Booleans and strings under dotted names, and the run's end is told.
    @Test func hyperparametersTextAndEnd() throws {
        let scratch = try Scratch()
        let logger = try TensorBoardLogger(newRunIn: scratch("runs")) { 12.5 }
        try logger.logHyperparameters([
            "lr": 0.001, "images": ["height": 28, "gray": true], "hidden": [128, 256], "name": "a | b",
        ])
        try logger.logText("sample", "*hello*", step: 7)
        try logger.runEnded(.fit, error: nil)
        let values = try scratch.events(scratch.files[0]).values
        let start = try #require(values["_hparams_/session_start_info"]?.first)
        let metadata = try #require(start.message(9))
        let plugin = EventReader.fields(try #require(EventReader.bytes(1, in: metadata)))
        #expect(EventReader.bytes(1, in: plugin) == Array("hparams".utf8))
        let data = EventReader.fields(try #require(EventReader.bytes(2, in: plugin)))
        let session = EventReader.fields(try #require(EventReader.bytes(3, in: data)))
        var parameters: [String: [(number: Int, field: EventReader.Field)]] = [:]
        for case (1, .bytes(let entry)) in session {
            let pair = EventReader.fields(entry)
            let name = String(decoding: EventReader.bytes(1, in: pair) ?? [], as: UTF8.self)
            parameters[name] = EventReader.fields(EventReader.bytes(2, in: pair) ?? [])
        }
        #expect(parameters.keys.sorted() == ["hidden", "images.gray", "images.height", "lr", "name"])
        // google.protobuf.Value: number 2, string 3, Boolean 4.
        #expect(EventReader.double(2, in: parameters["lr"] ?? []) == 0.001)
        #expect(EventReader.double(2, in: parameters["images.height"] ?? []) == 28)
        #expect(EventReader.bytes(3, in: parameters["hidden"] ?? []) == Array("[128,256]".utf8))
        guard case (4, .varint(1))? = parameters["images.gray"]?.first else {
            Issue.record("images.gray is no true Boolean")
            return
        }
        let text = try #require(values["sample/text_summary"]?.first)
        #expect(text.step == 7)
        #expect(EventReader.bytes(8, in: try #require(text.message(8))) == Array("*hello*".utf8))
        #expect(values["hyperparameters/text_summary"]?.count == 1)
        let end = try #require(values["_hparams_/session_end_info"]?.first?.message(9))
        let endPlugin = EventReader.fields(try #require(EventReader.bytes(1, in: end)))
        let endData = EventReader.fields(try #require(EventReader.bytes(2, in: endPlugin)))
        let ended = EventReader.fields(try #require(EventReader.bytes(4, in: endData)))
        guard case (1, .varint(1))? = ended.first else {
            Issue.record("the run's end is no success: \(ended)")
            return
        }
        #expect(EventReader.double(2, in: ended) == 12.5)
    }

    /// A run logs its metrics and, with ``ParameterHistograms``, the distribution of every parameter and gradient.
    @Test func aRunIsLogged() throws {
        let scratch = try Scratch()
        let memory = MemoryLogger()
        let module = TinyClassifier()
        let logger = try TensorBoardLogger(scratch("runs"))
        let trainer = Trainer(maxEpochs: 2, precision: .mixedFloat16) {
            $0.loggers = [logger, memory]
            $0.logEveryNSteps = 1
            $0.enableProgressBar = false
            $0.enableModelSummary = false
            $0.callbacks = [ParameterHistograms()]
        }
        try trainer.fit(module, train: DataLoader(Digits.load().train.subset(0..<96), batchSize: 32))
        let values = try scratch.events(scratch.files[0]).values
        for name in ["train_loss_step", "train_loss_epoch", "lr", "amp/scale", "amp/skipped_total"] {
            let logged = memory.values(of: name)
            let written = try #require(values[name])
            #expect(written.map(\.step) == logged.map { Int64($0.step) })
            #expect(written.map(\.scalar) == logged.map { Float($0.value) })
        }
        for name in ["layer.weight", "layer.bias"] {
            let parameters = try #require(values["parameters/\(name)"])
            #expect(parameters.map(\.step) == [3, 6] && values["gradients/\(name)"]?.map(\.step) == [3, 6])
            let last = try #require(parameters.last?.message(5))
            let parameter = try #require(module.namedParameters().first { $0.name == name }).parameter.master
            let elements = parameter.scalars(as: Double.self)
            #expect(
                EventReader.double(1, in: last) == elements.min() && EventReader.double(2, in: last) == elements.max())
            #expect(EventReader.double(3, in: last) == Double(elements.count))
            #expect(EventReader.doubles(7, in: last).reduce(0, +) == Double(elements.count))
        }
        #expect(values["_hparams_/session_end_info"]?.count == 1)
    }
}

/// Softmax regression of the digits.
final class TinyClassifier: TrainingModule {
    let layer: Linear

    override init() {
        var generator = SeededGenerator(seed: 1)
        layer = Linear(64, 10, using: &generator)
        super.init()
        hyperparameters = ["width": 64]
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let loss = try crossEntropy(layer(batch.inputs.flattened(from: 1)), batch.targets)
        log("train_loss", loss, onStep: true, onEpoch: true)
        return loss
    }

    override func configureOptimizers() -> [Optimizer] { [SGD(parameters(), learningRate: 0.1)] }
}
