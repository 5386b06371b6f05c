// Values that a module logs: the last one of a step and the weighted mean of an epoch, summed in float64.

/// One logged value under its final name.
public typealias Metric = (name: String, value: Double)

/// Collects what `log` is given during one loop (training or evaluation).
///
/// Names are found by position: a step logs the same names in the same order as the step before it, so the usual case
/// is one string comparison and no hashing. A batch's values count only once the batch is committed; those of a batch
/// that was skipped for a non-finite loss are dropped, because they would turn the epoch's mean into NaN.
package final class MetricStore {
    /// What `onStep` and `onEpoch` mean where `log` does not say: as in Lightning.
    package enum Phase { case trainingStep, evaluationStep, epochHook }

    /// One name.
    struct Entry {
        let name: String, stepName: String, epochName: String
        let onStep: Bool, onEpoch: Bool, progressBar: Bool
        var value = 0.0
        var isFresh = false
        var pendingSum = 0.0, pendingWeight = 0.0
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
    private(set) var entries: [Entry] = []
    private var cursor = 0
    private var batchWeight = 1.0

    package init(phase: Phase = .trainingStep) { self.phase = phase }

    /// Starts a batch of the given weight.
    package func beginBatch(weight: Double) {
        cursor = 0
        batchWeight = weight
        for index in entries.indices { entries[index].isFresh = false }
    }

    /// Records a value under `name`.
    package func record(_ base: String, _ value: Double, onStep: Bool?, onEpoch: Bool?, progressBar: Bool) {
        let name = suffix.isEmpty ? base : base + suffix
        if cursor >= entries.count || entries[cursor].name != name {
            cursor =
                entries.firstIndex { $0.name == name }
                ?? append(name, onStep: onStep, onEpoch: onEpoch, progressBar: progressBar)
        }
        entries[cursor].value = value
        entries[cursor].isFresh = true
        if batchWeight > 0 {  // the mean of nothing is NaN, and counts for nothing
            entries[cursor].pendingSum += value * batchWeight
            entries[cursor].pendingWeight += batchWeight
        }
        cursor += 1
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
            if counts {
                entries[index].sum += entries[index].pendingSum
                entries[index].weight += entries[index].pendingWeight
            }
            entries[index].pendingSum = 0
            entries[index].pendingWeight = 0
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

    /// Goes on from sums that a checkpoint kept.
    func restore(_ sums: [Sums]) {
        entries = []
        suffix = ""
        for kept in sums {
            let index = append(kept.name, onStep: kept.onStep, onEpoch: kept.onEpoch, progressBar: kept.progressBar)
            entries[index].value = kept.value
            entries[index].sum = kept.sum
            entries[index].weight = kept.weight
        }
    }
}
