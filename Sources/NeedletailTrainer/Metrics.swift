// Values that a module logs: the last one of a step and the weighted mean of an epoch, summed in float64.
import NeedletailTensor

/// One logged value under its final name.
public typealias Metric = (name: String, value: Double)

/// Collects what `log` is given during one loop (training or evaluation).
///
/// Names are found by position: a step logs the same names in the same order as the step before it, so the usual case
/// is one string comparison and no hashing. A batch's values count only once the batch is committed. In training that is
/// at the end of its accumulation window, and values that were logged in the step of an optimizer that skipped its update
/// are dropped: they belong to no step, and would turn the epoch's mean into NaN.
package final class MetricStore {
    /// What `onStep` and `onEpoch` mean where `log` does not say: as in Lightning.
    package enum Phase { case trainingStep, evaluationStep, epochHook }

    /// What a batch adds to an epoch's mean.
    struct Term {
        /// The optimizer in whose step it was logged; nil for hooks of the batch.
        let optimizer: Int?
        var sum: Double, weight: Double
    }

    /// One name.
    struct Entry {
        let name: String, stepName: String, epochName: String
        let onStep: Bool, onEpoch: Bool, progressBar: Bool
        var value = 0.0
        var isFresh = false
        /// The value before the batch that runs.
        var earlierValue = 0.0
        /// Of the batch that runs.
        var pending: [Term] = []
        /// Of the earlier batches of an open accumulation window.
        var held: [Term] = []
        var sum = 0.0, weight = 0.0
    }

    /// Weighted sums of an epoch, by name: what a checkpoint in mid-epoch must keep.
    struct Sums: Codable, Equatable {
        let name: String
        let onStep: Bool, onEpoch: Bool, progressBar: Bool
        let value: Double, sum: Double, weight: Double
    }

    package var phase = Phase.trainingStep
    /// What is appended to names: tells loaders apart.
    var suffix = ""
    /// The optimizer whose step is running.
    var optimizer: Int?
    private(set) var entries: [Entry] = []
    private var cursor = 0
    /// The weight of values that are logged without one, in a batch that counts.
    private var sampleCount = 1.0
    private var batchCounts = true
    /// What is wrong with what was logged, the first of several; ``throwFailure()`` throws it.
    private var failure: TrainerError?

    private let firstPhase: Phase

    package init(phase: Phase = .trainingStep) { (self.phase, firstPhase) = (phase, phase) }

    /// Starts a batch of so many samples; `counts`: its loss is of something, so that what is logged enters epoch means.
    package func beginBatch(samples: Int = 1, counts: Bool = true) {
        cursor = 0
        sampleCount = Double(samples)
        batchCounts = counts
        for index in entries.indices { entries[index].isFresh = false }
    }

    /// Records a value under `name`, which counts `weight` times in the epoch's mean; nil: once a sample.
    package func record(
        _ base: String, _ value: Double, onStep: Bool?, onEpoch: Bool?, progressBar: Bool, weight: Double? = nil
    ) {
        let weight = weight ?? sampleCount
        guard weight >= 0 && weight.isFinite else {
            return fail(base, "has the weight \(weight), expected a finite number of at least 0")
        }
        guard !base.isEmpty else { return fail(base, "has no name, expected one that is not empty") }
        let name = suffix.isEmpty ? base : base + suffix
        if cursor >= entries.count || entries[cursor].name != name {
            cursor =
                entries.firstIndex { $0.name == name }
                ?? append(name, onStep: onStep, onEpoch: onEpoch, progressBar: progressBar)
        }
        if !entries[cursor].isFresh { entries[cursor].earlierValue = entries[cursor].value }
        entries[cursor].value = value
        entries[cursor].isFresh = true
        if batchCounts, weight > 0 {  // the mean of nothing is NaN, and counts for nothing
            entries[cursor].add(value * weight, weight: weight, optimizer)
        }
        cursor += 1
    }

    /// Keeps what is wrong with a value: whoever logs it cannot be thrown at.
    package func fail(_ name: String, _ why: String) {
        if failure == nil { failure = .badMetric(name: name + suffix, why: why) }
    }

    /// Throws ``TrainerError/badMetric(name:why:)`` where something was logged that cannot be, since the last call.
    package func throwFailure() throws {
        defer { failure = nil }
        if let failure { throw failure }
    }

    private func append(_ name: String, onStep: Bool?, onEpoch: Bool?, progressBar: Bool) -> Int {
        let onStep = onStep ?? (phase == .trainingStep)
        let onEpoch = onEpoch ?? (phase != .trainingStep)
        let forked = onStep && onEpoch
        entries.append(
            Entry(
                name: name, stepName: forked ? forkedName(name, "_step") : name,
                epochName: forked ? forkedName(name, "_epoch") : name,
                onStep: onStep, onEpoch: onEpoch, progressBar: progressBar))
        return entries.count - 1
    }

    /// The name with `_step` or `_epoch`, which stands before the loader's name.
    private func forkedName(_ name: String, _ ending: String) -> String {
        name.dropLast(suffix.count) + ending + suffix
    }

    /// Ends a batch: adds its values to the epoch's sums, or drops them.
    package func endBatch(counts: Bool) {
        for index in entries.indices {
            if counts { for term in entries[index].pending { entries[index].commit(term) } }
            entries[index].pending.removeAll(keepingCapacity: true)
        }
    }

    /// Drops the values of an evaluated batch that are NaN because `means` has one of nothing; all of the batch's, also those
    /// that are yet to be logged, where none of its means is of anything.
    func dropEmpty(_ means: LossMeans) {
        guard means.hasEmpty else { return }
        let isNaN = { (term: Term) in term.sum.isNaN }
        let notNumbers = entries.count { $0.pending.contains(where: isNaN) }
        // More than there are means of nothing: some are NaN for another reason, which must show.
        guard notNumbers > 0, !means.hasCounted || notNumbers <= means.emptyCount else { return }
        batchCounts = means.hasCounted
        for index in entries.indices {
            entries[index].pending.removeAll { !batchCounts || isNaN($0) }
        }
    }

    /// Drops what the batch has logged so far in the step of `optimizer`, whose loss is not finite; where it `isEmpty`, a mean of
    /// nothing, by step too.
    func dropBatch(of optimizer: Int, isEmpty: Bool) {
        for index in entries.indices {
            if isEmpty, entries[index].pending.contains(where: { $0.optimizer == optimizer }) {
                (entries[index].isFresh, entries[index].value) = (false, entries[index].earlierValue)
            }
            entries[index].pending.removeAll { $0.optimizer == optimizer }
        }
    }

    /// Ends a batch of an accumulation window; whether its values count is decided by ``endWindow(_:)``.
    /// `hooksCount`: what hooks have logged may count.
    func holdBatch(hooksCount: Bool) {
        for index in entries.indices {
            entries[index].held += entries[index].pending.filter { hooksCount || $0.optimizer != nil }
            entries[index].pending.removeAll(keepingCapacity: true)
        }
    }

    /// Ends an accumulation window: adds what was held to the epoch's sums, but for the steps of optimizers that skipped
    /// their update. What hooks have logged counts where any optimizer has updated.
    func endWindow(_ result: StepResult) {
        for index in entries.indices {
            for term in entries[index].held
            where term.optimizer.map({ result.outcomes[$0] == .applied }) ?? result.isApplied {
                entries[index].commit(term)
            }
            entries[index].held.removeAll(keepingCapacity: true)
        }
    }

    /// The values of this step that are logged by step.
    package var stepMetrics: [Metric] { entries.filter { $0.onStep && $0.isFresh }.map { ($0.stepName, $0.value) } }

    /// The epoch's weighted means so far.
    package var epochMetrics: [Metric] {
        entries.filter { $0.onEpoch && $0.weight > 0 }.map { ($0.epochName, $0.sum / $0.weight) }
    }

    /// What the progress bar shows of values logged with `progressBar`: the last step's, or the epoch's mean where there is
    /// none. At the epoch's end (`finished`) it is the other way round.
    func progressBarMetrics(finished: Bool) -> [Metric] {
        entries.compactMap { entry in
            guard entry.progressBar else { return nil }
            let hasMean = entry.onEpoch && entry.weight > 0
            if hasMean, finished || !entry.onStep { return (entry.epochName, entry.sum / entry.weight) }
            return entry.onStep ? (entry.stepName, entry.value) : nil
        }
    }

    /// Forgets the epoch's sums; names stay.
    package func beginEpoch() {
        for index in entries.indices {
            entries[index].sum = 0
            entries[index].weight = 0
            entries[index].isFresh = false
        }
    }

    /// The sums, for a checkpoint.
    var sums: [Sums] {
        entries.map {
            Sums(
                name: $0.name, onStep: $0.onStep, onEpoch: $0.onEpoch, progressBar: $0.progressBar, value: $0.value,
                sum: $0.sum, weight: $0.weight)
        }
    }

    /// Forgets everything, as at the beginning of a fit.
    func reset() {
        restore([])
        phase = firstPhase
        optimizer = nil
        cursor = 0
        (sampleCount, batchCounts) = (1, true)
    }

    /// Goes on from sums that a checkpoint kept.
    func restore(_ sums: [Sums]) {
        entries = []
        suffix = ""
        failure = nil
        for kept in sums {
            let index = append(kept.name, onStep: kept.onStep, onEpoch: kept.onEpoch, progressBar: kept.progressBar)
            entries[index].value = kept.value
            entries[index].sum = kept.sum
            entries[index].weight = kept.weight
        }
    }
}

extension MetricStore.Entry {
    /// Adds to the batch's term of `optimizer`.
    fileprivate mutating func add(_ sum: Double, weight: Double, _ optimizer: Int?) {
        if let last = pending.indices.last, pending[last].optimizer == optimizer {
            pending[last].sum += sum
            pending[last].weight += weight
        } else {
            pending.append(.init(optimizer: optimizer, sum: sum, weight: weight))
        }
    }

    /// Adds a term to the epoch's sums.
    fileprivate mutating func commit(_ term: MetricStore.Term) {
        sum += term.sum
        weight += term.weight
    }
}
