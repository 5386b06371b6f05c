import Needletail
import Testing

/// Collects hook names: `c.` of a callback, `m.` of the module, `d.` of the data module.
private final class Trace {
    var names: [String] = []
    func note(_ name: String) { names.append(name) }
}

/// How a step ended, in a word.
private func word(_ result: StepResult) -> String {
    result.isApplied ? "applied" : result.skipReason != nil ? "skipped" : "accumulated"
}

/// Writes every hook that a callback is called with.
private final class Witness: Callback {
    let trace: Trace
    init(_ trace: Trace) { self.trace = trace }
    private func note(_ name: String) { trace.note("c." + name) }
    override func setup(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) { note("setup(\(stage))") }
    override func teardown(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) { note("teardown(\(stage))") }
    override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) { note("onFitStart") }
    override func onFitEnd(_ trainer: Trainer, _ module: TrainingModule) { note("onFitEnd") }
    override func onSanityCheckStart(_ trainer: Trainer, _ module: TrainingModule) { note("onSanityCheckStart") }
    override func onSanityCheckEnd(_ trainer: Trainer, _ module: TrainingModule) { note("onSanityCheckEnd") }
    override func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) { note("onTrainStart") }
    override func onTrainEnd(_ trainer: Trainer, _ module: TrainingModule) { note("onTrainEnd") }
    override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) { note("onTrainEpochStart") }
    override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) { note("onTrainEpochEnd") }
    override func onValidationStart(_ trainer: Trainer, _ module: TrainingModule) { note("onValidationStart") }
    override func onValidationEpochStart(_ trainer: Trainer, _ module: TrainingModule) {
        note("onValidationEpochStart")
    }
    override func onValidationEpochEnd(_ trainer: Trainer, _ module: TrainingModule) { note("onValidationEpochEnd") }
    override func onValidationEnd(_ trainer: Trainer, _ module: TrainingModule) { note("onValidationEnd") }
    override func onTestStart(_ trainer: Trainer, _ module: TrainingModule) { note("onTestStart") }
    override func onTestEpochStart(_ trainer: Trainer, _ module: TrainingModule) { note("onTestEpochStart") }
    override func onTestEpochEnd(_ trainer: Trainer, _ module: TrainingModule) { note("onTestEpochEnd") }
    override func onTestEnd(_ trainer: Trainer, _ module: TrainingModule) { note("onTestEnd") }
    override func onPredictStart(_ trainer: Trainer, _ module: TrainingModule) { note("onPredictStart") }
    override func onPredictEpochStart(_ trainer: Trainer, _ module: TrainingModule) { note("onPredictEpochStart") }
    override func onPredictEpochEnd(_ trainer: Trainer, _ module: TrainingModule) { note("onPredictEpochEnd") }
    override func onPredictEnd(_ trainer: Trainer, _ module: TrainingModule) { note("onPredictEnd") }
    override func onValidationBatchStart(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        note("onValidationBatchStart")
    }
    override func onValidationBatchEnd(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        note("onValidationBatchEnd")
    }
    override func onTestBatchStart(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        note("onTestBatchStart")
    }
    override func onTestBatchEnd(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        note("onTestBatchEnd")
    }
    override func onPredictBatchStart(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        note("onPredictBatchStart")
    }
    override func onPredictBatchEnd(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        note("onPredictBatchEnd")
    }
    override func onTrainBatchStart(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        note("onTrainBatchStart")
    }
    override func onBeforeZeroGrad(_ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer) {
        note("onBeforeZeroGrad")
    }
    override func onBeforeBackward(_ trainer: Trainer, _ module: TrainingModule, _ loss: Tensor) {
        note("onBeforeBackward")
    }
    override func onAfterBackward(_ trainer: Trainer, _ module: TrainingModule) { note("onAfterBackward") }
    override func onBeforeOptimizerStep(
        _ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer, _ gradients: UnscaledGradients
    ) { note("onBeforeOptimizerStep") }
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) { note("onTrainBatchEnd(\(word(result)))") }
    override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) { note("onException") }
    override func saveState() -> JSONValue? {
        note("saveState")
        return 1
    }
    override func loadState(_ state: JSONValue) { note("loadState") }
}

/// Writes every hook that a module is called with.
private final class WitnessModule: SmallClassifier {
    let trace: Trace
    init(_ trace: Trace) {
        self.trace = trace
        super.init()
    }
    private func note(_ name: String) { trace.note("m." + name) }
    override func prepareData() { note("prepareData") }
    override func setup(_ stage: Stage) { note("setup(\(stage))") }
    override func teardown(_ stage: Stage) { note("teardown(\(stage))") }
    override func configureCallbacks() -> [Callback] {
        note("configureCallbacks")
        return []
    }
    override func configureOptimizers() -> [Optimizer] {
        note("configureOptimizers")
        return [SGD(parameters(), learningRate: 0.1)]
    }
    override func configureSchedules(for optimizers: [Optimizer]) -> [Scheduler] {
        note("configureSchedules")
        return []
    }
    override func onAfterBatchTransfer(_ batch: Batch, _ index: Int, _ stage: Stage) -> Batch {
        note("onAfterBatchTransfer")
        return batch
    }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        note("trainingStep")
        return try super.trainingStep(batch, index)
    }
    override func validationStep(_ batch: Batch, _ index: Int) { note("validationStep") }
    override func testStep(_ batch: Batch, _ index: Int) { note("testStep") }
    override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        note("predictStep")
        return try super.predictStep(batch, index)
    }
    override func onFitStart() { note("onFitStart") }
    override func onFitEnd() { note("onFitEnd") }
    override func onSanityCheckStart() { note("onSanityCheckStart") }
    override func onSanityCheckEnd() { note("onSanityCheckEnd") }
    override func onTrainStart() { note("onTrainStart") }
    override func onTrainEnd() { note("onTrainEnd") }
    override func onTrainEpochStart() { note("onTrainEpochStart") }
    override func onTrainEpochEnd() { note("onTrainEpochEnd") }
    override func onValidationStart() { note("onValidationStart") }
    override func onValidationEpochStart() { note("onValidationEpochStart") }
    override func onValidationEpochEnd() { note("onValidationEpochEnd") }
    override func onValidationEnd() { note("onValidationEnd") }
    override func onTestStart() { note("onTestStart") }
    override func onTestEpochStart() { note("onTestEpochStart") }
    override func onTestEpochEnd() { note("onTestEpochEnd") }
    override func onTestEnd() { note("onTestEnd") }
    override func onPredictStart() { note("onPredictStart") }
    override func onPredictEpochStart() { note("onPredictEpochStart") }
    override func onPredictEpochEnd() { note("onPredictEpochEnd") }
    override func onPredictEnd() { note("onPredictEnd") }
    override func onTrainBatchStart(_ batch: Batch, _ index: Int) { note("onTrainBatchStart") }
    override func onValidationBatchStart(_ batch: Batch, _ index: Int) { note("onValidationBatchStart") }
    override func onValidationBatchEnd(_ batch: Batch, _ index: Int) { note("onValidationBatchEnd") }
    override func onTestBatchStart(_ batch: Batch, _ index: Int) { note("onTestBatchStart") }
    override func onTestBatchEnd(_ batch: Batch, _ index: Int) { note("onTestBatchEnd") }
    override func onPredictBatchStart(_ batch: Batch, _ index: Int) { note("onPredictBatchStart") }
    override func onPredictBatchEnd(_ batch: Batch, _ index: Int) { note("onPredictBatchEnd") }
    override func onBeforeZeroGrad(_ optimizer: Optimizer) { note("onBeforeZeroGrad") }
    override func onBeforeBackward(_ loss: Tensor) { note("onBeforeBackward") }
    override func onAfterBackward() { note("onAfterBackward") }
    override func onBeforeOptimizerStep(_ optimizer: Optimizer, _ gradients: UnscaledGradients) {
        note("onBeforeOptimizerStep")
    }
    override func onTrainBatchEnd(_ result: StepResult, _ batch: Batch, _ index: Int) {
        note("onTrainBatchEnd(\(word(result)))")
    }
    override func onException(_ error: any Error) { note("onException") }
    override func onSaveCheckpoint(_ state: inout [String: JSONValue]) { note("onSaveCheckpoint") }
    override func onLoadCheckpoint(_ state: [String: JSONValue]) { note("onLoadCheckpoint") }
}

/// Writes every hook that a data module is called with. Rows 12 to 15 of the training data are infinite.
private final class WitnessData: DataModule {
    let trace: Trace, rows: Int
    init(_ trace: Trace, rows: Int) { (self.trace, self.rows) = (trace, rows) }
    private func note(_ name: String) { trace.note("d." + name) }
    private func loader(_ name: String, _ rows: Int = 4) -> DataLoader {
        note(name)
        return DataLoader(Points(rows, infiniteRows: 12..<16), batchSize: 4)
    }
    override func prepareData() { note("prepareData") }
    override func setup(_ stage: Stage) { note("setup(\(stage))") }
    override func teardown(_ stage: Stage) { note("teardown(\(stage))") }
    override func trainLoader() -> DataLoader { loader("trainLoader", rows) }
    override func validationLoaders() -> NamedLoaders? { NamedLoaders(loader("validationLoaders")) }
    override func testLoaders() -> NamedLoaders { NamedLoaders(loader("testLoaders")) }
    override func predictLoaders() -> NamedLoaders { NamedLoaders(loader("predictLoaders")) }
    override func onAfterBatchTransfer(_ batch: Batch, _ index: Int, _ stage: Stage) -> Batch {
        note("onAfterBatchTransfer")
        return batch
    }
    override func saveState() -> JSONValue? {
        note("saveState")
        return 1
    }
    override func loadState(_ state: JSONValue) { note("loadState") }
}

@Suite struct WholeRunOrderTests {
    /// A name without a prefix stands for the callback's hook and then the module's of that name.
    private func expanded(_ names: [String]) -> [String] {
        names.flatMap { $0.dropFirst().first == "." ? [$0] : ["c." + $0, "m." + $0] }
    }

    /// Everything that can happen in an epoch, in one list: the sanity check, accumulation, a validation between two
    /// batches and one at the end, an applied and a skipped step, the checkpoint.
    @Test func orderOfAWholeRun() throws {
        let directory = try TemporaryDirectory()
        let trace = Trace()
        try quietTrainer(maxEpochs: 1) {
            $0.accumulateGradBatches = 2
            $0.valCheckInterval = 2
            $0.callbacks = [Witness(trace), ModelCheckpoint(directory: directory.path)]
        }.fit(WitnessModule(trace), WitnessData(trace, rows: 16))
        let expected = [
            // Before the first epoch.
            "m.configureCallbacks", "d.prepareData", "m.prepareData", "d.setup(fit)", "setup(fit)", "d.trainLoader",
            "d.validationLoaders", "m.configureOptimizers", "m.configureSchedules", "onFitStart", "onSanityCheckStart",
            "onValidationStart", "onValidationEpochStart", "d.onAfterBatchTransfer", "m.onAfterBatchTransfer",
            "onValidationBatchStart", "m.validationStep", "onValidationBatchEnd", "onValidationEpochEnd",
            "onValidationEnd", "onSanityCheckEnd", "onTrainStart", "onTrainEpochStart",
            // Batch 0 opens a window.
            "d.onAfterBatchTransfer", "m.onAfterBatchTransfer", "onTrainBatchStart", "m.trainingStep",
            "onBeforeZeroGrad", "onBeforeBackward", "onAfterBackward", "onTrainBatchEnd(accumulated)",
            // Batch 1 closes it: the step is applied.
            "d.onAfterBatchTransfer", "m.onAfterBatchTransfer", "onTrainBatchStart", "m.trainingStep",
            "onBeforeBackward", "onAfterBackward", "onBeforeOptimizerStep", "onTrainBatchEnd(applied)",
            // A validation between batches.
            "onValidationStart", "onValidationEpochStart", "d.onAfterBatchTransfer", "m.onAfterBatchTransfer",
            "onValidationBatchStart", "m.validationStep", "onValidationBatchEnd", "onValidationEpochEnd",
            "onValidationEnd",
            // Batches 2 and 3, whose rows are infinite: the step is skipped.
            "d.onAfterBatchTransfer", "m.onAfterBatchTransfer", "onTrainBatchStart", "m.trainingStep",
            "onBeforeZeroGrad", "onBeforeBackward", "onAfterBackward", "onTrainBatchEnd(accumulated)",
            "d.onAfterBatchTransfer", "m.onAfterBatchTransfer", "onTrainBatchStart", "m.trainingStep",
            "onBeforeBackward", "onAfterBackward", "onBeforeOptimizerStep", "onTrainBatchEnd(skipped)",
            // The epoch's validation and end, with its checkpoint.
            "onValidationStart", "onValidationEpochStart", "d.onAfterBatchTransfer", "m.onAfterBatchTransfer",
            "onValidationBatchStart", "m.validationStep", "onValidationBatchEnd", "onValidationEpochEnd",
            "onValidationEnd", "onTrainEpochEnd", "m.onSaveCheckpoint", "d.saveState", "c.saveState",
            // The end.
            "onTrainEnd", "onFitEnd", "d.teardown(fit)", "teardown(fit)",
        ]
        #expect(trace.names == expanded(expected))
    }

    /// A resumed run loads after its optimizers are made and before onFitStart, and has no sanity check.
    @Test func orderOfResuming() throws {
        let directory = try TemporaryDirectory()
        for epochs in [1, 2] {
            let trace = Trace()
            try quietTrainer(maxEpochs: epochs) {
                $0.limitValBatches = 0
                $0.callbacks = [Witness(trace), ModelCheckpoint(directory: directory.path)]
            }.fit(WitnessModule(trace), WitnessData(trace, rows: 4), resume: epochs == 2 ? .last : nil)
            guard epochs == 2 else { continue }
            let expected = [
                "m.configureCallbacks", "d.prepareData", "m.prepareData", "d.setup(fit)", "setup(fit)", "d.trainLoader",
                "m.configureOptimizers", "m.configureSchedules", "m.onLoadCheckpoint", "d.loadState", "c.loadState",
                "onFitStart", "onTrainStart", "onTrainEpochStart", "d.onAfterBatchTransfer", "m.onAfterBatchTransfer",
                "onTrainBatchStart", "m.trainingStep", "onBeforeZeroGrad", "onBeforeBackward", "onAfterBackward",
                "onBeforeOptimizerStep", "onTrainBatchEnd(applied)", "onTrainEpochEnd", "m.onSaveCheckpoint",
                "d.saveState", "c.saveState", "onTrainEnd", "onFitEnd", "d.teardown(fit)", "teardown(fit)",
            ]
            #expect(trace.names == expanded(expected))
        }
    }

    @Test func orderOfEvaluations() throws {
        let trace = Trace()
        let module = WitnessModule(trace), data = WitnessData(trace, rows: 4)
        let trainer = quietTrainer { $0.callbacks = [Witness(trace)] }
        try trainer.validate(module, data)
        try trainer.test(module, data)
        _ = try trainer.predict(module, data)
        func run(_ stage: String, _ loaders: String, _ hook: String) -> [String] {
            [
                "m.configureCallbacks", "d.prepareData", "m.prepareData", "d.setup(\(stage))", "setup(\(stage))",
                "d.\(loaders)", "on\(hook)Start", "on\(hook)EpochStart", "d.onAfterBatchTransfer",
                "m.onAfterBatchTransfer", "on\(hook)BatchStart", "m.\(hook.lowercased())Step", "on\(hook)BatchEnd",
                "on\(hook)EpochEnd", "on\(hook)End", "d.teardown(\(stage))", "teardown(\(stage))",
            ]
        }
        #expect(
            trace.names
                == expanded(
                    run("validate", "validationLoaders", "Validation") + run("test", "testLoaders", "Test")
                        + run("predict", "predictLoaders", "Predict")))
    }

    /// An error in a step: onException while the run still stands, then teardown; nothing else.
    @Test func orderAfterAnError() throws {
        struct Failure: Error {}
        final class Failing: Callback {
            override func onAfterBackward(_ trainer: Trainer, _ module: TrainingModule) throws { throw Failure() }
            override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) {
                #expect(trainer.stage == .fit && trainer.state.batchInEpoch == 0 && module.trainer === trainer)
            }
        }
        let trace = Trace()
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.numSanityValSteps = 0
            $0.callbacks = [Witness(trace), Failing()]
        }
        #expect(throws: Failure.self) { try trainer.fit(WitnessModule(trace), WitnessData(trace, rows: 8)) }
        let names =
            expanded(["onTrainBatchStart", "m.trainingStep", "onBeforeZeroGrad", "onBeforeBackward"])
            + ["c.onAfterBackward"] + expanded(["onException", "d.teardown(fit)", "teardown(fit)"])
        #expect(trace.names.suffix(names.count) == names[...])
        #expect(trainer.stage == nil)
    }

    /// The module's callbacks run with it, in place of the trainer's of the same type.
    @Test func aModuleBringsItsCallbacks() throws {
        final class Bringing: SmallClassifier {
            let callback: Witness
            init(_ callback: Witness) {
                self.callback = callback
                super.init()
            }
            override func configureCallbacks() -> [Callback] { [callback] }
        }
        let own = Trace(), brought = Trace()
        let trainer = quietTrainer(maxSteps: 1) { $0.callbacks = [Witness(own)] }
        try trainer.fit(Bringing(Witness(brought)), train: DataLoader(Points(4), batchSize: 4))
        #expect(own.names.isEmpty && brought.names.first == "c.setup(fit)")
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(4), batchSize: 4))
        #expect(own.names == brought.names)
    }
}
