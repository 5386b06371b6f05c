// The rate falls when a metric no longer gets better.

/// Multiplies the rate by `factor` when a metric has not got better for more than `patience` epochs, as
/// `torch.optim.lr_scheduler.ReduceLROnPlateau`.
///
/// ```text
/// better: metric < best - threshold (·|best| where relative: best (1 - threshold), as in PyTorch); for .max mirrored
/// rate after each reduction: max(rate · factor, minimum), where that is lower by more than `smallestChange`
/// ```
///
/// A metric that is not finite is not better, also where it is the first: the first finite one is the best so far. (PyTorch takes a
/// first -inf, or inf with `.max`, for the best for good.) The counter of the schedule counts reductions.
public struct ReduceOnPlateau: MonitoredSchedule {
    /// Which values of the metric are good.
    public enum Mode: String, Sendable {
        /// Small ones.
        case min
        /// Large ones.
        case max
    }

    /// By how much a value must be better than the best so far to count as better.
    public enum Threshold: Sendable, Equatable {
        /// By this share of the best.
        case relative(Double)
        /// By this much.
        case absolute(Double)
    }

    /// The metric's name.
    public var monitor: String
    /// Which of its values are good.
    public var mode: Mode
    /// What the rate is multiplied by.
    public var factor: Double
    /// How many epochs in a row may be no better.
    public var patience: Int
    /// By how much a value must be better.
    public var threshold = Threshold.relative(1e-4)
    /// For how many epochs after a reduction none is counted as no better.
    public var cooldown = 0
    /// The lowest rate.
    public var minimum = 0.0
    /// Reductions by no more than this are left out (`eps`).
    public var smallestChange = 1e-8

    /// Reductions by `factor` after more than `patience` epochs in which `monitor` did not get better; with PyTorch's
    /// settings for everything that is set later.
    public init(monitor: String, mode: Mode = .min, factor: Double = 0.1, patience: Int = 10) {
        self.monitor = monitor
        self.mode = mode
        self.factor = factor
        self.patience = patience
    }

    /// The rate after `count` reductions.
    public func learningRate(base: Double, after count: Int) -> Double {
        var rate = base
        for _ in 0..<count {
            let next = max(rate * factor, minimum)
            guard rate - next > smallestChange else { break }  // later ones would be as small
            rate = next
        }
        return rate
    }

    /// Takes the metric of one epoch.
    public func observe(_ metric: Double, _ state: inout ScheduleState) {
        if isImprovement(metric, over: state.values["best"]) {
            state.values["best"] = metric
            state.values["badEpochs"] = 0
        } else {
            state.values["badEpochs", default: 0] += 1
        }
        if let cooldown = state.values["cooldown"], cooldown > 0 {
            state.values["cooldown"] = cooldown - 1
            state.values["badEpochs"] = 0
        }
        if state.values["badEpochs", default: 0] > Double(patience) {
            state.count += 1
            state.values["cooldown"] = Double(cooldown)
            state.values["badEpochs"] = 0
        }
    }

    private func isImprovement(_ metric: Double, over best: Double?) -> Bool {
        guard metric.isFinite else { return false }
        guard let best, best.isFinite else { return true }
        return isBetter(metric, than: best)
    }

    private func isBetter(_ metric: Double, than best: Double) -> Bool {
        switch (mode, threshold) {
        case (.min, .relative(let share)): metric < best * (1 - share)
        case (.min, .absolute(let margin)): metric < best - margin
        case (.max, .relative(let share)): metric > best * (share + 1)
        case (.max, .absolute(let margin)): metric > best + margin
        }
    }

    /// Throws ``ScheduleError`` for an option outside its range.
    public func validate() throws(ScheduleError) {
        try check(!monitor.isEmpty, "monitor", "no name", "the name of a logged metric")
        try check(factor >= 0 && factor < 1, "factor", factor, "a number in [0, 1)")
        try check(patience >= 0, "patience", patience, "0 or more")
        try check(cooldown >= 0, "cooldown", cooldown, "0 or more")
        try checkRate(minimum, "minimum")
        try checkRate(smallestChange, "smallestChange")
        switch threshold {
        case .relative(let value), .absolute(let value): try checkRate(value, "threshold")
        }
    }
}
