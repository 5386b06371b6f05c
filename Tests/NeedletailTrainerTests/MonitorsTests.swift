import Foundation
import Needletail
import Testing

@Suite struct MonitorsTests {
    /// A clock that moves when it is told to.
    private final class Clock: Callback {
        var now = 100.0
        override func onTrainBatchStart(
            _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
        ) { now += 0.5 }
        override func onValidationBatchStart(
            _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
        ) { now += 1000 }
    }

    /// Half a second a batch of 16, whatever the validation takes: 32 samples a second. The peak is given.
    @Test func ratesAreThoseOfTraining() throws {
        let clock = Clock(), logger = MemoryLogger()
        let monitor = ThroughputMonitor(peak: { 1e6 }, clock: { clock.now })
        let module = Regression(learningRate: 0.1)
        let trainer = quietTrainer(maxEpochs: 3) {
            $0.profiler = Profiler(console: Console(isTerminal: false) { _ in })  // looks at the same operations
            $0.callbacks = [clock, monitor]
            $0.loggers = [logger]
            $0.logEveryNSteps = 2
        }
        try trainer.fit(
            module, train: DataLoader(Points(64), batchSize: 16), validation: DataLoader(Points(16), batchSize: 16))
        let rates = logger.values(of: "throughput/samples_per_second")
        #expect(rates.map(\.step) == [2, 4, 6, 8, 10, 12] && rates.allSatisfy { $0.value == 32 }, "\(rates)")
        #expect(logger.values(of: "throughput/batches_per_second").allSatisfy { $0.value == 2 })
        let operations = try #require(logger.values(of: "throughput/gflops").first).value * 1e9 / 2
        // The products alone: 2·16·6·3 forward, the same for dW; the loss adds a little for each of 16·3 elements.
        #expect(operations >= 4 * 16 * 6 * 3 && operations <= 4 * 16 * 6 * 3 + 10 * 16 * 3, "\(operations)")
        let share = try #require(logger.values(of: "throughput/peak_share").first).value
        let ok = abs(share - operations * 2 / 1e6) <= 4 * 0x1p-53 * share
        #expect(ok)
    }

    @Test func learningRatesAreNamedAsInLightning() throws {
        func names(_ monitor: LearningRateMonitor, _ make: @escaping (SmallClassifier) -> [Optimizer]) throws
            -> [String]
        {
            let logger = MemoryLogger()
            let module = SmallClassifier()
            module.makeOptimizers = make
            let trainer = quietTrainer(maxEpochs: 2) {
                $0.callbacks = [monitor]
                $0.loggers = [logger]
                $0.logEveryNSteps = 1
            }
            try trainer.fit(module, train: DataLoader(Points(32), batchSize: 16))
            return logger.records.map { record in
                "\(record.event) "
                    + record.values.filter { $0.name.hasPrefix("lr-") }.map { "\($0.name)=\($0.value)" }
                    .joined(separator: " ")
            }
        }
        let one = try names(LearningRateMonitor(.epoch, momentum: true, weightDecay: true)) {
            [SGD($0.parameters(), learningRate: 0.5, momentum: 0.9, weightDecay: 0.25)]
        }
        let epoch = "epoch lr-SGD=0.5 lr-SGD-momentum=0.9 lr-SGD-weight_decay=0.25"
        #expect(one == ["step ", "step ", epoch, "step ", "step ", epoch])
        let two = try names(LearningRateMonitor()) {
            [Adam($0.hidden.parameters(), learningRate: 0.5), Adam($0.head.parameters(), learningRate: 0.25)]
        }
        #expect(two.first?.contains("lr-Adam-1=0.5 lr-Adam-2=0.25") == true, "\(two)")
    }

    @Test func theConsoleHasALineForEachRecord() throws {
        var text = ""
        let logger = ConsoleLogger(Console(isTerminal: false) { text += $0 })
        logger.logHyperparameters(["lr": 0.5, "name": "x"])
        logger.log(MetricsRecord(event: .step, epoch: 0, step: 50, values: [("loss", 0.123456), ("n", .nan)]))
        logger.logText("sample", "hello", step: 3)
        #expect(
            text == "hyper-parameters: lr 0.5, name \"x\"\nepoch 1 step 50: loss 0.1235, n nan\nstep 3: sample\nhello\n"
        )
        text = ""
        let epochs = ConsoleLogger(Console(isTerminal: false) { text += $0 }, epochsOnly: true)
        epochs.log(MetricsRecord(event: .step, epoch: 0, step: 50, values: [("loss", 1)]))
        epochs.log(MetricsRecord(event: .epoch, epoch: 1, step: 60, values: [("loss", 1)]))
        #expect(text == "epoch 2 step 60: loss 1\n")
    }
}
