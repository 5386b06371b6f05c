// What epoch means are weighted by: samples, or what a value says of itself.
import Needletail
import Testing

/// Rows whose input is their index; of the targets of row r, [3], the first r % 4 are ignored.
private struct Counted: Dataset {
    let count: Int

    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        let targets = indices.flatMap { row in (0..<3).map { $0 < row % 4 ? Int64(-100) : 0 } }
        return Batch(
            inputs: Tensor(indices.map { Float($0) }, shape: [indices.count, 1]).cast(to: dtype),
            targets: Tensor(targets, shape: [indices.count, 3]))
    }
}

/// Logs the mean of its inputs with the weight that values have by themselves, and with one of its own.
private final class Logging: TrainingModule {
    let layer: Linear

    override init() {
        var generator = SeededGenerator(seed: 1)
        layer = Linear(1, 1, using: &generator)
    }

    /// What is logged for a batch: the mean of its rows.
    static func value(_ batch: Batch) -> Double { batch.inputs.cast(to: .float32).mean().item() }
    /// A weight that nothing else has, 0 for the first batch.
    static func weight(_ batch: Batch) -> Double { batch.inputs.cast(to: .float64).scalars(as: Double.self)[0] / 8 }

    func logAll(_ prefix: String, _ batch: Batch) {
        log(prefix + "_samples", Self.value(batch), onEpoch: true)
        log(prefix + "_tensor", Tensor(Self.value(batch)), onEpoch: true)
        log(prefix + "_targets", Self.value(batch), onEpoch: true, weight: lossWeight(of: batch))
        log(prefix + "_own", Tensor(Self.value(batch)), onEpoch: true, weight: Self.weight(batch))
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        logAll("train", batch)
        return layer(batch.inputs).cast(to: .float32).mean()
    }
    override func onTrainBatchEnd(_ result: StepResult, _ batch: Batch, _ index: Int) { logAll("hook", batch) }
    override func validationStep(_ batch: Batch, _ index: Int) throws { logAll("val", batch) }
    override func testStep(_ batch: Batch, _ index: Int) throws { logAll("test", batch) }
    override func configureOptimizers() -> [Optimizer] { [SGD(parameters(), learningRate: 0)] }
}

@Suite struct LogWeightTests {
    /// The epoch means of the rows in batches of `batchSize`, by what is logged, of batches that have a target.
    private func expected(_ data: Counted, batchSize: Int) throws -> [String: Double] {
        let module = Logging()
        var sums: [String: (sum: Double, weight: Double)] = [:]
        for start in stride(from: 0, to: data.count, by: batchSize) {
            let batch = try data.batch(Array(start..<min(start + batchSize, data.count)), dtype: .float32)
            let targets = module.lossWeight(of: batch)
            guard targets > 0 else { continue }
            let value = Logging.value(batch), samples = Double(batch.count)
            for (name, weight) in [
                ("samples", samples), ("tensor", samples), ("targets", targets), ("own", Logging.weight(batch)),
            ] {
                sums[name, default: (0, 0)].sum += value * weight
                sums[name, default: (0, 0)].weight += weight
            }
        }
        return sums.mapValues { $0.sum / $0.weight }
    }

    /// Batches of unequal size and unequal counts of targets, windows of one and of three, training, its hooks, validation and
    /// test, one loader and two. Sums are of small integers and eighths: exact in float64.
    @Test(arguments: [1, 3], [1, 3, 4, 5])
    func meansAreWeightedBySamplesOrAsGiven(_ accumulate: Int, _ batchSize: Int) throws {
        let data = Counted(count: 14)
        let expected = try expected(data, batchSize: batchSize)
        let trainer = quietTrainer(maxEpochs: 1) { $0.accumulateGradBatches = accumulate }
        let module = Logging()
        let loader = DataLoader(data, batchSize: batchSize)
        try trainer.fit(module, train: loader, validation: loader)
        for (name, mean) in expected {
            #expect(trainer.metrics["train_\(name)_epoch"] == mean, "train_\(name)")
            if batchSize != 1 { #expect(trainer.metrics["hook_\(name)_epoch"] == mean, "hook_\(name)") }
            #expect(trainer.metrics["val_\(name)"] == mean, "val_\(name)")
        }
        let other = Counted(count: 9)
        let means = try trainer.test(
            module, ["a": loader, "b": DataLoader(other, batchSize: batchSize)])
        for (name, mean) in expected { #expect(means["test_\(name)/a"] == mean, "\(name)/a") }
        for (name, mean) in try self.expected(other, batchSize: batchSize) {
            #expect(means["test_\(name)/b"] == mean, "\(name)/b")
        }
    }

    @Test(arguments: [-1, .nan, .infinity] as [Double]) func aWeightMustBeANumber(_ weight: Double) {
        let store = MetricStore()
        store.record("loss", 1, onStep: nil, onEpoch: nil, progressBar: false, weight: weight)
        let error = #expect(throws: TrainerError.self) { try store.throwFailure() }
        #expect("\(error as Any)".contains("'loss' has the weight \(weight)"))
        #expect(throws: Never.self) { try store.throwFailure() }
    }
}
