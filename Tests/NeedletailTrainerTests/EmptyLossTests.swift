// Batches in whose loss no target counts though `lossWeight(of:)` does not know it: they are empty batches, not divergence.
import Foundation
import Needletail
import Testing

/// Losses that divide by the weights of the targets that count. Class 2 counts for nothing in each of them.
enum CountingLoss: String, CaseIterable {
    case classWeights, ignoreIndex, smoothed, likelihoodWeights, likelihoodIndex, fused, fusedInBackward, sum

    func callAsFunction(_ x: Tensor, _ layer: Linear, _ targets: Tensor) throws -> Tensor {
        let weights = Tensor([Float](arrayLiteral: 1, 1, 0))
        switch self {
        case .classWeights: return try crossEntropy(layer(x), targets, classWeights: weights)
        case .ignoreIndex: return try crossEntropy(layer(x), targets, ignoreIndex: 2)
        case .smoothed: return try crossEntropy(layer(x), targets, classWeights: weights, labelSmoothing: 0.1)
        case .likelihoodWeights:
            return try nllLoss(layer(x).cast(to: .float32).logSoftmax(axis: 1), targets, classWeights: weights)
        case .likelihoodIndex:
            return try nllLoss(layer(x).cast(to: .float32).logSoftmax(axis: 1), targets, ignoreIndex: 2)
        case .fused, .fusedInBackward:
            return try linearCrossEntropy(
                x, weight: layer.weight.value, bias: layer.bias?.value, targets, classWeights: weights,
                gradients: self == .fused ? .withLoss : .inBackward)
        case .sum:
            return try crossEntropy(layer(x), targets, ignoreIndex: 2) * 0.5
                + nllLoss(layer(x).cast(to: .float32).logSoftmax(axis: 1), targets, ignoreIndex: 2) * 0.25
        }
    }
}

/// A classifier with everything that a batch could leave a trace in: running statistics, dropout, metrics.
private final class Counting: TrainingModule {
    let hidden: Linear, norm: BatchNorm1d, drop: Dropout, head: Linear
    let loss: CountingLoss
    /// Whether `lossWeight(of:)` knows what counts.
    var knows = false
    /// What is added to a training step's loss of class logits.
    var term: ((_ logits: Tensor, _ index: Int) throws -> Tensor)?

    init(_ loss: CountingLoss) {
        var generator = SeededGenerator(seed: 4)
        hidden = Linear(6, 8, using: &generator)
        norm = BatchNorm1d(8)
        drop = Dropout(0.25, using: &generator)
        head = Linear(8, 3, using: &generator)
        self.loss = loss
    }

    private func features(_ batch: Batch) -> Tensor { drop(norm(hidden(batch.inputs)).relu()) }

    override func lossWeight(of batch: Batch) -> Double {
        let counts = batch.targets.scalars(as: Int64.self).contains { $0 != 2 }
        return knows && !counts ? 0 : Double(batch.count)
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let x = features(batch)
        var loss = try loss(x, head, batch.targets)
        if let term { loss = try loss + term(head(x).cast(to: .float32), index) }
        log("train_loss", loss, onEpoch: true)
        log("train_index", Double(index), onEpoch: true)
        return loss
    }

    override func validationStep(_ batch: Batch, _ index: Int) throws {
        log("val_loss", try loss(features(batch), head, batch.targets))
        log("val_sum", batch.inputs.cast(to: .float32).sum())
    }

    override func testStep(_ batch: Batch, _ index: Int) throws {
        log("test_loss", try loss(features(batch), head, batch.targets))
        log("test_sum", batch.inputs.cast(to: .float32).sum())
    }

    override func configureOptimizers() -> [Optimizer] { [Adam(parameters(), learningRate: 1e-2)] }
}

/// Rows of points, some of whose labels are replaced by 2, the class that counts for nothing; the others are 0 or 1.
private struct Relabelled: Dataset {
    let points = Points(64)
    var rows = Array(0..<64)
    var uncounted: Range<Int>
    var count: Int { rows.count }

    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        let chosen = indices.map { rows[$0] }
        let targets = chosen.map { uncounted.contains($0) ? 2 : Int64($0 % 2) }
        return Batch(
            inputs: try points.batch(chosen, dtype: dtype).inputs, targets: Tensor(targets, shape: [chosen.count]))
    }

    /// The same without the rows that count for nothing.
    var counted: Relabelled {
        var result = self
        result.rows.removeAll { uncounted.contains($0) }
        return result
    }
}

@Suite struct EmptyLossTests {
    private func run(
        _ loss: CountingLoss, _ data: Relabelled, _ precision: Precision = .float32,
        _ prepare: (Counting) -> Void = { _ in }, _ configure: (inout TrainerConfiguration) -> Void = { _ in }
    ) throws -> (module: Counting, trainer: Trainer) {
        let module = Counting(loss)
        prepare(module)
        let trainer = quietTrainer(maxEpochs: 2, precision: precision, configure)
        let loader = DataLoader(data, batchSize: 4)
        try trainer.fit(module, train: loader, validation: loader)
        return (module, trainer)
    }

    private func expectSameState(_ a: Counting, _ b: Counting, _ comment: Comment) {
        #expect(a.bits == b.bits, comment)
        #expect(a.namedBuffers().map(\.buffer.value.bytes) == b.namedBuffers().map(\.buffer.value.bytes), comment)
    }

    /// Twelve batches in a row count for nothing, more than the ten skipped steps that end training. In every loss and
    /// precision the run has the bits, loss scale and counts of one without them, and so have its means, of training and of
    /// validation and test, over the losses and over what else is logged.
    @Test(arguments: CountingLoss.allCases, Precision.allCases)
    func batchesOfNothingLeaveNoTrace(_ loss: CountingLoss, _ precision: Precision) throws {
        let data = Relabelled(uncounted: 4..<52)
        let (whole, trainer) = try run(loss, data, precision)
        let (without, plain) = try run(loss, data.counted, precision)
        expectSameState(whole, without, "\(loss)")
        #expect(trainer.state.globalStep == 8 && trainer.state.emptyWindows == 24 && trainer.state.skippedSteps == 0)
        #expect(trainer.state.consecutiveSkips == [0])
        #expect(trainer.scaler?.scale == plain.scaler?.scale)
        #expect(trainer.scaler?.growthTracker == plain.scaler?.growthTracker)
        #expect(trainer.notices.count == 1 && trainer.notices[0].contains("batch 1 of epoch 0"), "\(trainer.notices)")
        for name in ["train_loss_epoch", "val_loss", "val_sum"] {
            let mean = try #require(trainer.metrics[name])
            #expect(mean.isFinite && mean == plain.metrics[name], "\(name)")
        }
        #expect(trainer.metrics["train_index_epoch"] == 10.5)  // of 0, 13, 14 and 15
        let tested = try trainer.test(whole, DataLoader(data, batchSize: 4))
        #expect(try tested == plain.test(without, DataLoader(data.counted, batchSize: 4)))
        #expect(tested.count == 2 && tested.values.allSatisfy(\.isFinite))
    }

    /// At the beginning, in the middle and at the end of windows, in whole windows and with another term in the loss, which
    /// is finite: the bits are those of a run whose `lossWeight(of:)` says 0 for these batches.
    @Test(arguments: [2, 4], [Precision.float32, .mixedFloat16, .bfloat16, .float64])
    func theyLeaveWindowsAsTheyAre(_ accumulate: Int, _ precision: Precision) throws {
        for uncounted in [0..<4, 4..<8, 12..<16, 16..<32, 60..<64] {
            for hasTerm in [false, true] {
                func run(knows: Bool) throws -> (module: Counting, trainer: Trainer) {
                    try self.run(.classWeights, Relabelled(uncounted: uncounted), precision) {
                        $0.knows = knows
                        if hasTerm { $0.term = { logits, _ in (logits * logits).mean() * 0.1 } }
                    } _: {
                        $0.accumulateGradBatches = accumulate
                    }
                }
                let (unknown, trainer) = try run(knows: false)
                let (known, reference) = try run(knows: true)
                expectSameState(unknown, known, "\(uncounted), \(hasTerm)")
                #expect(trainer.state == reference.state && trainer.state.skippedSteps == 0)
                #expect(trainer.metrics["train_loss_epoch"] == reference.metrics["train_loss_epoch"])
                #expect(trainer.notices.count == 1 && trainer.notices[0].contains("is left out"))
            }
        }
    }

    /// A term that is not finite by itself is not hidden by one that is a mean of nothing, nor by such a mean that is no part of
    /// the loss: the step is skipped, and where all are training ends.
    @Test(arguments: [true, false]) func whatIsNotFiniteIsStillSkipped(_ isPart: Bool) throws {
        let data = Relabelled(uncounted: isPart ? 4..<8 : 0..<0)
        let (module, trainer) = try run(.classWeights, data) { module in
            module.term = { logits, index in
                guard index == 1 else { return Tensor(0) }
                let targets = Tensor([Int64](repeating: 2, count: 4))
                if !isPart { _ = try crossEntropy(logits, targets, ignoreIndex: 2) }
                return ((logits - logits) / 0).mean()
            }
        }
        #expect(trainer.state.skippedSteps == 2 && trainer.state.emptyWindows == 0 && trainer.state.globalStep == 30)
        #expect(module.parameters().allSatisfy { finiteCheck($0.master).firstNonFinite == nil })
        #expect(throws: TrainingDiverged.self) {
            try self.run(.classWeights, Relabelled(uncounted: 0..<64)) {
                $0.term = { logits, _ in ((logits - logits) / 0).mean() }
            }
        }
    }

    /// Neither policy nor watching makes an error of them, and an autopsy of one finds nothing.
    @Test(arguments: [NonFinitePolicy.throw, .ignore, .skip(maxConsecutive: 1)])
    func noPolicyEndsTrainingForThem(_ policy: NonFinitePolicy) throws {
        let data = Relabelled(uncounted: 4..<52)
        for detects in [false, true] {
            let (module, trainer) = try run(.fused, data, .mixedBFloat16) { _ in
            } _: {
                $0.nonFinite = policy
                $0.detectAnomaly = detects
            }
            #expect(trainer.state.emptyWindows == 24 && trainer.state.globalStep == 8)
            #expect(try trainer.autopsy(module, data.batch([4, 5, 6, 7], dtype: .bfloat16)) == nil)
        }
    }

    /// Each optimizer has its own empty windows, and what looks on beside training compares those that count.
    @Test func optimizersAreEmptyEachForItself() throws {
        final class Two: TrainingModule {
            let layers: [Linear]
            override init() {
                var generator = SeededGenerator(seed: 8)
                layers = (0..<2).map { _ in Linear(6, 3, using: &generator) }
            }
            override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
                let loss = try crossEntropy(
                    layers[optimizer](batch.inputs), batch.targets, ignoreIndex: optimizer == 0 ? 2 : -100)
                log("loss\(optimizer)", loss, onEpoch: true)
                return loss
            }
            override func configureOptimizers() -> [Optimizer] {
                layers.map { SGD($0.parameters(), learningRate: 0.1) }
            }
        }
        let shadow = ShadowPrecision(every: 1)
        let trainer = quietTrainer(maxEpochs: 1, precision: .mixedBFloat16) { $0.callbacks = [shadow] }
        try trainer.fit(Two(), train: DataLoader(Relabelled(uncounted: 8..<24), batchSize: 4))
        #expect(trainer.state.globalStep == 16 && trainer.state.emptyWindows == 4 && trainer.state.skippedSteps == 0)
        for name in ["loss0_epoch", "loss1_epoch"] { #expect(trainer.metrics[name]?.isFinite == true) }
        // A bfloat16 step has errors of some 2⁻⁸; the gradients of another optimizer, or of another weight, would be far off.
        #expect(shadow.results.count == 16 && shadow.results.allSatisfy { $0.gradientError < 0.1 })
    }

    /// In an evaluation step of several losses the one that is of nothing is left out, and the others are not.
    @Test func evaluationLeavesOutTheMeanOfNothing() throws {
        final class Heads: TrainingModule {
            override func validationStep(_ batch: Batch, _ index: Int) throws {
                let logits = Tensor.zeros([batch.count, 3])
                log("all", try crossEntropy(logits, batch.targets) + Double(index))
                log("some", try crossEntropy(logits, batch.targets, ignoreIndex: 2) + Double(index))
                log("zero", try crossEntropy(logits, batch.targets, ignoreIndex: 2, emptyMean: .zero))
            }
        }
        let data = Relabelled(rows: Array(0..<12), uncounted: 4..<8)
        let means = try quietTrainer().validate(Heads(), DataLoader(data, batchSize: 4))
        let uniform = Double(Float(log(3.0)))
        // Two roundings to float32 a value, of numbers up to 4, and the exact means of three and of two values.
        let bound = 4 * 2 * 0x1p-24
        #expect(abs(try #require(means["all"]) - (uniform + 1)) <= bound)
        #expect(abs(try #require(means["some"]) - (uniform + 1)) <= bound)
        #expect(abs(try #require(means["zero"]) - uniform * 2 / 3) <= bound)
    }

    /// What a batch of nothing logs is shown nowhere: loggers and the progress bar keep the last values of batches that count.
    @Test func theLossOfNothingIsNotLoggedByStep() throws {
        final class Steps: Callback {
            var losses: [Double] = []
            override func onTrainBatchEnd(
                _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
            ) throws {
                if let loss = trainer.metrics["train_loss_step"] { losses.append(loss) }
            }
        }
        let steps = Steps()
        _ = try run(
            CountingLoss.allCases[0], Relabelled(uncounted: 4..<52), .float32, { _ in },
            { ($0.callbacks, $0.logEveryNSteps) = ([steps], 1) })
        #expect(!steps.losses.isEmpty && steps.losses.allSatisfy(\.isFinite))
    }

    /// Without a number of epochs a run of nothing would never end.
    @Test func aRunOfNothingEndsAfterAnEpoch() throws {
        let module = Counting(CountingLoss.allCases[0])
        let trainer = quietTrainer(maxSteps: 5) { _ in }
        let error = #expect(throws: TrainerError.self) {
            try trainer.fit(module, train: DataLoader(Relabelled(uncounted: 0..<64), batchSize: 4))
        }
        #expect("\(try #require(error))".contains("epoch 0 had no batch with a loss of anything"))
    }
}
