// A step that is undone, and one that is only measured, leaves nothing behind: for every layer, in every mode.
import Foundation
import Needletail
import Testing

@Suite struct NoTraceTests {
    private let silent = Console(isTerminal: false) { _ in }

    /// Whoever adds a layer adds it to the cases.
    @Test func everyLayerIsACase() throws {
        let layers = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources/NeedletailNN")
        var names: Set<String> = []
        for folder in ["Layers", "Models"] {
            let folder = layers.appendingPathComponent(folder)
            for file in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil) {
                let text = try String(contentsOf: file, encoding: .utf8)
                for match in text.matches(of: /public final class (\w+): (\w+)/) { names.insert(String(match.1)) }
            }
        }
        #expect(names.count >= 25)
        names.subtract(["KeyValueCache", "RotaryAngles"])
        let cases = Set(LayerCase.all.map(\.name))
        #expect(names.subtracting(cases) == [], "layers without a case")
    }

    /// The third of five steps fails: whatever the policy, it leaves parameters, buffers and optimizer state as they were and
    /// adds nothing to the epoch's mean, while generators go on; and no buffer is ever non-finite.
    @Test(arguments: LayerCase.all) func aSkippedStepIsUndone(_ layerCase: LayerCase) throws {
        for precision in Precision.allCases {
            let hasScale = PrecisionPolicy(precision).needsLossScale
            let policies: [NonFinitePolicy] = hasScale ? [.skip(), .ignore] : [.skip()]
            for (policy, window) in policies.flatMap({ policy in [1, 2].map { (policy, $0) } }) {
                let what: Comment = "\(layerCase.name) \(precision) \(policy) window \(window)"
                let module = LayerModel(layerCase, poisoned: Set(4..<6))
                var before: ModuleBytes?, skipped = 0, means: [Double] = []
                let looking = Looking()
                let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
                    $0.nonFinite = policy
                    $0.accumulateGradBatches = window
                    $0.callbacks = [looking]
                    $0.logEveryNSteps = 1
                    if hasScale { $0.lossScale = .dynamic(initial: 4) }
                }
                looking.atWindowStart = { before = ModuleBytes(module) }
                looking.atWindowEnd = { result, losses in
                    let after = ModuleBytes(module)
                    #expect(
                        module.namedBuffers().allSatisfy { named in
                            named.buffer.value.scalars(as: Double.self).allSatisfy(\.isFinite)
                        }, what)
                    if result.isApplied {
                        means += losses
                    } else {
                        skipped += 1
                        #expect(after.withoutGenerators == before?.withoutGenerators, what)
                        let draws = !after.generators.isEmpty
                        #expect(!draws || after.generators != before?.generators, what)
                        #expect(after.own != before?.own, what)
                    }
                }
                let data = Samples(layerCase, 20, infinite: 8..<12)
                try trainer.fit(module, train: DataLoader(data, batchSize: 2))
                #expect(skipped == (window == 1 ? 2 : 1), what)
                let mean = means.reduce(0, +) / Double(means.count)
                let found = try #require(trainer.metrics["train_loss_epoch"])
                // The mean of at most ten numbers summed in float64, in another order perhaps.
                #expect(abs(found - mean) <= 10 * 0x1p-52 * abs(mean), what)
            }
        }
    }

    /// A run with everything that measures has the bits of one without: parameters, buffers, optimizer, generators, the
    /// model's own state, metrics.
    @Test(arguments: LayerCase.all) func aMeasuredStepLeavesNoTrace(_ layerCase: LayerCase) throws {
        for precision in Precision.allCases {
            let directory = try TemporaryDirectory()
            func fit(_ name: String, measures: Bool) throws {
                let module = LayerModel(layerCase)
                module.showsExample = measures
                let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
                    $0.accumulateGradBatches = 2
                    $0.numSanityValSteps = measures ? 2 : 0
                    $0.callbacks = [ModelCheckpoint(directory: directory(name))]
                    guard measures else { return }
                    $0.callbacks += [
                        ShadowPrecision(every: 1), ModelSummary(console: silent),
                        NumericsReport(every: 2, console: silent), ParameterHistograms(), AutopsyOfEach(),
                        LearningRateFinder(LearningRateRange(steps: 4), appliesSuggestion: false),
                    ]
                }
                let data = Samples(layerCase, 10)
                try trainer.fit(
                    module, train: DataLoader(data, batchSize: 2), validation: DataLoader(data, batchSize: 5))
            }
            try fit("with", measures: true)
            try fit("without", measures: false)
            for file in ["model.safetensors", "optimizer.safetensors"] {
                let with = bytes(directory("with/last/" + file)), without = bytes(directory("without/last/" + file))
                #expect(!with.isEmpty && with == without, "\(layerCase.name) \(precision) \(file)")
            }
            let parts = try ["with", "without"].map { name in
                let state = bytes(directory(name + "/last/state.json"))
                let value = try JSONDecoder().decode(JSONValue.self, from: Data(state))
                guard case .object(var state) = value else { throw CocoaError(.fileReadCorruptFile) }
                state["callbacks"] = nil
                return JSONValue.object(state)
            }
            #expect(parts[0] == parts[1], "\(layerCase.name) \(precision) state.json")
        }
    }

    /// Computing activations again moves buffers and generators once a step, as keeping them does.
    @Test(arguments: LayerCase.all) func recomputationIsNoStep(_ layerCase: LayerCase) throws {
        for precision in Precision.allCases {
            let traces = try [true, false].map { recomputes in
                let module = LayerModel(layerCase)
                module.recomputes = recomputes
                try quietTrainer(maxEpochs: 1, precision: precision)
                    .fit(module, train: DataLoader(Samples(layerCase, 12), batchSize: 4))
                return ModuleBytes(module)
            }
            #expect(traces[0].buffers == traces[1].buffers, "\(layerCase.name) \(precision)")
            #expect(traces[0].generators == traces[1].generators, "\(layerCase.name) \(precision)")
        }
    }

    /// A step that throws is undone in the module, and the checkpoint that is saved then goes on with the bits of a run
    /// without the error: buffers, generators and the model's own state are those of the last complete step.
    @Test(arguments: LayerCase.all) func aStepThatThrowsIsUndone(_ layerCase: LayerCase) throws {
        for (window, failure) in [(1, 4), (2, 4), (2, 5)] {
            let directory = try TemporaryDirectory()
            func fit(_ name: String, failure: Int? = nil, resume: ResumePoint? = nil) throws -> LayerModel {
                let module = LayerModel(layerCase)
                module.stepsToFailure = failure
                var before: ModuleBytes?
                let looking = Looking()
                looking.atWindowStart = { before = ModuleBytes(module) }
                let trainer = quietTrainer(maxEpochs: 2, precision: .mixedBFloat16) {
                    $0.accumulateGradBatches = window
                    $0.callbacks = [
                        OnExceptionCheckpoint(directory: directory.path, name: "exception"),
                        ModelCheckpoint(directory: directory(name)), looking,
                    ]
                }
                do {
                    try trainer.fit(module, train: DataLoader(Samples(layerCase, 14), batchSize: 2), resume: resume)
                } catch is StepFailure {
                    let after = ModuleBytes(module).withoutGenerators
                    #expect(after == before?.withoutGenerators, "\(layerCase.name) \(window)")
                }
                return module
            }
            let whole = ModuleBytes(try fit("whole"))
            _ = try fit("failed", failure: failure)
            #expect(ModuleBytes(try fit("resumed", resume: .path(directory("exception")))) == whole)
            for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
                let (a, b) = (bytes(directory("whole/last/" + file)), bytes(directory("resumed/last/" + file)))
                #expect(!a.isEmpty && a == b, "\(layerCase.name) window \(window) \(file)")
            }
        }
    }

    /// `validate`, `test`, `predict`, the summary, a search and `auto` leave the module as it was, modes included.
    @Test(arguments: LayerCase.all) func whatOnlyLooksChangesNothing(_ layerCase: LayerCase) throws {
        let module = LayerModel(layerCase)
        for (index, part) in module.namedModules().enumerated() where index % 2 == 1 { part.module.evaluate() }
        let loader = DataLoader(Samples(layerCase, 6), batchSize: 3)
        func leavesNoTrace(_ name: String, generatorsGoOn: Bool = false, _ body: () throws -> Void) rethrows {
            let before = ModuleBytes(module)
            try body()
            let after = ModuleBytes(module)
            let what: Comment = "\(layerCase.name) \(name)"
            #expect(after.parameters == before.parameters && after.buffers == before.buffers, what)
            #expect(after.modes == before.modes, what)
            if !generatorsGoOn { #expect(after.generators == before.generators && after.own == before.own, what) }
        }
        let trainer = quietTrainer(maxEpochs: 1)
        // An evaluation is asked for, not measured: its random numbers are used up, and a layer may count its calls.
        if layerCase.name != "Jitter", layerCase.name != "recomputed" {
            try leavesNoTrace("validate", generatorsGoOn: true) { _ = try trainer.validate(module, loader) }
            try leavesNoTrace("predict", generatorsGoOn: true) { _ = try trainer.predict(module, loader) }
        }
        var ticks = 0.0
        let automatic = Trainer(maxEpochs: 1, precision: .auto) {
            $0.autoPrecision = (
                {
                    ticks += 1e-3
                    return ticks
                }, silent
            )
        }
        try leavesNoTrace("auto") { _ = try automatic.choosePrecision(module, loader, nil) }
        let batch = try Samples(layerCase, 3).batch([0, 1, 2], dtype: .float32)
        try leavesNoTrace("autopsy") { _ = try trainer.autopsy(module, batch) }
        try leavesNoTrace("search") {
            _ = try trainer.findLearningRate(module, loader, LearningRateRange(steps: 8))
        }
    }
}

/// Keeps what a step began with and what its batches logged.
private final class Looking: Callback {
    var atWindowStart: () -> Void = {}
    var atWindowEnd: (StepResult, [Double]) -> Void = { _, _ in }
    private var isOpen = false
    private var losses: [Double] = []

    override func onTrainBatchStart(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        if !isOpen { atWindowStart() }
        isOpen = true
    }

    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) {
        losses.append(result.loss)
        guard result.closesWindow else { return }
        atWindowEnd(result, losses)
        isOpen = false
        losses = []
    }
}

/// Looks at each batch with checks on, between steps.
private final class AutopsyOfEach: Callback {
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        let before = ModuleBytes(module)
        _ = try trainer.autopsy(module, batch, index: index)
        #expect(ModuleBytes(module) == before)
    }
}
