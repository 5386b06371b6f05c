// Batches without end, epoch after epoch.
import NeedletailData

/// The loader's batches from epoch 0 on.
struct BatchSource {
    private let loader: DataLoader
    private var epoch = 0
    private var batches: BatchIterator

    init(_ loader: DataLoader) {
        self.loader = loader
        batches = loader.batches(epoch: 0)
    }

    /// The next batch. Throws ``TrainerError/noBatches(loader:why:)`` where an epoch has none.
    mutating func next() throws -> Batch {
        if let batch = try batches.next() { return batch }
        epoch += 1
        batches = loader.batches(epoch: epoch)
        guard let batch = try batches.next() else {
            throw TrainerError.noBatches(
                loader: Stage.fit.noun, why: loader.reasonForNoBatches ?? "epoch \(epoch) gave none")
        }
        return batch
    }
}
