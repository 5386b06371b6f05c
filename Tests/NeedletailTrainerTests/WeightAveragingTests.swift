import Foundation
import Needletail
import Testing

@Suite struct WeightAveragingTests {
    /// The weights after each step, and those of each validation, beside the average of a hand-written loop over them.
    private final class Looking: SmallClassifier {
        var steps: [[Tensor]] = [], validated: [[Tensor]] = []
        private var weights: [Tensor] {
            parameters().map { Tensor(bytes: $0.master.bytes, shape: $0.shape, dtype: $0.storageType) }
        }
        override func onTrainBatchEnd(_ result: StepResult, _ batch: Batch, _ index: Int) { steps.append(weights) }
        override func onValidationStart() { validated.append(weights) }
    }

    private func fit(
        _ module: SmallClassifier, _ averaging: WeightAveraging, _ precision: Precision, epochs: Int = 3,
        root: String? = nil, resume: ResumePoint? = nil, maxSteps: Int? = nil
    ) throws -> Trainer {
        let trainer = quietTrainer(maxEpochs: epochs, maxSteps: maxSteps, precision: precision) {
            $0.callbacks = [averaging] + (root.map { [ModelCheckpoint(directory: $0)] } ?? [])
            $0.numSanityValSteps = 0
        }
        try trainer.fit(
            module, train: DataLoader(Points(20), batchSize: 4, shuffle: true),
            validation: DataLoader(Points(8), batchSize: 4), resume: resume)
        return trainer
    }

    /// average + (weights - average) · share in float32 (float64 in 64-true), rounded once to the stored type where it is
    /// used; training's own weights are those of a run without averaging.
    @Test(arguments: Precision.allCases) func theMovingAverageIsThatOfALoopByHand(_ precision: Precision) throws {
        let module = Looking(), plain = Looking()
        let averaging = WeightAveraging(.exponential(decay: 0.9))
        _ = try fit(module, averaging, precision)
        let trainer = quietTrainer(maxEpochs: 3, precision: precision)
        try trainer.fit(plain, train: DataLoader(Points(20), batchSize: 4, shuffle: true))
        #expect(module.steps.map { $0.map(\.bytes) } == plain.steps.map { $0.map(\.bytes) })
        let wide = PrecisionPolicy(precision).storage.accumulationType
        var average: [Tensor] = []
        for (index, weights) in module.steps.enumerated() {
            let weights = weights.map { $0.cast(to: wide) }
            average = index == 0 ? weights : zip(average, weights).map { $0 + ($1 - $0) * (1 - 0.9) }
            guard (index + 1) % 5 == 0 else { continue }
            let used = average.map { $0.cast(to: PrecisionPolicy(precision).storage).bytes }
            #expect(module.validated[index / 5].map(\.bytes) == used, "epoch \(index / 5)")
        }
        #expect(averaging.count == 15 && averaging.averagedWeights.map { $0.tensor.bytes } == average.map(\.bytes))
        #expect(
            module.bits == average.map { $0.cast(to: PrecisionPolicy(precision).storage).bytes }, "the model in the end"
        )
        #expect(module.bits != plain.bits)
    }

    /// The mean over the ends of the last epochs; learning rates go to the given one along half a cosine.
    @Test func theEqualAverageIsAMean() throws {
        let module = Looking()
        let averaging = WeightAveraging(.equal, from: 0.5, learningRate: 1e-3, annealingEpochs: 2)
        var rates: [Double] = []
        let trainer = quietTrainer(maxEpochs: 4) {
            $0.callbacks = [
                averaging,
                LambdaCallback {
                    $0.onTrainBatchEnd = { _, _, result, _, index in if index == 0 { rates += result.learningRates } }
                },
            ]
        }
        try trainer.fit(module, train: DataLoader(Points(20), batchSize: 4))
        #expect(averaging.count == 2)
        for (index, parameter) in module.parameters().enumerated() {
            let (a, b) = (
                module.steps[14][index].scalars(as: Float.self), module.steps[19][index].scalars(as: Float.self)
            )
            let mean = zip(a, b).map { $0 + ($1 - $0) * 0.5 }
            #expect(parameter.master.scalars(as: Float.self) == mean)
        }
        // From 1e-2: half-way in the first of two epochs (1 + cos(pi / 2) = 1), there in the second. One rounding of each
        // of three operations on numbers below 1e-2: 3 · 2^-53 · 1e-2 is below 1e-17.
        for (found, expected) in zip(rates, [1e-2, 1e-2, 5.5e-3, 1e-3]) { #expect(abs(found - expected) <= 1e-17) }
        #expect(rates.count == 4)
    }

    /// Averages are in checkpoints; a resumed run has the bits of the uninterrupted one, also from the middle of an epoch; and
    /// a model that is loaded has the averages.
    @Test(arguments: Precision.allCases) func aResumedRunHasTheSameBits(_ precision: Precision) throws {
        let directory = try TemporaryDirectory()
        let make = { WeightAveraging(.exponential(decay: 0.8, everyNSteps: 2), from: 1) }
        let whole = SmallClassifier()
        _ = try fit(whole, make(), precision, root: directory("whole"))
        for steps in [4, 5, 8, 12] {
            let run = directory("\(steps)")
            _ = try fit(SmallClassifier(), make(), precision, root: run, maxSteps: steps)
            let resumed = SmallClassifier()
            _ = try fit(resumed, make(), precision, root: run, resume: .last)
            #expect(resumed.bits == whole.bits, "after \(steps)")
            for name in try FileManager.default.contentsOfDirectory(atPath: directory("whole/last")) {
                #expect(bytes(run + "/last/" + name) == bytes(directory("whole/last/" + name)), "\(steps) \(name)")
            }
        }
        let checkpoint = try Checkpoint(directory("whole/last"))
        #expect(checkpoint.averagedModel?.count == 4 && checkpoint.model.count == 4)
        let loaded = SmallClassifier(seed: 50)
        try loaded.load(from: directory("whole/last"))
        #expect(loaded.bits == whole.bits)
    }

    /// A checkpoint that is written while a validation runs with the averages holds the weights that train.
    @Test func aCheckpointWithinAValidationHoldsTheTrainedWeights() throws {
        let directory = try TemporaryDirectory()
        let module = SmallClassifier()
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.callbacks = [
                WeightAveraging(.exponential(decay: 0.5)),
                LambdaCallback {
                    $0.onTrainBatchEnd = { trainer, _, _, _, index in
                        if index == 4 { try trainer.saveCheckpoint(to: directory("after")) }
                    }
                    $0.onValidationStart = { trainer, module in
                        guard trainer.state.globalStep == 5 else { return }
                        let before = module.bits
                        try trainer.saveCheckpoint(to: directory("within"))
                        #expect(module.bits == before, "the averages are back")
                    }
                },
            ]
        }
        try trainer.fit(
            module, train: DataLoader(Points(20), batchSize: 4), validation: DataLoader(Points(8), batchSize: 4))
        #expect(bytes(directory("within/model.safetensors")) == bytes(directory("after/model.safetensors")))
        let trained = SmallClassifier()
        try trained.load(stateDictionary: Checkpoint(directory("after")).model)
        #expect(module.bits != trained.bits, "the model in the end is the average")
    }

    /// An average of another model is refused.
    @Test func anAverageThatDoesNotFitIsRefused() throws {
        let averaging = WeightAveraging(.equal)
        #expect(throws: ShapeError.self) {
            try averaging.load(stateTensors: ["hidden.weight": .zeros([2, 2])], SmallClassifier())
        }
    }
}
