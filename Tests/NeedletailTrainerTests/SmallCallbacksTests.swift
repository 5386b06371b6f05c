import Needletail
import Testing

@Suite struct SmallCallbacksTests {
    /// The closures run in their hooks.
    @Test func aLambdaRunsItsClosures() throws {
        var names: [String] = []
        struct Failure: Error {}
        let callback = LambdaCallback { hooks in
            hooks.setup = { _, _, stage in names.append("setup(\(stage))") }
            hooks.onFitStart = { _, _ in names.append("onFitStart") }
            hooks.onTrainStart = { _, _ in names.append("onTrainStart") }
            hooks.onTrainEpochStart = { _, _ in names.append("onTrainEpochStart") }
            hooks.onTrainBatchStart = { _, _, _, index in names.append("onTrainBatchStart(\(index))") }
            hooks.onTrainBatchEnd = { _, _, result, _, index in names.append("onTrainBatchEnd(\(result.isApplied))") }
            hooks.onValidationStart = { _, _ in names.append("onValidationStart") }
            hooks.onValidationEnd = { _, _ in names.append("onValidationEnd") }
            hooks.onTrainEpochEnd = { _, _ in names.append("onTrainEpochEnd") }
            hooks.onTrainEnd = { _, _ in names.append("onTrainEnd") }
            hooks.onFitEnd = { _, _ in throw Failure() }
            hooks.onException = { _, _, error in names.append("onException(\(error))") }
            hooks.onTestStart = { _, _ in names.append("onTestStart") }
            hooks.onTestEnd = { _, _ in names.append("onTestEnd") }
            hooks.onPredictStart = { _, _ in names.append("onPredictStart") }
            hooks.onPredictEnd = { _, _ in names.append("onPredictEnd") }
            hooks.teardown = { _, _, stage in names.append("teardown(\(stage))") }
        }
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.callbacks = [callback]
            $0.numSanityValSteps = 0
        }
        let loader = DataLoader(Points(4), batchSize: 4), module = SmallClassifier()
        #expect(throws: Failure.self) { try trainer.fit(module, train: loader, validation: loader) }
        try trainer.test(module, loader)
        _ = try trainer.predict(module, loader)
        #expect(
            names == [
                "setup(fit)", "onFitStart", "onTrainStart", "onTrainEpochStart", "onTrainBatchStart(0)",
                "onTrainBatchEnd(true)", "onValidationStart", "onValidationEnd", "onTrainEpochEnd", "onTrainEnd",
                "onException(Failure())", "teardown(fit)", "setup(test)", "onTestStart", "onTestEnd", "teardown(test)",
                "setup(predict)", "onPredictStart", "onPredictEnd", "teardown(predict)",
            ])
    }

    /// Windows of 1, 3 and 2 batches in epochs 0, 1 to 2, and 3: the steps of each, and those that a schedule is told of.
    @Test(arguments: Precision.allCases) func windowsChangeWithTheEpochs(_ precision: Precision) throws {
        final class Counting: SmallClassifier {
            var planned: Int?
            override func configureSchedules(for optimizers: [Optimizer]) -> [Scheduler] {
                planned = trainer?.plannedSteps
                return []
            }
        }
        let directory = try TemporaryDirectory()
        func fit(_ root: String, resume: ResumePoint? = nil, maxSteps: Int? = nil) throws -> (Counting, [Int]) {
            var steps: [Int] = []
            let module = Counting()
            let trainer = quietTrainer(maxEpochs: 4, maxSteps: maxSteps, precision: precision) {
                $0.callbacks = [
                    GradientAccumulationScheduler([1: 3, 3: 2]), ModelCheckpoint(directory: root),
                    LambdaCallback { $0.onTrainEpochEnd = { trainer, _ in steps.append(trainer.state.globalStep) } },
                ]
            }
            try trainer.fit(module, train: DataLoader(Points(20), batchSize: 4, shuffle: true), resume: resume)
            return (module, steps)
        }
        let (whole, steps) = try fit(directory("whole"))
        #expect(steps == [5, 7, 9, 12] && whole.planned == 12)
        for count in [5, 6, 8, 10] {
            _ = try fit(directory("\(count)"), maxSteps: count)
            #expect(try fit(directory("\(count)"), resume: .last).0.bits == whole.bits, "after \(count)")
        }
        #expect(throws: TrainerError.self) {
            try quietTrainer(maxEpochs: 1) {
                $0.accumulateGradBatches = 2
                $0.callbacks = [GradientAccumulationScheduler([0: 2])]
            }.fit(SmallClassifier(), train: DataLoader(Points(4), batchSize: 4))
        }
    }
}
