// Batch norm in training: frozen, in evaluation mode, with too few values, and under averaged weights.
import Foundation
import Needletail
import Testing

/// A norm of the inputs and one of what a layer makes of them.
private class Normed: TrainingModule {
    let first = BatchNorm1d(6), hidden: Linear, second = BatchNorm1d(8), head: Linear
    var seenModes: [[Bool]] = []

    override init() {
        var generator = SeededGenerator(seed: 11)
        hidden = Linear(6, 8, using: &generator)
        head = Linear(8, 3, using: &generator)
    }

    func logits(_ x: Tensor) -> Tensor { head(second.forward(hidden(first.forward(x))).relu()) }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        seenModes.append(namedModules().map(\.module.isTraining))
        return try crossEntropy(logits(batch.inputs), batch.targets)
    }

    override func validationStep(_ batch: Batch, _ index: Int) throws {
        log("val_loss", try crossEntropy(logits(batch.inputs), batch.targets))
    }

    override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor { logits(batch.inputs) }

    override func configureOptimizers() -> [Optimizer] { [Adam(parameters(), learningRate: 1e-2)] }

    var statistics: [[UInt8]] { namedBuffers().map(\.buffer.value.bytes) }
}

@Suite struct RunningStatisticsTests {
    private func loader(_ count: Int = 20, dropLast: Bool = false) -> DataLoader {
        DataLoader(Points(count), batchSize: 4, shuffle: true, dropLast: dropLast)
    }

    // MARK: Frozen

    @Test func aFrozenNormKeepsItsStatistics() throws {
        for tracks in [false, true] {
            let module = Normed()
            try quietTrainer(maxEpochs: 1).fit(module, train: loader())
            let before = module.statistics
            #expect(try module.freeze("first.*", tracksStatistics: tracks) == 2)
            #expect(module.first.usesBatchStatistics == tracks && module.second.usesBatchStatistics)
            let x = try Points(4).batch([0, 1, 2, 3], dtype: .float32).inputs
            let running = batchNormalization(
                x, mean: module.first.runningMean.value, variance: module.first.runningVariance.value,
                weight: module.first.weight.master, bias: module.first.bias.master)
            if !tracks { #expect(module.first.forward(x).bytes == running.bytes) }
            try quietTrainer(maxEpochs: 1).fit(module, train: loader())
            #expect((Array(module.statistics.prefix(3)) == Array(before.prefix(3))) == !tracks)
            #expect(module.statistics.suffix(3) != before.suffix(3))
        }
    }

    @Test func fineTuningKeepsTheStatisticsOfWhatItFreezes() throws {
        for tracks in [false, true] {
            let module = Normed()
            let before = module.statistics
            var afterEpochs: [[[UInt8]]] = []
            let trainer = quietTrainer(maxEpochs: 2) {
                $0.callbacks = [
                    BackboneFineTuning("first.*", unfreezeAtEpoch: 1, tracksStatistics: tracks),
                    LambdaCallback { $0.onTrainEpochEnd = { _, _ in afterEpochs.append(module.statistics) } },
                ]
            }
            try trainer.fit(module, train: loader())
            #expect((Array(afterEpochs[0].prefix(3)) == Array(before.prefix(3))) == !tracks)
            #expect(afterEpochs[1].prefix(3) != afterEpochs[0].prefix(3), "unfrozen in the second epoch")
        }
    }

    /// Of several optimizers one is trained at a time: the others' norms are not frozen by that.
    @Test func anotherOptimizersTurnFreezesNothing() throws {
        final class Two: Normed {
            override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
                #expect(!first.weight.isFrozen && first.weight.requiresGradient == (optimizer == 0))
                #expect(first.usesBatchStatistics && second.usesBatchStatistics)
                return try trainingStep(batch, index)
            }
            override func configureOptimizers() -> [Optimizer] {
                [
                    SGD(first.parameters() + hidden.parameters(), learningRate: 1e-2),
                    SGD(second.parameters() + head.parameters(), learningRate: 1e-2),
                ]
            }
        }
        let module = Two()
        try quietTrainer(maxEpochs: 1).fit(module, train: loader())
        #expect(module.first.batchesTracked.value.scalars(as: Int64.self) == [10])
    }

    // MARK: Modes

    @Test func aModeIsWhatTheUserSet() throws {
        let module = Normed()
        module.first.evaluate()
        let wanted = module.namedModules().map(\.module.isTraining)
        let before = module.statistics
        let trainer = quietTrainer(maxEpochs: 2) { $0.valCheckInterval = 0.5 }
        try trainer.fit(module, train: loader(), validation: loader(8))
        #expect(module.seenModes.allSatisfy { $0 == wanted } && module.seenModes.count == 10)
        try trainer.validate(module, loader(8))
        _ = try trainer.predict(module, loader(8))
        #expect(module.namedModules().map(\.module.isTraining) == wanted)
        #expect(module.statistics.prefix(3) == before.prefix(3) && module.statistics.suffix(3) != before.suffix(3))
        #expect(trainer.notices.isEmpty)

        module.evaluate()
        try trainer.fit(module, train: loader())
        #expect(module.seenModes.last == [Bool](repeating: false, count: 5))
        #expect(trainer.notices.contains { $0.contains("evaluation mode") })
    }

    // MARK: One value a channel

    @Test func oneValueAChannelIsAnErrorBeforeTheFirstStep() throws {
        let module = Normed()
        let before = ModuleBytes(module)
        let trainer = quietTrainer(maxEpochs: 1)
        let error = #expect(throws: TrainerError.self) { try trainer.fit(module, train: loader(21)) }
        #expect("\(try #require(error))".contains("layer 'first' the input [1, 6]"))
        #expect("\(try #require(error))".contains("dropLast: true"))
        #expect(ModuleBytes(module) == before && trainer.state.globalStep + trainer.state.batchInEpoch == 0)
        #expect(module.seenModes.count == 1, "the check itself")

        try trainer.fit(module, train: loader(21, dropLast: true))
        #expect(trainer.state.globalStep == 5)
        try quietTrainer(maxEpochs: 1) { $0.limitTrainBatches = 5 }.fit(module, train: loader(21))
        #expect(throws: TrainerError.self) {
            try quietTrainer(maxEpochs: 1).fit(Normed(), train: DataLoader(Points(3), batchSize: 1))
        }
    }

    /// Norms that take no statistics, and images of several pixels, may have a batch of one sample.
    @Test func aBatchOfOneSampleIsFineWhereThereAreValues() throws {
        let module = Normed()
        module.first.freeze()
        module.second.evaluate()
        try quietTrainer(maxEpochs: 2).fit(module, train: loader(21))
        let image = try #require(LayerCase.all.first { $0.name == "BatchNorm2d" })
        let trainer = quietTrainer(maxEpochs: 1)
        try trainer.fit(LayerModel(image), train: DataLoader(Samples(image, 9), batchSize: 4))
        #expect(trainer.state.globalStep == 3)
    }

    /// What is unfrozen later is looked at then, before the epoch's first step.
    @Test func unfreezingIsLookedAt() throws {
        let module = Normed()
        module.second.evaluate()
        let trainer = quietTrainer(maxEpochs: 3) {
            $0.callbacks = [BackboneFineTuning("first.*", unfreezeAtEpoch: 1)]
        }
        #expect(throws: TrainerError.self) { try trainer.fit(module, train: loader(21)) }
        #expect(trainer.state.epoch == 1 && trainer.state.batchInEpoch == 0)
    }

    // MARK: Averages

    /// average + (statistics - average) · share, as for weights; counters are the training's.
    @Test(arguments: Precision.allCases) func theMovingAverageHasItsStatistics(_ precision: Precision) throws {
        let module = Normed()
        let averaging = WeightAveraging(.exponential(decay: 0.9))
        var steps: [[Tensor]] = []
        let trainer = quietTrainer(maxEpochs: 2, precision: precision) {
            $0.callbacks = [
                averaging,
                LambdaCallback { $0.onTrainBatchEnd = { _, _, _, _, _ in steps.append(buffers(module)) } },
            ]
        }
        try trainer.fit(module, train: loader(), validation: loader(8))
        var average = steps[0]
        for values in steps.dropFirst() {
            average = zip(average, values).map { old, new in
                new.dtype == .int64 ? new : old + (new - old) * (1 - 0.9)
            }
        }
        #expect(buffers(module).map(\.bytes) == average.map(\.bytes))
    }

    /// The mean over the batches of one pass with the averaged weights, unbiased variances: PyTorch's `update_bn`.
    @Test func theEqualAverageComputesItsStatistics() throws {
        let module = Normed()
        let trainer = quietTrainer(maxEpochs: 4) { $0.callbacks = [WeightAveraging(.equal, from: 2)] }
        let train = loader()
        try trainer.fit(module, train: train, validation: loader(8))
        let (mean, variance) = try statistics(train) { $0 }
        expectNear(module.first.runningMean, mean)
        expectNear(module.first.runningVariance, variance)
        #expect(module.first.batchesTracked.value.scalars(as: Int64.self) == [5])
        // What the second norm sees: first norm by its batch, then the averaged hidden layer.
        let (hiddenMean, hiddenVariance) = try statistics(train) { rows in
            let normed = normalized(rows)
            let weight = module.hidden.weight.master.scalars(as: Double.self)
            let bias = try #require(module.hidden.bias).master.scalars(as: Double.self)
            let factor = module.first.weight.master.scalars(as: Double.self)
            let offset = module.first.bias.master.scalars(as: Double.self)
            return normed.map { row -> [Double] in
                let scaled: [Double] = row.indices.map { row[$0] * factor[$0] + offset[$0] }
                return (0..<8).map { output -> Double in
                    var sum = bias[output]
                    for input in 0..<6 { sum += weight[output * 6 + input] * scaled[input] }
                    return sum
                }
            }
        }
        expectNear(module.second.runningMean, hiddenMean)
        expectNear(module.second.runningVariance, hiddenVariance)
        #expect(module.first.momentum == 0.1)
    }

    /// Validations and checkpoints have statistics of the averaged weights; and the run that is resumed, from the end of any
    /// epoch or within one, has the uninterrupted run's bits.
    @Test func checkpointsOfAveragesHaveTheirStatistics() throws {
        let directory = try TemporaryDirectory()
        func fit(_ name: String, maxSteps: Int? = nil, resume: ResumePoint? = nil) throws -> Normed {
            let module = Normed()
            let trainer = quietTrainer(maxEpochs: 4, maxSteps: maxSteps, precision: .mixedBFloat16) {
                $0.numSanityValSteps = 0
                $0.callbacks = [
                    WeightAveraging(.equal, from: 1),
                    ModelCheckpoint(directory: directory(name), monitor: "val_loss"),
                ]
            }
            try trainer.fit(module, train: loader(), validation: loader(8), resume: resume)
            return module
        }
        let whole = try fit("whole")
        let loaded = Normed()
        try loaded.load(from: directory("whole/last"))
        #expect(loaded.bits == whole.bits && loaded.statistics == whole.statistics)
        let (mean, _) = try statistics(loader()) { $0 }
        expectNear(loaded.first.runningMean, mean, roundings: 0x1p-8 * 4)  // of inputs rounded to bfloat16
        let best = Normed()
        try best.load(from: directory("whole/best"))
        expectNear(best.first.runningMean, mean, roundings: 0x1p-8 * 4)
        for steps in [5, 7, 10, 13, 15] {
            _ = try fit("\(steps)", maxSteps: steps)
            let resumed = try fit("\(steps)", resume: .last)
            #expect(resumed.bits == whole.bits && resumed.statistics == whole.statistics, "after \(steps)")
            for file in try FileManager.default.contentsOfDirectory(atPath: directory("whole/last")) {
                #expect(bytes(directory("\(steps)/last/" + file)) == bytes(directory("whole/last/" + file)), "\(file)")
            }
        }
    }

    /// A signal during the pass ends the run at the next step, with a checkpoint that goes on to the uninterrupted run's bits.
    @Test func aSignalLeavesThePassForLater() throws {
        /// Sends itself a signal in the second batch that it is run on for its statistics.
        final class Interrupted: Normed {
            var batchesToSignal: Int?
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                let isPass = trainer?.isSanityChecking == false && isPassing
                if isPass, let left = batchesToSignal {
                    batchesToSignal = left == 0 ? nil : left - 1
                    if left == 0 { send(SIGTERM) }
                }
                return try super.trainingStep(batch, index)
            }
            var isPassing = false
            override func onTrainEpochEnd() { isPassing = true }
            override func onTrainEpochStart() { isPassing = false }
        }
        let directory = try TemporaryDirectory()
        func fit(_ name: String, signals: Bool = false, resume: ResumePoint? = nil) throws -> Interrupted {
            let module = Interrupted()
            module.batchesToSignal = signals ? 1 : nil
            let trainer = quietTrainer(maxEpochs: 4) {
                $0.handlesSignals = true
                $0.callbacks = [WeightAveraging(.equal, from: 1), ModelCheckpoint(directory: directory(name))]
            }
            do { try trainer.fit(module, train: loader(), resume: resume) } catch let error as RunInterrupted {
                #expect(signals && error.signal == SIGTERM && error.checkpoint == directory(name + "/last"))
                #expect(module.batchesToSignal == nil && trainer.state.epoch == 2)
                let state = text(directory(name + "/last/state.json"))
                #expect(state.contains("\"pending\""), "the statistics are still to be computed")
            }
            return module
        }
        let whole = try fit("whole")
        _ = try fit("stopped", signals: true)
        let resumed = try fit("stopped", resume: .last)
        #expect(resumed.bits == whole.bits && resumed.statistics == whole.statistics)
        for file in try FileManager.default.contentsOfDirectory(atPath: directory("whole/last")) {
            #expect(bytes(directory("stopped/last/" + file)) == bytes(directory("whole/last/" + file)), "\(file)")
        }
    }

    /// Batches that training skips are not in the statistics of an average, nor does it come to nothing where all are such.
    @Test(arguments: [Precision.float32, .mixedFloat16]) func thePassLeavesOutWhatTrainingSkips(
        _ precision: Precision
    ) throws {
        for infinite in [4..<5, 0..<20] {
            let module = Normed()
            let trainer = quietTrainer(maxEpochs: 2, precision: precision) {
                $0.nonFinite = .skip(maxConsecutive: 1000)
                if precision == .mixedFloat16 { $0.lossScale = .fixed(1) }
                $0.callbacks = [WeightAveraging(.equal)]
            }
            let data = Points(20, infiniteRows: infinite)
            try trainer.fit(module, train: DataLoader(data, batchSize: 4), validation: loader(8))
            let values = module.namedBuffers().flatMap { $0.buffer.value.scalars(as: Double.self) }
            #expect(values.allSatisfy { $0.isFinite })
            #expect(trainer.metrics["val_loss"]?.isFinite == true)
            let batches: Int64 = infinite.count == 1 ? 4 : 0
            #expect(module.first.batchesTracked.value.scalars(as: Int64.self) == [batches])
            #expect(trainer.notices.isEmpty == (infinite.count == 1))
        }
    }

    /// A buffer whose values do not change keeps them in an exponential average, a mask's infinities too.
    @Test func aConstantBufferStays() throws {
        final class Masked: Normed {
            let mask = Buffer(Tensor([0, -.infinity, 0.1] as [Float], shape: [3]))
            override func logits(_ x: Tensor) -> Tensor {
                super.logits(x) + Tensor.where(mask.value .> -1, mask.value, Tensor(0))
            }
        }
        let module = Masked()
        let before = module.mask.value.bytes
        try quietTrainer(maxEpochs: 2) { $0.callbacks = [WeightAveraging(.exponential(decay: 0.9))] }
            .fit(module, train: loader(), validation: loader(8))
        #expect(module.mask.value.bytes == before)
    }

    /// The validation at an epoch's end is of the weights that its checkpoints hold.
    @Test func validationsAndCheckpointsOfAnEqualAverageAgree() throws {
        let directory = try TemporaryDirectory()
        let module = Normed()
        let trainer = quietTrainer(maxEpochs: 3) {
            $0.callbacks = [
                WeightAveraging(.equal, from: 1), ModelCheckpoint(directory: directory.path, monitor: "val_loss"),
            ]
        }
        try trainer.fit(module, train: loader(), validation: loader(8))
        let logged = try #require(trainer.metrics["val_loss"])
        for name in ["last", "best"] {
            let loaded = Normed()
            try loaded.load(from: directory(name))
            let metrics = try quietTrainer(maxEpochs: 1).validate(loaded, loader(8))
            let expected = name == "last" ? logged : try Checkpoint(directory(name)).metrics["val_loss"]
            #expect(metrics["val_loss"] == expected, "\(name)")
        }
    }

    /// A norm of a user's own that conforms is frozen, and averaged, as batch norm is.
    @Test func aNormOfOnesOwnConforms() throws {
        final class Centering: Module, Layer, RunningStatisticsHolder {
            let offset = Parameter(.zeros([1]))
            let mean = Buffer(.zeros([1])), batches = Buffer(.zeros([1]))
            var momentum: Double? = 0.1
            func resetStatistics() { for buffer in [mean, batches] { try! buffer.assign(.zeros([1])) } }
            func forward(_ x: Tensor) -> Tensor {
                guard usesBatchStatistics else { return x - mean.value + offset.value }
                let batch = x.detached().mean().reshape([1])
                try! batches.assign(batches.value + 1)
                let share = momentum ?? 1 / batches.value.item()
                try! mean.assign(mean.value * (1 - share) + batch * share)
                return x - batch + offset.value
            }
        }
        final class Own: Normed {
            let centering = Centering()
            override func logits(_ x: Tensor) -> Tensor { super.logits(centering(x)) }
        }
        let module = Own()
        module.centering.freeze()
        let before = module.centering.mean.value.bytes
        try quietTrainer(maxEpochs: 1).fit(module, train: loader())
        #expect(module.centering.mean.value.bytes == before && !module.centering.usesBatchStatistics)
        module.unfreeze()
        try quietTrainer(maxEpochs: 1) { $0.callbacks = [WeightAveraging(.equal)] }.fit(module, train: loader())
        let (mean, _) = try statistics(loader()) { $0 }
        expectNear(module.centering.mean, [mean.reduce(0, +) / 6])
    }

    /// What cannot be trained on is an error that says why, not a trap.
    @Test func aLossThatCannotBeTrainedOnIsAnError() throws {
        final class Odd: Normed {
            var make: (Tensor) -> Tensor = { $0 }
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                make(logits(batch.inputs).cast(to: .float32))
            }
        }
        for (make, word) in [
            ({ $0 }, "has shape [4, 3]"), ({ $0.mean().detached() }, "depends on no parameter"),
        ] as [((Tensor) -> Tensor, String)] {
            let module = Odd()
            module.make = make
            let error = #expect(throws: TrainerError.self) {
                try quietTrainer(maxEpochs: 1).fit(module, train: loader())
            }
            #expect("\(try #require(error))".contains(word))
        }
        let frozen = Normed()
        frozen.freeze()
        let error = #expect(throws: TrainerError.self) { try quietTrainer(maxEpochs: 1).fit(frozen, train: loader()) }
        #expect("\(try #require(error))".contains("are frozen"))
        let one = try Points(1).batch([0], dtype: .float32)
        #expect(throws: TrainerError.self) { try quietTrainer(maxEpochs: 1).autopsy(Normed(), one) }
    }

    /// Without: averaged weights with the statistics of those that train.
    @Test(arguments: [WeightAveraging.Kind.equal, .exponential(decay: 0.5)])
    func statisticsCanBeLeftAlone(_ kind: WeightAveraging.Kind) throws {
        let averaged = Normed(), plain = Normed()
        let averaging = WeightAveraging(kind, statistics: .ofTraining)
        try quietTrainer(maxEpochs: 2) { $0.callbacks = [averaging] }
            .fit(averaged, train: loader(), validation: loader(8))
        try quietTrainer(maxEpochs: 2).fit(plain, train: loader(), validation: loader(8))
        #expect(averaged.statistics == plain.statistics && averaged.bits != plain.bits)
        #expect(averaging.averagedWeights.count == 8)
    }

    /// Training goes on with its own statistics: those of a run without averaging.
    @Test func averagingLeavesTrainingAlone() throws {
        let directory = try TemporaryDirectory()
        func fit(_ name: String, _ callbacks: [Callback]) throws {
            let trainer = quietTrainer(maxEpochs: 3) {
                $0.callbacks = callbacks + [ModelCheckpoint(directory: directory(name))]
            }
            try trainer.fit(Normed(), train: loader(), validation: loader(8))
        }
        try fit("plain", [])
        for kind in [WeightAveraging.Kind.equal, .exponential(decay: 0.5)] {
            try fit("\(kind)", [WeightAveraging(kind)])
            let (averaged, plain) = (directory("\(kind)/last/"), directory("plain/last/"))
            #expect(bytes(averaged + "model.safetensors") == bytes(plain + "model.safetensors"))
        }
    }

    // MARK: References

    private func buffers(_ module: Module) -> [Tensor] { module.namedBuffers().map(\.buffer.value) }

    /// The means over the batches of an epoch of means and unbiased variances of what `body` makes of their rows.
    private func statistics(
        _ loader: DataLoader, _ body: ([[Double]]) throws -> [[Double]]
    ) throws -> (mean: [Double], variance: [Double]) {
        var means: [[Double]] = [], variances: [[Double]] = []
        let batches = loader.batches(epoch: 0)
        while let batch = try batches.next() {
            let values = batch.inputs.cast(to: .float64).scalars(as: Double.self)
            let rows = try body((0..<batch.count).map { Array(values[$0 * 6..<$0 * 6 + 6]) })
            let (mean, variance) = moments(rows)
            means.append(mean)
            variances.append(variance.map { $0 * Double(rows.count) / Double(rows.count - 1) })
        }
        func average(_ lists: [[Double]]) -> [Double] {
            lists[0].indices.map { index in lists.reduce(0) { $0 + $1[index] } / Double(lists.count) }
        }
        return (average(means), average(variances))
    }

    private func moments(_ rows: [[Double]]) -> (mean: [Double], variance: [Double]) {
        let count = Double(rows.count)
        let mean = rows[0].indices.map { index in rows.reduce(0) { $0 + $1[index] } / count }
        let variance = mean.indices.map { index in
            rows.reduce(0) { $0 + ($1[index] - mean[index]) * ($1[index] - mean[index]) } / count
        }
        return (mean, variance)
    }

    private func normalized(_ rows: [[Double]]) -> [[Double]] {
        let (mean, variance) = moments(rows)
        return rows.map { row in row.indices.map { (row[$0] - mean[$0]) / (variance[$0] + 1e-5).squareRoot() } }
    }

    /// Values of about 1 after a norm, a product of 6 terms and means of 20 numbers, each operation with an error of 2^-24
    /// of what it adds up: 64 of them are more than there are one after another, and the sums' terms are below 8.
    private func expectNear(_ buffer: Buffer, _ expected: [Double], roundings: Double = 64 * 0x1p-24) {
        for (found, expected) in zip(buffer.value.scalars(as: Double.self), expected) {
            #expect(abs(found - expected) <= roundings * 8, "found \(found), expected \(expected)")
        }
    }
}
