import Needletail
import Testing

/// A classifier whose step is given as a closure.
private final class Model: SmallClassifier {
    var step: (Model, Batch) throws -> Tensor = { try crossEntropy($0.logits($1), $1.targets) }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let loss = try step(self, batch)
        log("train_loss", loss)
        return loss
    }
}

/// The autopsy with which training of `model` on finite points ends.
private func autopsy(
    _ model: TrainingModule, _ precision: Precision = .mixedFloat16, points: Points = Points(64),
    _ configure: (inout TrainerConfiguration) -> Void = { $0.nonFinite = .throw }
) throws -> Autopsy {
    let loader = DataLoader(points, batchSize: 16)
    let error = #expect(throws: TrainingDiverged.self) {
        try quietTrainer(maxEpochs: 40, precision: precision, configure).fit(model, train: loader)
    }
    return try #require(error).autopsy
}

@Suite struct AutopsyTests {
    /// Logits times 10⁶ overflow float16 for ever: ten skips, then the multiplication is named, and what it read.
    @Test func hugeLogitsAreNamed() throws {
        let model = Model()
        model.step = { try crossEntropy($0.logits($1) * 1e6, $1.targets) }
        let before = model.bits
        let error = try #require(
            #expect(throws: TrainingDiverged.self) {
                try quietTrainer(maxEpochs: 4, precision: .mixedFloat16)
                    .fit(model, train: DataLoader(Points(64), batchSize: 16))
            })
        #expect(model.bits == before && error.consecutiveSkips == 10)
        let (autopsy, finding) = (error.autopsy, try #require(error.autopsy.finding))
        #expect(autopsy.epoch == 2 && autopsy.batch == 1 && autopsy.scale == 128)
        #expect(finding.origin == .forward && finding.operation == "multiply")
        #expect(finding.layer == nil && finding.previousLayer == "head")
        #expect(finding.type == .float16 && finding.limit == 65504 && finding.shape == [16, 3])
        #expect(finding.value.isInfinite && finding.largest <= 65504)
        #expect(finding.largestInput > 0.065504 && finding.largestInput < 100)
        #expect(autopsy.parameter == "hidden.weight" && !autopsy.loss.isFinite)
        #expect(autopsy.advice.contains { $0.contains("cast(to: .float32) before multiply") })
        #expect(autopsy.advice.contains { $0.contains("bf16-mixed") })
        for part in [
            "training diverged after 0 applied steps", "10 steps in a row", "where: epoch 2, batch 1",
            "after layer 'head', operation multiply, forward", "the limit of float16 is 65504", "multiplied by 128",
            "first non-finite gradient: hidden.weight",
        ] { #expect("\(error)".contains(part), "\(error)") }
    }

    /// In every mode an infinite input is traced through casts and views to the batch; the weights stay as they were.
    @Test(arguments: Precision.allCases, [true, false])
    func infiniteInputsAreNamed(_ precision: Precision, _ copied: Bool) throws {
        let model = Model()
        model.step = { model, batch in
            let x = copied ? batch.inputs.transposed().contiguous().transposed() : batch.inputs
            return try crossEntropy(model.head(model.drop(model.hidden(x))), batch.targets)
        }
        try PrecisionPolicy(precision).apply(to: model)
        let before = model.bits
        let autopsy = try autopsy(model, precision, points: Points(64, infiniteRows: 3..<4))
        let finding = try #require(autopsy.finding)
        #expect(model.bits == before && autopsy.batch == 0)
        #expect(finding.origin == .input && finding.operation == "linear" && finding.layer == "hidden")
        #expect(finding.position == [3, 0] && finding.value == .infinity)
        #expect(finding.type == PrecisionPolicy(precision).compute)
        #expect((autopsy.scale != nil) == [.mixedFloat16, .float16].contains(precision))
        #expect(autopsy.advice[0].contains("look at the data"))
    }

    /// log 0 = -∞, and the loss is infinite or NaN: the logarithm is named, not what came of it.
    @Test(arguments: Precision.allCases) func logarithmOfZeroIsNamed(_ precision: Precision) throws {
        let model = Model()
        model.step = { model, batch in (model.logits(batch).cast(to: .float32).relu() * 0).log().mean() * 0 }
        let finding = try #require(try autopsy(model, precision).finding)
        #expect(finding.origin == .forward && finding.operation == "log" && finding.value == -.infinity)
        #expect(finding.type == .float32 && finding.previousLayer == "head")
        #expect(try autopsy(model, precision).advice[0].contains("argument of log"))
    }

    /// The scaled gradient of the loss, about 10⁸ / 16, does not fit float16.
    @Test func overflowOfGradientsIsNamed() throws {
        let model = Model()
        let autopsy = try autopsy(model) {
            $0.nonFinite = .throw
            $0.lossScale = .fixed(1e8)
        }
        let finding = try #require(autopsy.finding)
        #expect(finding.origin == .backward && finding.operation == "crossEntropy" && finding.type == .float16)
        #expect(autopsy.loss.isFinite && autopsy.scale == 1e8)
        #expect(autopsy.advice[0].contains("initial loss scale"))
    }

    /// A weight that float32 holds and float16 does not.
    @Test func parametersThatDoNotFitAreNamed() throws {
        let model = Model()
        try model.head.weight.assign(.full(model.head.weight.shape, -1e9))
        let autopsy = try autopsy(model)
        let finding = try #require(autopsy.finding)
        #expect(finding.origin == .parameter("head.weight") && finding.layer == "head")
        #expect(finding.largest == 1e9 && finding.value == -.infinity && finding.type == .float16)
        #expect(autopsy.advice[0].contains("learning rate"))
    }

    /// Layers are named within `Sequential`, fused or not, in arrays, and where `forward` is called directly.
    @Test func layersAreNamed() throws {
        final class Deep: TrainingModule {
            let blocks: [Sequential]
            let head: Linear
            var direct = false
            override init() {
                var generator = SeededGenerator(seed: 2)
                blocks = (0..<2).map { _ in Sequential(Linear(6, 6, using: &generator), ReLU()) }
                head = Linear(6, 3, using: &generator)
            }
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                let x = blocks.reduce(batch.inputs) { $1($0) }
                return try crossEntropy(direct ? head.forward(x) : head(x), batch.targets)
            }
            override func configureOptimizers() -> [Optimizer] { [SGD(parameters(), learningRate: 0.1)] }
        }
        for (layer, direct) in [("blocks.0.0", false), ("blocks.1.0", false), ("head", false), ("head", true)] {
            let model = Deep()
            model.direct = direct
            let weight = try #require(model.namedParameters().first { $0.name == layer + ".weight" }).parameter
            try weight.assign(.full(weight.shape, 60000))
            let bias = try #require(model.namedParameters().first { $0.name == layer + ".bias" }).parameter
            try bias.assign(.full(bias.shape, 60000))
            let finding = try #require(try autopsy(model).finding)
            #expect(finding.origin == .forward && finding.operation == "linear" && finding.layer == layer)
        }
    }

    /// A mask of -∞ is what it should be: the overflow after it is named.
    @Test func masksAreNotBlamed() throws {
        let model = Model()
        model.step = { model, batch in
            let mask = Tensor([true, false, false])
            let masked = Tensor.where(mask, Tensor(-.infinity, dtype: batch.inputs.dtype), model.logits(batch))
            let weights = masked.softmax()
            let picked = weights * 1e6 * batch.targets.oneHot(classes: 3, dtype: weights.dtype)
            return picked.cast(to: .float32).mean()
        }
        let finding = try #require(try autopsy(model).finding)
        #expect(finding.operation == "multiply" && finding.value == .infinity)
    }

    /// Whether the step overflows depends on the dropout mask: only the same mask finds it again.
    @Test func theReplayHasTheSameMasks() throws {
        for seed in 0..<8 {
            let model = Model(dropout: 0.5)
            model.drop.generator = SeededGenerator(seed: UInt64(seed))
            model.step = { model, batch in
                let kept = model.drop(Tensor([1] as [Float]).cast(to: .float16)) * 60000
                return (model.head.bias!.value * kept).cast(to: .float32).sum()
            }
            let autopsy = try autopsy(model) {
                $0.nonFinite = .throw
                $0.lossScale = .fixed(1)
            }
            #expect(autopsy.finding?.operation == "multiply", "seed \(seed)")
        }
    }

    /// The first batch of a window of three is to blame, the window fails at its end.
    @Test func theBatchOfAWindowIsNamed() throws {
        let autopsy = try autopsy(Model(), points: Points(112, infiniteRows: 48..<49)) {
            $0.accumulateGradBatches = 3
            $0.nonFinite = .throw
        }
        #expect(autopsy.batch == 3 && autopsy.finding?.origin == .input)
    }

    @Test func theFailingOptimizerIsReplayed() throws {
        final class Pair: SmallClassifier {
            override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
                if optimizer == 0 { return try crossEntropy(logits(batch), batch.targets) }
                return try crossEntropy(head(hidden(batch.inputs).exp().exp()), batch.targets)
            }
        }
        let model = Pair()
        model.makeOptimizers = {
            [SGD($0.hidden.parameters(), learningRate: 0.01), SGD($0.head.parameters(), learningRate: 0.01)]
        }
        try model.hidden.bias?.assign(.full([8], 5))
        let autopsy = try autopsy(model)
        #expect(autopsy.finding?.operation == "exp" && autopsy.finding?.previousLayer == "hidden")
        #expect(autopsy.parameter == "head.weight")
        #expect(model.hidden.weight.requiresGradient && model.head.weight.requiresGradient)
    }

    /// Looking at every step, or asking in between, does not change a bit of what a run leaves behind: 16-mixed with
    /// dropout and a first scale that overflows.
    @Test func looksChangeNoBit() throws {
        let folder = try TemporaryDirectory()
        func run(_ name: String, _ configure: (inout TrainerConfiguration) -> Void) throws {
            let trainer = quietTrainer(maxEpochs: 2, precision: .mixedFloat16) {
                $0.lossScale = .dynamic(initial: 0x1p22, interval: 3)
                $0.callbacks = [ModelCheckpoint(directory: folder(name))]
                configure(&$0)
            }
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(100), batchSize: 16, shuffle: true))
            #expect(trainer.state.skippedSteps > 0 && trainer.state.globalStep > 5)
        }
        try run("plain") { _ in }
        try run("checked") { $0.detectAnomaly = true }
        var gradients = 0
        let ask = AfterBatch { trainer, module, _, _ in
            func now() -> [[UInt8]?] { module.parameters().map { $0.gradient?.bytes } }
            let before = now()
            let metrics = trainer.metrics
            let batch = try Points(16, infiniteRows: 2..<3).batch(Array(0..<16), dtype: .float32)
            #expect(try trainer.autopsy(module, batch)?.finding?.origin == .input)
            #expect(now() == before && trainer.metrics == metrics)
            gradients += before.count { $0 != nil }
        }
        try run("asked") { $0.callbacks.insert(ask, at: 0) }
        #expect(gradients > 0)
        let files = folder.names(in: "plain/last")
        #expect(files.contains("model.safetensors") && files.contains("state.json"))
        for other in ["checked", "asked"] {
            #expect(folder.names(in: "\(other)/last") == files)
            for file in files where file != "state.json" {
                #expect(
                    bytes(folder("plain/last/\(file)")) == bytes(folder("\(other)/last/\(file)")), "\(other) \(file)")
            }
            #expect(text(folder("plain/last/state.json")) == text(folder("\(other)/last/state.json")), "\(other)")
        }
    }

    /// With `detectAnomaly` the first infinite loss ends training at its step, under every policy.
    @Test(arguments: [NonFinitePolicy.skip(), .ignore, .throw], Precision.allCases)
    func detectedAnomaliesEndTraining(_ policy: NonFinitePolicy, _ precision: Precision) throws {
        let model = Model()
        let autopsy = try autopsy(model, precision, points: Points(64, infiniteRows: 35..<36)) {
            $0.nonFinite = policy
            $0.detectAnomaly = true
        }
        #expect(autopsy.batch == 2 && autopsy.epoch == 0 && autopsy.parameter == "hidden.weight")
        #expect(autopsy.finding?.origin == .input && autopsy.finding?.position == [3, 0])
        #expect(model.bits.allSatisfy { !$0.isEmpty } && model.head.weight.master.allFinite())
    }

    /// Outside of fit too; a finite batch gives nil, and the gradients stay.
    @Test func onDemand() throws {
        let model = SmallClassifier()
        let trainer = quietTrainer(maxEpochs: 1, precision: .mixedFloat16)
        let points = Points(16)
        let batch = try points.batch(Array(0..<16), dtype: .float32)
        #expect(try trainer.autopsy(model, batch) == nil)
        #expect(model.hidden.weight.gradient == nil && model.hidden.weight.computeType == .float16)
        try model.head.bias?.assign(.full([3], .nan))
        let autopsy = try #require(try trainer.autopsy(model, batch, index: 7))
        #expect(autopsy.finding?.origin == .parameter("head.bias") && autopsy.batch == 7 && autopsy.scale == 65536)
        #expect(throws: TrainerError.self) { try trainer.autopsy(model, batch, optimizer: 1) }
    }

    /// A step that does not repeat itself is said to be one.
    @Test func whatIsNotFoundIsSaid() throws {
        let model = Model()
        var calls = 0
        model.step = { model, batch in
            calls += 1
            return try crossEntropy(model.logits(batch), batch.targets) * (calls == 1 ? Double.infinity : 1)
        }
        let autopsy = try autopsy(model)
        #expect(autopsy.finding == nil && autopsy.advice[0].contains("detectAnomaly"))
    }
}
