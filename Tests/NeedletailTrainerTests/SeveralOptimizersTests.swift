import Needletail
import Testing

/// Two independent layers, each with its own optimizer and loss, as a GAN has; the first's loss can be made infinite.
private final class Pair: TrainingModule {
    let first: Linear, second: Linear
    let poisoned: Int?

    init(poisoned: Int? = nil) {
        var generator = SeededGenerator(seed: 2)
        first = Linear(6, 3, using: &generator)
        second = Linear(6, 3, using: &generator)
        self.poisoned = poisoned
    }

    override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
        #expect(first.weight.requiresGradient == (optimizer == 0))
        #expect(second.weight.requiresGradient == (optimizer == 1))
        return try loss(batch, index, optimizer)
    }

    func loss(_ batch: Batch, _ index: Int, _ optimizer: Int) throws -> Tensor {
        let loss = try crossEntropy((optimizer == 0 ? first : second)(batch.inputs), batch.targets)
        return optimizer == 0 && index == poisoned ? loss * Double.infinity : loss
    }

    override func configureOptimizers() -> [Optimizer] {
        [Adam(first.parameters(), learningRate: 1e-2), Adam(second.parameters(), learningRate: 1e-2)]
    }
}

@Suite struct SeveralOptimizersTests {
    /// The first optimizer overflows in batch 3: it skips, the second applies with the scale its gradients carry, and the
    /// scale, where there is one, is halved once. Compared bit for bit with a loop written out.
    @Test(arguments: Precision.allCases) func onlyTheOneThatOverflowsSkips(_ precision: Precision) throws {
        let data = Points(96)
        let module = Pair(poisoned: 3)
        var results: [StepResult] = []
        var bits: [[[UInt8]]] = []
        let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
            $0.callbacks = [
                AfterBatch { _, module, result, _ in
                    results.append(result)
                    bits.append(module.bits)
                }
            ]
        }
        try trainer.fit(module, train: DataLoader(data, batchSize: 16))

        let byHand = Pair(poisoned: 3)
        let policy = PrecisionPolicy(precision)
        try policy.apply(to: byHand)
        let optimizers = byHand.configureOptimizers()
        var scaler = try LossScaler(policy.needsLossScale ? .dynamic() : .fixed(1))
        let loader = DataLoader(data, batchSize: 16)
        loader.dtype = policy.compute
        let batches = loader.batches(epoch: 0)
        var scales: [Float] = []
        for index in 0..<6 {
            let batch = try #require(try batches.next())
            var overflowed = false
            for (position, optimizer) in optimizers.enumerated() {
                let loss = try byHand.loss(batch, index, position)
                optimizer.zeroGradients()
                loss.backward(seed: Double(scaler.scale))
                let check = optimizer.checkGradients(gradientScale: Double(scaler.unscaleFactor))
                if check.isFinite { optimizer.step(check: check) } else { overflowed = true }
            }
            scales.append(scaler.scale)
            try scaler.update(overflowed: overflowed)
            #expect(bits[index] == byHand.bits, "batch \(index)")
        }
        #expect(
            scales
                == (policy.needsLossScale ? [65536, 65536, 65536, 65536, 32768, 32768] : .init(repeating: 1, count: 6)))
        #expect(results.map { Float($0.scale) } == scales)
        #expect(results[3].outcomes == [.skipped(.nonFiniteGradient(parameter: "first.weight")), .applied])
        #expect(results[2].outcomes == [.applied, .applied])
        #expect(bits[3][0] == bits[2][0] && bits[3][2] != bits[2][2])
        #expect(trainer.state.globalStep == 6 && trainer.state.skippedSteps == 1)
        #expect(module.parameters().allSatisfy { $0.requiresGradient })
    }

    /// Both optimizers' steps run the same norm. The one that skips is undone, the other's batch statistics stay, and each
    /// one's loss has the mean of the steps that it has applied.
    @Test(arguments: [0, 1]) func theOneThatSkipsIsUndoneAlone(_ failing: Int) throws {
        final class Shared: TrainingModule {
            let norm = BatchNorm1d(6)
            let layers: [Linear]
            let failing: Int
            var atStart: [[[UInt8]]] = []
            init(failing: Int) {
                var generator = SeededGenerator(seed: 4)
                layers = [Linear(6, 3, using: &generator), Linear(6, 3, using: &generator)]
                self.failing = failing
            }
            var statistics: [[UInt8]] { namedBuffers().map(\.buffer.value.bytes) }
            override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
                atStart.append(statistics)
                let poison = index == 2 && optimizer == failing ? Double.infinity : 1
                let logits = layers[optimizer](norm.forward(batch.inputs * poison))
                let loss = try crossEntropy(logits, batch.targets)
                log("loss_\(optimizer)", loss, onStep: false, onEpoch: true)
                return loss
            }
            override func configureOptimizers() -> [Optimizer] {
                layers.map { Adam($0.parameters(), learningRate: 1e-2) }
            }
        }
        let module = Shared(failing: failing)
        var after: [[[UInt8]]] = []
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.callbacks = [AfterBatch { _, _, _, _ in after.append(module.statistics) }]
        }
        try trainer.fit(module, train: DataLoader(Points(64), batchSize: 16))
        // Two steps a batch; the third batch's are the fifth and the sixth.
        let next = failing == 0 ? module.atStart[5] : after[2]
        #expect(next == module.atStart[4 + failing])
        #expect(failing == 0 ? after[2] != module.atStart[5] : module.atStart[5] != module.atStart[4])
        #expect(module.norm.batchesTracked.value.scalars(as: Int64.self) == [7])
        #expect(module.norm.runningVariance.value.scalars(as: Double.self).allSatisfy { $0.isFinite })
        for name in ["loss_0", "loss_1"] { #expect(trainer.metrics[name]?.isFinite == true, "\(name)") }
    }

    /// One of two diverging ends training though the other goes well.
    @Test func oneThatNeverRecoversEndsTraining() throws {
        final class Half: TrainingModule {
            let first = Linear(zeros: 6, 3), second = Linear(zeros: 6, 3)
            override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
                let loss = try crossEntropy((optimizer == 0 ? first : second)(batch.inputs), batch.targets)
                return optimizer == 0 ? loss * Double.nan : loss
            }
            override func configureOptimizers() -> [Optimizer] {
                [SGD(first.parameters(), learningRate: 0.1), SGD(second.parameters(), learningRate: 0.1)]
            }
        }
        let error = #expect(throws: TrainingDiverged.self) {
            try quietTrainer(maxEpochs: 1) { $0.nonFinite = .skip(maxConsecutive: 4) }
                .fit(Half(), train: DataLoader(Points(96), batchSize: 16))
        }
        #expect(error?.consecutiveSkips == 4 && error?.parameter == "first.weight" && error?.globalStep == 4)
    }
}

extension Linear {
    /// A layer whose values do not matter.
    fileprivate convenience init(zeros inputs: Int, _ outputs: Int) {
        var generator = SeededGenerator(seed: 0)
        self.init(inputs, outputs, using: &generator)
    }
}
