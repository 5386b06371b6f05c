// Finds a batch size before training.
import NeedletailTensor

/// Times training steps with batch sizes that double, and trains with the smallest that is nearly as fast a sample as any.
///
/// On a CPU a larger batch stops paying once the matrix products fill the caches; memory is seldom what limits it. The search
/// ends before a size that would need more memory than ``memoryLimit``, or than can be had. It leaves no trace but the batch size, which a
/// resumed run takes from its checkpoint: times vary, so a run with this callback is repeatable only from there on.
/// The learning rate stays; batches of several times the size may want a larger one.
public final class BatchSizeFinder: Callback {
    /// One batch size.
    public struct Trial: Sendable, Equatable {
        /// The rows of a batch.
        public let batchSize: Int
        /// Samples trained on a second.
        public let samplesPerSecond: Double
        /// By how many bytes the process's memory stands above where the search began.
        public let bytes: Int
    }

    /// The sizes that are tried: the smaller one doubled until it is above the larger one, or above the number of samples.
    public let sizes: ClosedRange<Int>
    /// The share of the best rate that is good enough.
    public let tolerance: Double
    /// The most bytes that a step may take; nil: half of what is free within the limits of machine, container and process.
    public let memoryLimit: Int?
    /// What the last fit's search has measured.
    public private(set) var trials: [Trial] = []
    /// The size that the last fit trains with; nil where there was neither a search nor a checkpoint.
    public private(set) var batchSize: Int?
    private let clock: () -> Double

    /// Tries sizes from the smaller to the larger one; `clock` gives seconds.
    public init(
        _ sizes: ClosedRange<Int> = 8...4096, tolerance: Double = 0.95, memoryLimit: Int? = nil,
        clock: (() -> Double)? = nil
    ) {
        require(sizes.lowerBound >= 1, "BatchSizeFinder: sizes begin at \(sizes.lowerBound), expected at least 1")
        require((0...1).contains(tolerance), "BatchSizeFinder: tolerance is \(tolerance), expected 0 to 1")
        self.sizes = sizes
        self.tolerance = tolerance
        self.memoryLimit = memoryLimit
        self.clock = clock ?? monotonicSeconds
    }

    public override func reset() {
        trials = []
        batchSize = nil
    }

    package override var isLeftOutOfDevelopmentRuns: Bool { true }

    package override func search(_ trial: FitTrial) throws {
        if let resumed = trial.resumed {
            batchSize = resumed.content.loader?.batchSize
        } else {
            let count = trial.train.dataset.count
            if trial.train.dropLast, sizes.lowerBound > count {
                throw TrainerError.badOption(
                    name: "BatchSizeFinder: sizes",
                    found: "from \(sizes.lowerBound) on, and dropLast leaves out a smaller batch",
                    expected: "from at most \(count) on, the samples that there are")
            }
            let limit = memoryLimit ?? ProcessMemory.available / 2
            let before = ProcessMemory.resident
            var size = sizes.lowerBound
            while size <= sizes.upperBound, size <= trial.train.dataset.count || trials.isEmpty {
                guard let rate = try samplesPerSecondIfItFits(trial, size) else { break }
                let bytes = max(0, ProcessMemory.resident - before)
                trials.append(Trial(batchSize: size, samplesPerSecond: rate, bytes: bytes))
                if bytes > limit / 2 { break }  // twice the size takes at most twice as much
                size *= 2
            }
            batchSize = choice
        }
        guard let batchSize else { return }
        trial.train = trial.train.batched(by: batchSize)
    }

    /// The smallest size whose rate is within the tolerance of the best one. A rate that is not finite, where the clock did not
    /// move, is no best; where all are, the smallest size is chosen.
    private var choice: Int? {
        let measured = trials.filter(\.samplesPerSecond.isFinite)
        let best = measured.map(\.samplesPerSecond).max() ?? 0
        return (measured.first { $0.samplesPerSecond >= tolerance * best } ?? trials.first)?.batchSize
    }

    /// The rate with batches of `size`; nil, and a notice, where there is no memory for them.
    private func samplesPerSecondIfItFits(_ trial: FitTrial, _ size: Int) throws -> Double? {
        var reason = "the system has no such block"
        // Twice the size takes at most twice as much. What is left of a step that ran out of memory cannot be freed, so it is
        // better not to begin it.
        if trials.last.map({ ProcessMemory.canTake(2 * $0.bytes) }) ?? true {
            do { return try samplesPerSecond(trial, size) } catch let error as OperationError where error.isOutOfMemory
            {
                StoragePool.releaseFree()
                reason = error.message
            }
        }
        guard let last = trials.last else {
            throw TrainerError.badOption(
                name: "BatchSizeFinder: sizes", found: "\(size), for which there is no memory (\(reason))",
                expected: "a smaller first size")
        }
        trial.trainer.notice(
            "BatchSizeFinder: there is no memory for batches of \(size) (\(reason)); the search ends with \(last.batchSize)"
        )
        return nil
    }

    /// The best of three steps after one that does not count.
    private func samplesPerSecond(_ trial: FitTrial, _ size: Int) throws -> Double {
        let own = trial.train
        defer { trial.train = own }
        trial.train = own.batched(by: size)
        return try trial.trying { step in
            try throwingOperationErrors { [clock] in
                var source = BatchSource(trial.train)
                _ = try step.run(source.next(), 0, closesWindow: true)
                var best = 0.0
                for _ in 0..<3 {
                    try ProcessSignals.throwWhereAsked(trial.trainer)
                    let batch = try source.next()
                    let start = clock()
                    _ = try step.run(batch, 0, closesWindow: true)
                    let seconds = clock() - start
                    best = max(best, seconds > 0 ? Double(batch.count) / seconds : .infinity)
                }
                return best
            }
        }
    }
}
