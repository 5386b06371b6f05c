import Foundation
import Needletail
import Testing

/// The tutorial's model.
private final class Tutorial: TrainingModule {
    let layer1: Linear, layer2: Linear, layer3: Linear
    override init() {
        var generator = SeededGenerator(seed: 1)
        layer1 = Linear(784, 128, activation: .relu, using: &generator)
        layer2 = Linear(128, 256, activation: .relu, using: &generator)
        layer3 = Linear(256, 10, using: &generator)
    }
}

/// Collects what is written.
private final class Output {
    var pieces: [String] = []
    var text: String { pieces.joined() }
    func console(isTerminal: Bool, width: Int = 120) -> Console {
        Console(isTerminal: isTerminal, width: width) { self.pieces.append($0) }
    }
}

@Suite struct CallbacksTests {
    /// 784·128 + 128 + 128·256 + 256 + 256·10 + 10 = 136,074; four bytes master, two shadow, four gradient, eight Adam.
    @Test func summaryOfTheTutorialsModel() throws {
        let module = Tutorial()
        let policy = PrecisionPolicy(.mixedFloat16, overrides: ["layer3.*": .float32])
        try policy.apply(to: module)
        #expect(
            ModelSummary.text(of: module, optimizers: [Adam(module.parameters())])
                == """
                ---------------------------------------------------------------------------------------------------
                Name   | Type   | Params  | Mode  | Stored / computed | Stored bytes | Shadow  | Gradient | State
                ---------------------------------------------------------------------------------------------------
                layer1 | Linear | 100,480 | train | float32 / float16 |      401,920 | 200,960 |  401,920 | 803,840
                layer2 | Linear |  33,024 | train | float32 / float16 |      132,096 |  66,048 |  132,096 | 264,192
                layer3 | Linear |   2,570 | train | float32 / float32 |       10,280 |       0 |   10,280 |  20,560
                ---------------------------------------------------------------------------------------------------
                136,074 trainable parameters
                0 non-trainable parameters
                136,074 parameters in total
                544,296 bytes master, 267,008 shadow, 544,296 gradient, 1,088,592 optimizer state

                """)
        module.layer1.weight.requiresGradient = false
        try PrecisionPolicy(.float64).apply(to: module)
        let frozen = ModelSummary.text(of: module, optimizers: [SGD(module.parameters())])
        #expect(
            frozen.contains(
                "35,722 trainable parameters\n100,352 non-trainable parameters\n136,074 parameters in total\n"))
        #expect(frozen.contains("1,088,592 bytes master, 0 shadow, 285,776 gradient, 0 optimizer state\n"))
    }

    /// A weight that two layers share is counted once, where it comes first; a layer without parameters has no bytes;
    /// frozen parameters have neither gradient nor state, and those of no optimizer have no state.
    @Test func summaryCountsSharedFrozenAndUnoptimizedParameters() throws {
        final class Tied: Module {
            let scale = Parameter(Tensor.ones([3]))
            let first: Embedding, drop = Dropout(0.5, seed: 1), second: Embedding
            final class Embedding: Module {
                let table: Parameter
                init(_ table: Parameter) { self.table = table }
            }
            override init() {
                let table = Parameter(Tensor.ones([5, 2]))
                first = Embedding(table)
                second = Embedding(table)
            }
        }
        let module = Tied()
        try PrecisionPolicy(.bfloat16, overrides: ["scale": .float64]).apply(to: module)
        func rows(_ optimizers: [Optimizer]) -> [String] {
            ModelSummary.text(of: module, optimizers: optimizers).split(separator: "\n").map { line in
                line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "|")
            }
        }
        let all = rows([SGD(module.parameters(), learningRate: 0.1, momentum: 0.9)])
        #expect(all[3] == "(own)|Tied|3|train|float64 / float64|24|0|24|24")
        #expect(all[4] == "first|Embedding|10|train|bfloat16 / bfloat16|20|0|40|40")
        #expect(all[5].hasPrefix("drop|Dropout|0|train"))
        #expect(all[6].hasPrefix("second|Embedding|0|train"))
        #expect(all.last == "44 bytes master, 0 shadow, 64 gradient, 64 optimizer state")
        module.scale.requiresGradient = false
        let frozen = rows([SGD([module.scale], learningRate: 0.1, momentum: 0.9)])
        #expect(frozen[3] == "(own)|Tied|3|train, frozen|float64 / float64|24|0|0|0")
        #expect(frozen.last == "44 bytes master, 0 shadow, 40 gradient, 0 optimizer state")
    }

    /// With example inputs: 2·1·784·128 = 200,704 operations in the first layer, and so on; ReLU is part of the product.
    @Test func summaryShowsSizesWhereThereAreExampleInputs() throws {
        final class WithExample: SmallClassifier {
            override var exampleInputs: Tensor? { Tensor.zeros([4, 6]) }
        }
        let output = Output()
        let module = WithExample()
        let untouched = module.bits
        let trainer = quietTrainer(maxSteps: 0, precision: .mixedBFloat16) {
            $0.callbacks = [ModelSummary(console: output.console(isTerminal: false))]
        }
        let generator = module.drop.generator
        try trainer.fit(module, train: DataLoader(Points(8), batchSize: 4))
        let rows = output.text.split(separator: "\n").map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "|")
        }
        // 2·4·6·8 and one for each of 4·8 elements; dropout does nothing in evaluation; 2·4·8·3.
        #expect(rows[1] == "Name|Type|Params|Mode|In|Out|FLOPs|Stored / computed|Stored bytes|Shadow|Gradient|State")
        #expect(rows[3].hasPrefix("hidden|Linear|56|train|[4, 6]|[4, 8]|416|float32 / bfloat16|"), "\(rows[3])")
        #expect(rows[5].hasPrefix("head|Linear|27|train|[4, 8]|[4, 3]|192|"), "\(rows[5])")
        #expect(rows.contains("608 FLOPs of a forward pass over the example"), "\(output.text)")
        #expect(module.bits == untouched && module.isTraining && module.drop.generator == generator)
    }

    @Test func fitPrintsTheSummaryAndPlainLines() throws {
        let output = Output()
        let console = output.console(isTerminal: false)
        let trainer = Trainer(maxEpochs: 2, precision: .mixedFloat16) {
            $0.callbacks = [ModelSummary(console: console), ProgressBar(console: console, clock: { 0 })]
        }
        let loader = DataLoader(Points(12), batchSize: 4)
        try trainer.fit(SmallClassifier(), train: loader, validation: loader)
        #expect(output.pieces.count == 3)
        #expect(output.pieces[0].contains("float32 / float16") && output.pieces[0].contains("83 parameters in total"))
        #expect(output.pieces[1].hasPrefix("Epoch 1/2 |") && output.pieces[2].hasPrefix("Epoch 2/2 |"))
        for line in output.pieces[1...] {
            #expect(line.contains("| 3/3 [") && line.hasSuffix("\n") && !line.contains("\r"))
            #expect(
                line.contains("train_loss_epoch") && !line.contains("train_loss_step") && line.contains("val_loss")
                    && line.contains("scale 65536"))
        }
    }

    /// On a terminal the line is drawn over, at most ten times a second.
    @Test func theBarIsRedrawnTenTimesASecond() throws {
        let output = Output()
        var now = 0.0
        let bar = ProgressBar(console: output.console(isTerminal: true), clock: { now })
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.callbacks = [AfterBatch { _, _, _, _ in now += 0.01 }, bar]
        }
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(100), batchSize: 1))
        let draws = output.pieces.filter { $0.hasPrefix("\rEpoch") }
        // 100 batches in one second: one draw at once, then one each 0.1 s; float sums may shift one over an edge.
        #expect((9...11).contains(draws.count), "\(draws.count)")
        #expect(draws.last?.contains("it/s] train_loss_step") == true && draws.last?.contains(" < 0:0") == true)
        #expect(output.pieces.last?.hasPrefix("Epoch 1/1 |") == true && output.pieces.last?.hasSuffix("\n") == true)
        #expect(output.pieces.last?.contains("100/100 [0:01 < 0:00, 100.0 it/s]") == true)
    }

    /// In a file or a pipe an epoch, a validation, a test and a prediction that take long say so every 30 seconds.
    @Test func plainLinesComeEveryThirtySeconds() throws {
        final class Slow: SmallClassifier {
            var pass: () -> Void = {}
            override func validationStep(_ batch: Batch, _ index: Int) throws {
                pass()
                try super.validationStep(batch, index)
            }
            override func testStep(_ batch: Batch, _ index: Int) throws {
                pass()
                try super.testStep(batch, index)
            }
            override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                pass()
                return try super.predictStep(batch, index)
            }
        }
        let output = Output()
        var now = 1e6  // a machine that has run for long
        let bar = ProgressBar(console: output.console(isTerminal: false), clock: { now })
        let module = Slow()
        module.pass = { now += 12 }
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.callbacks = [AfterBatch { _, _, _, _ in now += 7 }, bar]
            $0.numSanityValSteps = 0
        }
        let loader = DataLoader(Points(10), batchSize: 1)
        func lines() -> [String] {
            defer { output.pieces = [] }
            return output.pieces
        }
        try trainer.fit(module, train: loader, validation: loader)
        let fit = lines()
        // 7, 14, …, 35, …, 70 s: batches 5 and 10, the last of which is told of with the epoch. Validation from 70 s on:
        // the line before it was at 35 s, so 82, 118, 154, 190 s.
        #expect(
            fit.map { String($0.prefix { $0 != "|" }) } == ["Epoch 1/1 "] + Array(repeating: "Validation ", count: 4)
                + ["Epoch 1/1 "])
        #expect(fit[0].contains(" 5/10 [0:35 < 0:35, 0.1 it/s] train_loss_step "), "\(fit)")
        #expect(fit[1].hasSuffix(" 1/10 [0:12 < 1:48, 0.1 it/s]\n") && fit[4].contains(" 10/10 ["), "\(fit)")
        try trainer.test(module, loader)
        let test = lines()
        #expect(test.count == 3 && test.allSatisfy { $0.hasPrefix("Test |") && !$0.contains("\r") }, "\(test)")
        _ = try trainer.predict(module, loader)
        #expect(lines().map { String($0.prefix(9)) } == Array(repeating: "Predict |", count: 3))
    }

    /// A terminal that is narrow, or becomes so, has no line that wraps; none of the values is lost from those that stay.
    @Test(arguments: [1, 2, 10, 37, 80, 200]) func noLineIsWiderThanTheTerminal(_ width: Int) throws {
        var now = 0.0
        var width = width, pieces: [(width: Int, text: String)] = []
        let console = Console(isTerminal: true, width: width) { pieces.append((width, $0)) }
        let bar = ProgressBar(console: console, clock: { now })
        let trainer = quietTrainer(maxEpochs: 2, precision: .mixedFloat16) {
            $0.callbacks = [
                AfterBatch { _, _, _, _ in
                    now += 1
                    width = width > 20 ? width - 3 : width
                }, bar,
            ]
        }
        let loader = DataLoader(Points(12), batchSize: 1)
        try trainer.fit(SmallClassifier(), train: loader, validation: loader)
        try trainer.test(SmallClassifier(), loader)
        #expect(pieces.count > 20)
        for (width, text) in pieces {
            for line in text.split(whereSeparator: { $0 == "\n" || $0 == "\r" }) {
                #expect(line.count <= width, "\(width): \(line)")
            }
        }
        let kept = pieces.map(\.text).joined().filter { !$0.isWhitespace }
        #expect(kept.contains("train_loss_epoch") && kept.contains("scale65536"))
    }

    @Test func skippedStepsAreShown() throws {
        let output = Output()
        let bar = ProgressBar(console: output.console(isTerminal: false))
        let trainer = quietTrainer(maxEpochs: 1, precision: .mixedFloat16) { $0.callbacks = [bar] }
        try trainer.fit(
            SmallClassifier(), train: DataLoader(Points(48, infiniteRows: 0..<1), batchSize: 16))
        #expect(output.text.contains("scale 32768 skipped 1"))
    }

    /// The monitored values of five epochs, and which checkpoints stay.
    @Test func bestAndTopKCheckpoints() throws {
        final class Scripted: Regression {
            let values: [Double]
            init(_ values: [Double]) {
                self.values = values
                super.init(learningRate: 0.1)
            }
            override func onTrainEpochEnd() { log("score", values[trainer?.state.epoch ?? 0]) }
        }
        func run(_ values: [Double], _ mode: ModelCheckpoint.Mode, topK: Int) throws -> (
            names: [String], best: Int, Trainer
        ) {
            let directory = try TemporaryDirectory()
            let trainer = quietTrainer(maxEpochs: values.count) {
                $0.callbacks = [
                    ModelCheckpoint(directory: directory.path, monitor: "score", mode: mode, saveTopK: topK)
                ]
            }
            try trainer.fit(Scripted(values), train: DataLoader(Points(4), batchSize: 4))
            return (directory.names(), try Checkpoint(directory("best")).state.epoch - 1, trainer)
        }
        let (names, best, trainer) = try run([3, 1, 2, 1, .nan], .min, topK: 2)
        #expect(names == ["best", "epoch=1-step=2", "epoch=3-step=4", "last", "run.json"] && best == 1)
        #expect(
            trainer.bestCheckpoint?.hasSuffix("/best") == true && trainer.lastCheckpoint?.hasSuffix("/last") == true)
        let (maxNames, maxBest, _) = try run([1, 5, 4, 3, 6], .max, topK: 3)
        #expect(
            maxNames == ["best", "epoch=1-step=2", "epoch=2-step=3", "epoch=4-step=5", "last", "run.json"]
                && maxBest == 4)
        let (oneNames, oneBest, _) = try run([1, 5], .min, topK: 1)
        #expect(oneNames == ["best", "last", "run.json"] && oneBest == 0)
    }

    @Test func aMonitorThatIsNeverLoggedIsAnError() throws {
        let directory = try TemporaryDirectory()
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.callbacks = [ModelCheckpoint(directory: directory.path, monitor: "val_los")]
        }
        let loader = DataLoader(Points(4), batchSize: 4)
        #expect(throws: TrainerError.monitorNotLogged("val_los", logged: ["train_loss_epoch", "val_loss"])) {
            try trainer.fit(SmallClassifier(), train: loader, validation: loader)
        }
    }

    @Test func stoppingEndsAfterTheStep() throws {
        let trainer = quietTrainer(maxEpochs: 100) {
            $0.callbacks = [AfterBatch { trainer, _, _, index in if index == 2 { trainer.shouldStop = true } }]
        }
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(64), batchSize: 4))
        #expect(trainer.state.globalStep == 3 && trainer.state.epoch == 0 && trainer.state.batchInEpoch == 3)
    }
}
