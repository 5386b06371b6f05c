import Needletail
import Testing

/// Collects hook names.
private final class Trace {
    var names: [String] = []
}

/// Writes every hook that the module is called with.
private final class TracedModule: SmallClassifier {
    let trace: Trace
    init(_ trace: Trace) {
        self.trace = trace
        super.init()
    }
    private func note(_ name: String) { trace.names.append("m." + name) }
    override func prepareData() { note("prepareData") }
    override func setup(_ stage: Stage) { note("setup(\(stage))") }
    override func teardown(_ stage: Stage) { note("teardown(\(stage))") }
    override func onFitStart() { note("onFitStart") }
    override func onFitEnd() { note("onFitEnd") }
    override func onSanityCheckStart() { note("onSanityCheckStart") }
    override func onSanityCheckEnd() { note("onSanityCheckEnd") }
    override func onTrainStart() { note("onTrainStart") }
    override func onTrainEnd() { note("onTrainEnd") }
    override func onTrainEpochStart() { note("onTrainEpochStart") }
    override func onTrainEpochEnd() { note("onTrainEpochEnd") }
    override func onTrainBatchStart(_ batch: Batch, _ index: Int) { note("onTrainBatchStart") }
    override func onBeforeZeroGrad(_ optimizer: Optimizer) { note("onBeforeZeroGrad") }
    override func onBeforeBackward(_ loss: Tensor) { note("onBeforeBackward") }
    override func onAfterBackward() { note("onAfterBackward") }
    override func onBeforeOptimizerStep(_ optimizer: Optimizer, _ gradients: UnscaledGradients) {
        note("onBeforeOptimizerStep")
    }
    override func onTrainBatchEnd(_ result: StepResult, _ batch: Batch, _ index: Int) { note("onTrainBatchEnd") }
    override func onValidationStart() { note("onValidationStart") }
    override func onValidationEpochStart() { note("onValidationEpochStart") }
    override func onValidationEpochEnd() { note("onValidationEpochEnd") }
    override func onValidationBatchStart(_ batch: Batch, _ index: Int) { note("onValidationBatchStart") }
    override func onValidationBatchEnd(_ batch: Batch, _ index: Int) { note("onValidationBatchEnd") }
    override func onValidationEnd() { note("onValidationEnd") }
    override func onTestStart() { note("onTestStart") }
    override func onTestEpochStart() { note("onTestEpochStart") }
    override func onTestEpochEnd() { note("onTestEpochEnd") }
    override func onTestBatchStart(_ batch: Batch, _ index: Int) { note("onTestBatchStart") }
    override func onTestBatchEnd(_ batch: Batch, _ index: Int) { note("onTestBatchEnd") }
    override func onTestEnd() { note("onTestEnd") }
    override func onPredictStart() { note("onPredictStart") }
    override func onPredictEpochStart() { note("onPredictEpochStart") }
    override func onPredictEpochEnd() { note("onPredictEpochEnd") }
    override func onPredictBatchStart(_ batch: Batch, _ index: Int) { note("onPredictBatchStart") }
    override func onPredictBatchEnd(_ batch: Batch, _ index: Int) { note("onPredictBatchEnd") }
    override func onPredictEnd() { note("onPredictEnd") }
    override func onException(_ error: any Error) { note("onException") }
    override func configureOptimizers() -> [Optimizer] {
        note("configureOptimizers")
        return super.configureOptimizers()
    }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        note("trainingStep")
        #expect(isTraining)
        return try super.trainingStep(batch, index)
    }
    override func validationStep(_ batch: Batch, _ index: Int) throws {
        note("validationStep")
        #expect(!isTraining)
        #expect(!logits(batch).requiresGradient)
    }
    override func testStep(_ batch: Batch, _ index: Int) throws { note("testStep") }
    override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        note("predictStep")
        return try super.predictStep(batch, index)
    }
}

/// Writes the hooks that show how callbacks and module alternate.
private final class TracedCallback: Callback {
    let trace: Trace, name: String, last: Bool
    init(_ trace: Trace, _ name: String, last: Bool = false) {
        self.trace = trace
        self.name = name
        self.last = last
    }
    override var runsLast: Bool { last }
    private func note(_ hook: String) { trace.names.append(name + "." + hook) }
    override func setup(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) { note("setup(\(stage))") }
    override func onTrainBatchStart(_ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int) {
        note("onTrainBatchStart")
    }
    override func onBeforeOptimizerStep(
        _ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer, _ gradients: UnscaledGradients
    ) { note("onBeforeOptimizerStep") }
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) { note("onTrainBatchEnd") }
    override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) { note("onTrainEpochEnd") }
}

@Suite struct HookOrderTests {
    private static let validation = [
        "m.onValidationStart", "m.onValidationEpochStart", "m.onValidationBatchStart", "m.validationStep",
        "m.onValidationBatchEnd", "m.onValidationEpochEnd", "m.onValidationEnd",
    ]
    private static let firstOfWindow = [
        "m.onTrainBatchStart", "m.trainingStep", "m.onBeforeZeroGrad", "m.onBeforeBackward", "m.onAfterBackward",
        "m.onTrainBatchEnd",
    ]
    private static let lastOfWindow = [
        "m.onTrainBatchStart", "m.trainingStep", "m.onBeforeBackward", "m.onAfterBackward", "m.onBeforeOptimizerStep",
        "m.onTrainBatchEnd",
    ]

    /// Two epochs of three batches in windows of two, the last of which is ragged.
    @Test func orderOfFit() throws {
        let trace = Trace()
        let module = TracedModule(trace)
        try quietTrainer(maxEpochs: 2) { $0.accumulateGradBatches = 2 }
            .fit(module, train: DataLoader(Points(12), batchSize: 4), validation: DataLoader(Points(3), batchSize: 4))
        let ragged = [
            "m.onTrainBatchStart", "m.trainingStep", "m.onBeforeZeroGrad", "m.onBeforeBackward", "m.onAfterBackward",
            "m.onBeforeOptimizerStep", "m.onTrainBatchEnd",
        ]
        let epoch =
            ["m.onTrainEpochStart"] + Self.firstOfWindow + Self.lastOfWindow + ragged + Self.validation
            + ["m.onTrainEpochEnd"]
        let expected =
            ["m.prepareData", "m.setup(fit)", "m.configureOptimizers", "m.onFitStart", "m.onSanityCheckStart"]
            + Self.validation + ["m.onSanityCheckEnd", "m.onTrainStart"] + epoch + epoch
            + ["m.onTrainEnd", "m.onFitEnd", "m.teardown(fit)"]
        #expect(trace.names == expected)
    }

    @Test func orderOfEvaluation() throws {
        let trace = Trace()
        let module = TracedModule(trace)
        let loader = DataLoader(Points(3), batchSize: 4)
        let trainer = quietTrainer()
        try trainer.validate(module, loader)
        try trainer.test(module, loader)
        _ = try trainer.predict(module, loader)
        #expect(
            trace.names == ["m.prepareData", "m.setup(validate)"] + Self.validation + ["m.teardown(validate)"]
                + [
                    "m.prepareData", "m.setup(test)", "m.onTestStart", "m.onTestEpochStart", "m.onTestBatchStart",
                    "m.testStep", "m.onTestBatchEnd", "m.onTestEpochEnd", "m.onTestEnd", "m.teardown(test)",
                ] + [
                    "m.prepareData", "m.setup(predict)", "m.onPredictStart", "m.onPredictEpochStart",
                    "m.onPredictBatchStart", "m.predictStep", "m.onPredictBatchEnd", "m.onPredictEpochEnd",
                    "m.onPredictEnd", "m.teardown(predict)",
                ])
    }

    /// Callbacks in their order, then the module, then those that run last.
    @Test func callbacksStandAroundTheModule() throws {
        let trace = Trace()
        let callbacks = [
            TracedCallback(trace, "z", last: true), TracedCallback(trace, "a"), TracedCallback(trace, "b"),
        ]
        try quietTrainer(maxSteps: 1) { $0.callbacks = callbacks }
            .fit(TracedModule(trace), train: DataLoader(Points(4), batchSize: 4))
        for hook in [
            "setup(fit)", "onTrainBatchStart", "onBeforeOptimizerStep", "onTrainBatchEnd", "onTrainEpochEnd",
        ] {
            #expect(
                trace.names.filter { $0.hasSuffix("." + hook) } == ["a.\(hook)", "b.\(hook)", "m.\(hook)", "z.\(hook)"])
        }
    }

    @Test func exceptionsPassThroughTheirHookAndTeardown() throws {
        struct Failure: Error {}
        final class Failing: Callback {
            override func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) throws { throw Failure() }
        }
        let trace = Trace()
        let trainer = quietTrainer(maxEpochs: 1) { $0.callbacks = [Failing()] }
        let module = TracedModule(trace)
        #expect(throws: Failure.self) { try trainer.fit(module, train: DataLoader(Points(4), batchSize: 4)) }
        #expect(trace.names.suffix(2) == ["m.onException", "m.teardown(fit)"])
        #expect(trainer.stage == nil && module.trainer == nil)
    }

    @Test func aLimitMustBeGivenAndOptionsMakeSense() throws {
        let loader = DataLoader(Points(4), batchSize: 4)
        #expect(throws: TrainerError.noLimit) { try quietTrainer().fit(SmallClassifier(), train: loader) }
        #expect(throws: TrainerError.noBatches(loader: "training", why: "0 samples")) {
            try quietTrainer(maxEpochs: 1).fit(SmallClassifier(), train: DataLoader(Points(0), batchSize: 4))
        }
        for configure: (inout TrainerConfiguration) -> Void in [
            { $0.accumulateGradBatches = 0 }, { $0.logEveryNSteps = 0 }, { $0.gradientClip = .norm(0) },
            { $0.gradientClip = .value(.nan) }, { $0.nonFinite = .skip(maxConsecutive: 0) }, { $0.maxEpochs = -1 },
        ] {
            #expect(throws: TrainerError.self) {
                try quietTrainer(maxEpochs: 1, configure).fit(SmallClassifier(), train: loader)
            }
        }
    }
}
