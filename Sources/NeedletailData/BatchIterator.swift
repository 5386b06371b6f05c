// The consumer's end of an epoch's batches, and the bounded queue and thread behind it.
import Foundation
import NeedletailTensor
import Synchronization

/// The batches of one epoch, in order.
///
/// Where the loader prefetches, one thread prepares them ahead; it ends with the last batch, with an error, or when the
/// iterator is let go.
public final class BatchIterator {
    private enum Source {
        case direct(order: [Int])
        case queue(PrefetchQueue)
    }

    /// The index in the epoch of the batch that `next` gives next.
    public private(set) var position: Int

    private let plan: BatchPlan
    private let source: Source
    private var failure: (any Error)?

    init(_ plan: BatchPlan, prefetch: Int) {
        self.plan = plan
        position = plan.batches.lowerBound
        // Where no thread can be had, batches are prepared when they are asked for.
        let queue = prefetch == 0 || plan.batches.isEmpty ? nil : PrefetchQueue(capacity: prefetch)
        if let queue, BackgroundThread.start("needletail.prefetch", { queue.fill(from: plan) }) {
            source = .queue(queue)
        } else {
            source = .direct(order: plan.batches.isEmpty ? [] : plan.sampler.order(epoch: plan.epoch))
        }
    }

    deinit {
        if case .queue(let queue) = source { queue.cancel() }
    }

    /// The next batch, or nil after the last one. Throws what the dataset threw for it; after that, throws the same
    /// again.
    public func next() throws -> Batch? {
        if let failure { throw failure }
        guard position < plan.batches.upperBound else { return nil }
        do {
            let batch =
                switch source {
                case .direct(let order): try plan.guardedBatch(position, order: order)
                case .queue(let queue): try queue.take().get()
                }
            position += 1
            return batch
        } catch {
            failure = error
            throw error
        }
    }
}

/// A bounded queue between the thread that prepares batches and the one that uses them.
///
/// `free` counts the places left and `ready` the batches waiting, so neither side spins and the lock is held only to
/// move one value.
final class PrefetchQueue: Sendable {
    private struct State {
        var waiting: [Result<Batch, any Error>] = []
        var isCancelled = false
    }

    private let state = Mutex(State())
    // Both start at 0 (places are signalled below): libdispatch traps on a semaphore let go below its first value.
    private let free = DispatchSemaphore(value: 0)
    private let ready = DispatchSemaphore(value: 0)

    init(capacity: Int) {
        for _ in 0..<capacity { free.signal() }
    }

    /// Prepares the batches of `plan`, never more than the capacity ahead, until the last, an error, or `cancel`.
    func fill(from plan: BatchPlan) {
        var next = plan.batches.lowerBound
        // What a dataset does wrong ends the epoch, not the program.
        let outcome = Result {
            try operationOutcome {
                let order = plan.sampler.order(epoch: plan.epoch)
                while next < plan.batches.upperBound {
                    self.free.wait()
                    if self.state.withLock({ $0.isCancelled }) { return }
                    self.put(.success(try plan.batch(next, order: order)))
                    next += 1
                }
            }
        }
        switch outcome {
        case .success(.success): break
        case .success(.failure(let error)): put(.failure(plan.error(next, error)))
        case .failure(let error): put(.failure(error))
        }
    }

    private func put(_ batch: Result<Batch, any Error>) {
        state.withLock { $0.waiting.append(batch) }
        ready.signal()
    }

    /// The next batch, waiting for it where it is not ready. To be called once a batch, and not after an error.
    func take() -> Result<Batch, any Error> {
        ready.wait()
        defer { free.signal() }
        return state.withLock { $0.waiting.removeFirst() }
    }

    /// Ends `fill` before its next batch.
    func cancel() {
        state.withLock {
            $0.isCancelled = true
            $0.waiting = []
        }
        free.signal()
    }
}
