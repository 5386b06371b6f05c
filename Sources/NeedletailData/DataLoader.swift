// Batches of a dataset, epoch after epoch, from any position.
public import NeedletailTensor

/// Cuts a dataset into batches, in a seeded order, and prepares them ahead on a thread of its own.
///
/// The batches of epoch e depend on the dataset, the options and e only: not on earlier epochs, nor on where reading
/// started. So (epoch, batch index) is all that a checkpoint needs.
///
///     let (train, _) = Digits.load()
///     let loader = DataLoader(train, batchSize: 64, shuffle: true, seed: 1)
///     let batches = loader.batches(epoch: 0)
///     while let batch = try batches.next() { print(batch.targets) }
public final class DataLoader {
    /// The samples.
    public let dataset: any Dataset
    /// The number of rows of every batch but perhaps the last.
    public let batchSize: Int
    /// Whether a last batch of fewer rows is left out.
    public let dropLast: Bool
    /// The most batches prepared ahead; 0 prepares each when it is asked for, while the caller waits.
    public let prefetch: Int
    /// The order of the samples.
    public let sampler: Sampler
    /// The type of the inputs; a trainer sets it to its compute type.
    public var dtype: DType = .float32

    /// Batches of `batchSize` rows of `dataset`, shuffled anew in each epoch where `shuffle` is true.
    public init(
        _ dataset: any Dataset, batchSize: Int, shuffle: Bool = false, seed: UInt64 = 0, dropLast: Bool = false,
        prefetch: Int = 2
    ) {
        require(batchSize > 0, "DataLoader: found batch size \(batchSize), expected 1 or more")
        require(prefetch >= 0, "DataLoader: found prefetch \(prefetch), expected 0 or more")
        self.dataset = dataset
        self.batchSize = batchSize
        self.dropLast = dropLast
        self.prefetch = prefetch
        sampler = Sampler(count: dataset.count, seed: shuffle ? seed : nil)
    }

    /// A loader of the same samples in the order in which they stand.
    package func inOrder() -> DataLoader {
        DataLoader(dataset, batchSize: batchSize, dropLast: dropLast, prefetch: prefetch)
    }

    /// A loader of the same samples in the same order, in batches of another size.
    package func batched(by batchSize: Int) -> DataLoader {
        DataLoader(
            dataset, batchSize: batchSize, shuffle: sampler.seed != nil, seed: sampler.seed ?? 0, dropLast: dropLast,
            prefetch: prefetch)
    }

    /// The number of batches of an epoch.
    public var batchCount: Int { sampler.count / batchSize + (dropLast || sampler.count % batchSize == 0 ? 0 : 1) }

    /// Why an epoch has no batch; nil where it has one.
    package var reasonForNoBatches: String? {
        guard batchCount == 0 else { return nil }
        if sampler.count == 0 { return "0 samples" }
        let samples = sampler.count == 1 ? "1 sample is" : "\(sampler.count) samples are"
        return "\(samples) fewer than a batch of \(batchSize), and dropLast leaves incomplete ones out"
    }

    /// The batches of an epoch, from batch `first` on (0 to `batchCount`), before batch `end` where it is given.
    public func batches(epoch: Int, from first: Int = 0, upTo end: Int? = nil) -> BatchIterator {
        require(epoch >= 0, "DataLoader.batches: found epoch \(epoch), expected 0 or more")
        require(
            (0...batchCount).contains(first),
            "DataLoader.batches: found first batch \(first), expected 0 to \(batchCount)")
        let end = min(end ?? batchCount, batchCount)
        let plan = BatchPlan(
            dataset: dataset, sampler: sampler, epoch: epoch, batchSize: batchSize, batches: first..<max(first, end),
            dtype: dtype)
        return BatchIterator(plan, prefetch: prefetch)
    }
}

/// All that is needed to make the batches of an epoch, on whatever thread.
struct BatchPlan: Sendable {
    let dataset: any Dataset
    let sampler: Sampler
    let epoch: Int
    let batchSize: Int
    let batches: Range<Int>
    let dtype: DType

    /// Batch `index` of the epoch whose order is `order`.
    func batch(_ index: Int, order: [Int]) throws -> Batch {
        let start = index * batchSize
        let indices = Array(order[start..<(start + min(batchSize, order.count - start))])
        let batch = try dataset.batch(indices, dtype: dtype)
        guard batch.count == indices.count else {
            throw DatasetError(
                dataset: "\(type(of: dataset))", batch: index, epoch: epoch,
                why: "found \(batch.count) samples, expected \(indices.count), one for each index")
        }
        return batch
    }

    /// The same, where what would end the program is thrown.
    func guardedBatch(_ index: Int, order: [Int]) throws -> Batch {
        switch try operationOutcome({ try batch(index, order: order) }) {
        case .success(let batch): return batch
        case .failure(let failure): throw error(index, failure)
        }
    }

    /// What is thrown where batch `index` would have ended the program.
    func error(_ index: Int, _ failure: OperationError) -> DatasetError {
        DatasetError(dataset: "\(type(of: dataset))", batch: index, epoch: epoch, why: failure.message)
    }
}
