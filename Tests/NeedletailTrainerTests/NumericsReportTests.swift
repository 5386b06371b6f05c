import Foundation
import Needletail
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// One linear layer with a ReLU; the loss is the sum of its results times 2^-30.
private final class Known: TrainingModule {
    let layer: Linear

    override init() {
        var generator = SeededGenerator(seed: 0)
        layer = Linear(2, 3, activation: .relu, using: &generator)
        super.init()
        try! layer.weight.assign(Tensor([1, 2, -1, -2, 0, 0x1p-26] as [Float], shape: [3, 2]))
        try! layer.bias!.assign(Tensor([0, 0, 0] as [Float]))
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        (layer(batch.inputs) * 0x1p-30).cast(to: .float32).sum()
    }

    override func configureOptimizers() -> [Optimizer] { [SGD(parameters(), learningRate: 0)] }
}

/// The rows [1, 4] and [0, 1].
private struct TwoRows: Dataset {
    let count = 2
    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        let rows: [[Float]] = [[1, 4], [0, 1]]
        return Batch(
            inputs: Tensor(indices.flatMap { rows[$0] }, shape: [indices.count, 2]).cast(to: dtype),
            targets: Tensor.zeros([indices.count], dtype: .int64))
    }
}

private var silent: Console { Console(isTerminal: false) { _ in } }

/// Elements of a page that is well-formed; nil where it is not.
private func elements(_ page: String) -> [String: Int]? {
    final class Counter: NSObject, XMLParserDelegate {
        var counts: [String: Int] = [:]
        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String]
        ) { counts[name, default: 0] += 1 }
    }
    let counter = Counter()
    let parser = XMLParser(data: Data(page.utf8))
    parser.delegate = counter
    return parser.parse() ? counter.counts : nil
}

@Suite struct NumericsReportTests {
    /// Occurring exponents and their counts.
    private func exponents(_ histogram: ExponentHistogram) -> [Int: Int] {
        var found: [Int: Int] = [:]
        for exponent in histogram.occupied ?? 0...0 where histogram[exponent] > 0 {
            found[exponent] = histogram[exponent]
        }
        return found
    }

    /// y = relu([9, -9, 2^-24], [2, -2, 2^-26]); dZ = 2^-30 where the result is positive; dW = dZᵀ X, db = Σ dZ.
    @Test(arguments: [1, 2]) func aModelWithKnownValues(batchSize: Int) throws {
        let report = NumericsReport(console: silent)
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.accumulateGradBatches = 2 / batchSize
            $0.lossScale = .fixed(4096)
            $0.callbacks = [report]
        }
        try trainer.fit(Known(), train: DataLoader(TwoRows(), batchSize: batchSize))
        #expect(report.recordedSteps == 1 && report.overflowedSteps == 0 && report.layers.count == 1)
        let layer = report.layers[0]
        #expect(layer.name == "layer" && layer.type == "Linear" && layer.parameterCount == 9)
        #expect(layer.seen == LayerNumerics.Values.allCases)
        #expect(exponents(layer[.weights]) == [0: 2, 1: 2, -26: 1] && layer[.weights].zeros == 4)
        #expect(exponents(layer[.activations]) == [3: 1, -24: 1, 1: 1, -26: 1] && layer[.activations].zeros == 2)
        // In two windows of one batch the window's loss is the mean of both: half the gradient of their sum.
        let base = batchSize == 2 ? -30 : -31
        #expect(exponents(layer[.activationGradients]) == [base: 4] && layer[.activationGradients].zeros == 2)
        // dW = [[1, 5], [0, 0], [1, 5]] and db = [2, 0, 2], times 2^base.
        #expect(exponents(layer[.weightGradients]) == [base: 2, base + 2: 2, base + 1: 2])
        #expect(layer[.weightGradients].zeros == 3)
        #expect(
            "\(layer.recommendation)"
                == "fp16 no (20.0% of weights become zero); bf16 fine")
    }

    @Test func theTableIsPrinted() throws {
        var printed = ""
        let console = Console(isTerminal: false) { printed += $0 }
        let trainer = quietTrainer(maxEpochs: 1) { $0.callbacks = [NumericsReport(console: console)] }
        try trainer.fit(Known(), train: DataLoader(TwoRows(), batchSize: 2))
        let rule = String(repeating: "-", count: 129)
        #expect(
            printed == """
                Numerics of 1 step in 32-true; shares of the values that are not zero
                \(rule)
                Layer | Values               | Smallest | Largest | fp16 zero | subnormal | infinite | bf16 zero | subnormal | infinite | inf/nan
                \(rule)
                layer | weights              |  1.5e-08 | 2.0e+00 |     20.0% |         0 |        0 |         0 |         0 |        0 |       0
                      | activations          |  1.5e-08 | 9.0e+00 |     25.0% |     25.0% |        0 |         0 |         0 |        0 |       0
                      | activation gradients |  9.3e-10 | 9.3e-10 |    100.0% |         0 |        0 |         0 |         0 |        0 |       0
                      | weight gradients     |  9.3e-10 | 4.7e-09 |    100.0% |         0 |        0 |         0 |         0 |        0 |       0
                \(rule)
                layer  fp16 no (20.0% of weights become zero); bf16 fine

                """)
    }

    /// Training writes the same bytes with the report and without.
    @Test(arguments: Precision.allCases) func trainingStaysTheSame(precision: Precision) throws {
        let directory = try TemporaryDirectory()
        func fit(_ name: String, _ callbacks: [Callback]) throws {
            let trainer = quietTrainer(maxEpochs: 2, precision: precision) {
                $0.accumulateGradBatches = 2
                $0.logEveryNSteps = 1
                $0.callbacks = callbacks + [ModelCheckpoint(directory: directory(name))]
            }
            let module = SmallClassifier()
            try trainer.fit(
                module, train: DataLoader(Points(22, infiniteRows: 5..<6), batchSize: 4, shuffle: true, seed: 3),
                validation: DataLoader(Points(7), batchSize: 4))
            for (name, part) in module.namedModules() {
                #expect(part.outputObserver == nil, "\(name) is still observed")
            }
        }
        let report = NumericsReport(every: 2, console: silent)
        try fit("with", [report])
        try fit("without", [])
        for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
            #expect(!bytes(directory("with/last/") + file).isEmpty)
            #expect(bytes(directory("with/last/") + file) == bytes(directory("without/last/") + file), "\(file)")
        }
        #expect(report.recordedSteps == 3 && report.layers.map(\.name) == ["hidden", "drop", "head"])
        for layer in report.layers { #expect(layer[.activations].total > 0 && layer[.activationGradients].total > 0) }
    }

    /// Fused layers report under the linear layer's name; a container reports nothing of its own.
    @Test func layersOfASequence() throws {
        final class Sequence: TrainingModule {
            let net: Sequential
            let scale = Parameter(.ones([1]))
            override init() {
                var generator = SeededGenerator(seed: 4)
                net = Sequential([
                    Flatten(), Linear(6, 8, using: &generator), ReLU(), Linear(8, 3, using: &generator), GELU(), ReLU(),
                ])
            }
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                try crossEntropy(net(batch.inputs) * scale.value, batch.targets)
            }
            override func configureOptimizers() -> [Optimizer] { [SGD(parameters(), learningRate: 0.1)] }
        }
        let report = NumericsReport(console: silent)
        let trainer = quietTrainer(maxSteps: 1) { $0.callbacks = [report] }
        try trainer.fit(Sequence(), train: DataLoader(Points(9), batchSize: 9))
        let seen = report.layers.map { "\($0.name): " + $0.seen.map(\.rawValue).joined(separator: ", ") }
        let all = LayerNumerics.Values.allCases.map(\.rawValue).joined(separator: ", ")
        #expect(
            seen == [
                ": weights, weight gradients", "net.0: activations", "net.1: \(all)", "net.3: \(all)",
                "net.5: activations, activation gradients",
            ])
    }

    /// The first step overflows in float16: its gradients are left out, and said to be.
    @Test func overflowedGradientsAreLeftOut() throws {
        let report = NumericsReport(every: 1, console: silent)
        let trainer = quietTrainer(maxSteps: 2, precision: .mixedFloat16) { $0.callbacks = [report] }
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(12, infiniteRows: 0..<1), batchSize: 4))
        #expect(report.recordedSteps == 3 && report.overflowedSteps == 1)
        #expect(report.layers[0][.weightGradients].nonFinite == 0)
        #expect(report.text(trainer).hasPrefix("Numerics of 3 steps in 16-mixed, gradients of 1 left out: not finite;"))
    }

    @Test func thePageIsWellFormedAndSelfContained() throws {
        let directory = try TemporaryDirectory()
        let report = NumericsReport(every: 1, to: directory("page.html"), console: silent)
        let trainer = quietTrainer(maxEpochs: 1) { $0.callbacks = [report] }
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(12), batchSize: 4))
        let page = text(directory("page.html"))
        let found = try #require(elements(page))
        // hidden and head with four kinds of values, the dropout with its activations and their gradients.
        #expect(found["section"] == 3 && found["svg"] == 10 && found["figure"] == 10 && found["h1"] == 1)
        #expect(found["script"] == nil && found["link"] == nil && found["img"] == nil)
        #expect(!page.contains("http") && !page.contains("url(") && !page.contains("@import"))
        #expect(page.contains("<h2>hidden <small>Linear</small></h2>"))
        #expect(directory.names() == ["page.html"])
        // Every count is drawn: a bar for each occupied exponent of each histogram.
        let bars = report.layers.flatMap { layer in layer.seen.map { exponents(layer[$0]).count } }.reduce(0, +)
        #expect(page.components(separatedBy: "class=\"bar ").count - 1 == bars)
        let again = NumericsReport(every: 1, console: silent)
        let second = quietTrainer(maxEpochs: 1) { $0.callbacks = [again] }
        try second.fit(SmallClassifier(), train: DataLoader(Points(12), batchSize: 4))
        #expect(again.page(second) == page)
    }

    /// Names come from the model's author and may hold anything.
    @Test func namesAreEscaped() throws {
        var layer = LayerNumerics(name: "a<b>&\"c\"", type: "Linear<Int>", parameterCount: 1)
        layer[.weights] = exponentHistogram(Tensor([1e-300, 1, .infinity, 1e300]))
        let page = NumericsPage.text(of: [layer], heading: "of 1 step")
        #expect(elements(page)?["section"] == 1)
        #expect(page.contains("a&lt;b&gt;&amp;&quot;c&quot;") && !page.contains("a<b>"))
        #expect(elements(NumericsPage.text(of: [], heading: "of 0 steps"))?["section"] == nil)
    }

    @Test func aPathThatCannotBeWrittenIsFoundBeforeTraining() throws {
        let directory = try TemporaryDirectory()
        try Data().write(to: URL(fileURLWithPath: directory("file")))
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.callbacks = [NumericsReport(to: directory("file/page.html"), console: silent)]
        }
        #expect(throws: LogFileError.self) {
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(12), batchSize: 4))
        }
        #expect(trainer.state.globalStep == 0)
    }

    /// What was recorded before an error is reported.
    @Test func divergedTrainingIsReported() throws {
        let directory = try TemporaryDirectory()
        var printed = ""
        let console = Console(isTerminal: false) { printed += $0 }
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.nonFinite = .throw
            $0.callbacks = [NumericsReport(every: 1, to: directory("page.html"), console: console)]
        }
        #expect(throws: TrainingDiverged.self) {
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(12, infiniteRows: 5..<6), batchSize: 4))
        }
        #expect(printed.hasPrefix("Numerics of 1 step in 32-true, gradients of 1 left out"))
        #expect(elements(text(directory("page.html")))?["section"] == 3)
    }
}
