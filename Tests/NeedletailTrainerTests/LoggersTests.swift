import Foundation
import Needletail
import Testing

@Suite struct LoggersTests {
    @Test func csvGrowsColumnsAndEscapes() throws {
        let directory = try TemporaryDirectory()
        let path = directory("a/b/metrics.csv")
        let logger = CSVLogger(path)
        try logger.log(MetricsRecord(event: .step, epoch: 0, step: 1, values: [("loss", 0.5)]))
        #expect(text(path) == "epoch,step,loss\n0,1,0.5\n")
        try logger.log(MetricsRecord(event: .step, epoch: 0, step: 2, values: [("loss", .nan)]))
        #expect(text(path) == "epoch,step,loss\n0,1,0.5\n0,2,nan\n")
        try logger.log(
            MetricsRecord(
                event: .epoch, epoch: 0, step: 2, values: [("a,b", -.infinity), ("say \"x\"", 3), ("loss", 1e-20)]))
        try logger.log(MetricsRecord(event: .epoch, epoch: 1, step: 4, values: [("a,b", .infinity)]))
        let expected = #"""
            epoch,step,loss,"a,b","say ""x"""
            0,1,0.5,,
            0,2,nan,,
            0,2,1e-20,-inf,3
            1,4,,inf,

            """#
        #expect(text(path) == expected)
        #expect(directory.names(in: "a/b") == ["metrics.csv"])
    }

    /// A resumed run's rows come after those of before, under the same header; what a killed process had begun is cut off.
    @Test func filesAreGoneOnWith() throws {
        let directory = try TemporaryDirectory()
        let path = directory("a/metrics.csv")
        let names = ["loss", "\"x\"", "a,b", "two\nlines"]
        func record(_ step: Int, _ names: [String]) -> MetricsRecord {
            MetricsRecord(event: .step, epoch: 0, step: step, values: names.map { ($0, Double(step)) })
        }
        try CSVLogger(appendingTo: path).log(record(1, Array(names[..<2])))  // there is none yet
        #expect(text(path) == "epoch,step,loss,\"\"\"x\"\"\"\n0,1,1,1\n")
        let second = try CSVLogger(appendingTo: path)
        try second.log(record(2, names))
        try second.log(record(3, ["a,b"]))
        let header = "epoch,step,loss,\"\"\"x\"\"\",\"a,b\",\"two\nlines\"\n"
        #expect(text(path) == header + "0,1,1,1,,\n0,2,2,2,2,2\n0,3,,,3,\n")
        try Data((text(path) + "0,4,4").utf8).write(to: URL(fileURLWithPath: path))
        try CSVLogger(appendingTo: path).log(record(5, ["two\nlines"]))
        #expect(text(path) == header + "0,1,1,1,,\n0,2,2,2,2,2\n0,3,,,3,\n0,5,,,,5\n")

        let lines = directory("a/metrics.jsonl")
        try JSONLinesLogger(appendingTo: lines).log(record(1, ["loss"]))
        try Data((text(lines) + "{\"event\":").utf8).write(to: URL(fileURLWithPath: lines))
        try JSONLinesLogger(appendingTo: lines).log(record(2, ["loss"]))
        #expect(
            text(lines) == [1, 2].map { "{\"event\":\"step\",\"epoch\":0,\"step\":\($0),\"loss\":\($0)}\n" }.joined())

        let error = #expect(throws: LogFileError.self) { try CSVLogger(appendingTo: lines) }
        #expect(error?.description.hasSuffix("epoch,step,…; give another file") == true, "\(error.debugDescription)")
        #expect(text(lines).split(separator: "\n").count == 2)
    }

    /// A pipe without a reader is an error at once; with one it is written to.
    @Test func aPipeThatNobodyReadsIsNotWaitedFor() throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let pipe = directory("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let error = #expect(throws: LogFileError.self) { try LogFile(pipe) }
        #expect(error?.why == "a pipe that nobody reads")
        let reader = open(pipe, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        try LogFile(pipe).append("line")
        var found = [UInt8](repeating: 0, count: 8)
        #expect(read(reader, &found, 8) == 4 && found.prefix(4) == Array("line".utf8)[...])
    }

    @Test func anUnwritablePlaceIsAnError() throws {
        let directory = try TemporaryDirectory()
        try Data().write(to: URL(fileURLWithPath: directory("file")))
        #expect(throws: (any Error).self) {
            try CSVLogger(directory("file/metrics.csv"))
                .log(MetricsRecord(event: .step, epoch: 0, step: 1, values: [("loss", 1)]))
        }
        #expect(throws: LogFileError.self) { try JSONLinesLogger(directory("file/metrics.jsonl")) }
    }

    @Test func jsonLinesAreObjects() throws {
        let directory = try TemporaryDirectory()
        let path = directory("metrics.jsonl")
        let logger = try JSONLinesLogger(path)
        try logger.log(MetricsRecord(event: .step, epoch: 0, step: 1, values: [("a \"b\"\n", 0.1), ("n", .nan)]))
        try logger.log(MetricsRecord(event: .epoch, epoch: 0, step: 1, values: [("i", -.infinity), ("two", 2)]))
        try logger.summary(["precision": "16-mixed", "test_accuracy": 0.97, "threads": 2, "names": ["x", .null]])
        let expected = #"""
            {"event":"step","epoch":0,"step":1,"a \"b\"\n":0.1,"n":"NaN"}
            {"event":"epoch","epoch":0,"step":1,"i":"-Infinity","two":2}
            {"event":"summary","precision":"16-mixed","test_accuracy":0.97,"threads":2,"names":["x",null]}

            """#
        #expect(text(path) == expected)
        for line in text(path).split(separator: "\n") {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
            #expect((object as? [String: Any])?["event"] is String)
        }
    }

    @Test func jsonValuesKeepTheirBits() throws {
        let values: [JSONValue] = [
            .null, .bool(true), .integer(.min), .integer(9_007_199_254_740_993), .unsigned(.max), .number(0.1),
            .number(1.7976931348623157e308), .number(.leastNonzeroMagnitude), .string("ü\"\\\u{1}\n"),
            ["a": [1, 2.5, "x", .null]],
        ]
        for value in values {
            let data = Data(value.text.utf8)
            #expect(try JSONDecoder().decode(JSONValue.self, from: data) == value, "\(value.text)")
        }
        struct State: Codable, Equatable { var seed: UInt64, value: Double, name: String? }
        let state = State(seed: .max, value: -.infinity, name: nil)
        #expect(try JSONValue(encoding: state).decoded(as: State.self) == state)
    }

    /// Epoch means are weighted by the batches' sizes: 20 rows in batches of 8, 8 and 4.
    @Test func meansAreWeightedAndNamesAreLightnings() throws {
        final class Logging: Regression {
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                log("plain", Double(index))
                log("both", Double(index), onStep: true, onEpoch: true)
                log("epoch", Double(index), onStep: false, onEpoch: true)
                return try super.trainingStep(batch, index)
            }
            override func validationStep(_ batch: Batch, _ index: Int) { log("val", Double(index)) }
            override func testStep(_ batch: Batch, _ index: Int) { log("test", Double(index)) }
            override func onTrainEpochEnd() { log("end", 7) }
        }
        let logger = MemoryLogger()
        let module = Logging(learningRate: 0.1)
        let loader = DataLoader(Points(20), batchSize: 8)
        let trainer = quietTrainer(maxEpochs: 2) {
            $0.loggers = [logger]
            $0.logEveryNSteps = 2
        }
        try trainer.fit(module, train: loader, validation: loader)
        // (8·0 + 8·1 + 4·2) / 20
        let mean = 0.8
        let shape = logger.records.map { record in
            "\(record.event) \(record.epoch) \(record.step) "
                + record.values.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        }
        #expect(
            shape == [
                "step 0 2 plain=1.0 both_step=1.0 lr=0.1", "epoch 0 3 val=\(mean)",
                "epoch 0 3 both_epoch=\(mean) epoch=\(mean) end=7.0",
                "step 1 4 plain=0.0 both_step=0.0 lr=0.1", "step 1 6 plain=2.0 both_step=2.0 lr=0.1",
                "epoch 1 6 val=\(mean)",
                "epoch 1 6 both_epoch=\(mean) epoch=\(mean) end=7.0",
            ])
        #expect(try trainer.test(module, loader) == ["test": mean])
        #expect(try trainer.validate(module, loader) == ["val": mean])
        #expect(trainer.metrics["both_epoch"] == mean && trainer.metrics["test"] == mean)
        #expect(logger.values(of: "val").map(\.step) == [3, 6, 6])
        module.log("outside", 1)
    }

    /// A batch whose loss is not finite is skipped and does not make the epoch's mean NaN.
    @Test func skippedBatchesDoNotSpoilMeans() throws {
        let logger = MemoryLogger()
        let trainer = quietTrainer(maxEpochs: 1, precision: .mixedFloat16) {
            $0.loggers = [logger]
            $0.logEveryNSteps = 1
        }
        try trainer.fit(
            SmallClassifier(), train: DataLoader(Points(64, infiniteRows: 17..<18), batchSize: 16))
        let mean = try #require(trainer.metrics["train_loss_epoch"])
        #expect(mean.isFinite && mean > 0)
        let steps = logger.values(of: "train_loss_step")
        #expect(steps.count == 4 && !steps[1].value.isFinite)
        let finite = steps.map(\.value).filter(\.isFinite)
        // Three equal weights: sums of float32 values in float64.
        let ok = abs(mean - finite.reduce(0, +) / 3) <= 4 * 0x1p-53 * mean
        #expect(ok)
        #expect(logger.values(of: "amp/scale").map(\.value) == [65536, 32768, 32768, 32768])
        #expect(logger.values(of: "amp/skipped_total").map(\.value) == [0, 1, 1, 1])
    }

    @Test func predictionsComeBatchByBatchInEvaluationMode() throws {
        let module = SmallClassifier(dropout: 0.9)
        let loader = DataLoader(Points(10), batchSize: 4)
        let trainer = quietTrainer(precision: .mixedBFloat16)
        let predictions = try trainer.predict(module, loader)
        #expect(predictions.map(\.shape) == [[4, 3], [4, 3], [2, 3]])
        #expect(predictions.allSatisfy { $0.dtype == .bfloat16 && !$0.requiresGradient })
        #expect(try trainer.predict(module, loader).map(\.bytes) == predictions.map(\.bytes))
        #expect(module.isTraining)
    }
}
