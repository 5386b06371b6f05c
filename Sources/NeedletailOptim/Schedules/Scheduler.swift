// A schedule at work on an optimizer: the counter, and the rates that it sets.
import NeedletailTensor

/// Sets the learning rates of an optimizer's groups by a schedule, from the groups' own rates and the count of applied
/// steps (or of epochs with one).
///
/// A trainer moves the schedulers that `configureSchedules(for:)` gives it. In a loop of your own, call
/// ``stepWasApplied()`` after each applied step, never after a skipped one, and ``epochEnded(metric:)`` after each epoch:
///
///     let scheduler = try Scheduler(CosineAnnealing(steps: 1000), of: optimizer)
///     if check.isFinite {
///         optimizer.step(check: check)
///         scheduler.stepWasApplied()
///     }
public final class Scheduler {
    /// What moves the counter.
    public enum Interval: String, Codable, Sendable {
        /// Each applied step.
        case step
        /// The end of each epoch in which a step was applied.
        case epoch
    }

    /// A group's own rate, and its momentum where it has one.
    private struct Base {
        var learningRate: Double
        var momentum: Double?
    }

    /// The schedule.
    public let schedule: any LearningRateSchedule
    /// The optimizer whose rates are set.
    public let optimizer: Optimizer
    /// What moves the counter.
    public let interval: Interval
    /// The counter, and what else must be remembered.
    public private(set) var state = ScheduleState()
    private var bases: [Base] = []

    /// Puts `optimizer` under `schedule` and sets the first rates; the rates that groups have now are their own.
    ///
    /// - Parameter interval: by step where nil, by epoch for a schedule that monitors a metric.
    /// - Throws: ``ScheduleError`` for an option outside its range, for a schedule that cycles the momentum of an optimizer
    ///   without one, and for a monitored metric by step.
    public init(
        _ schedule: any LearningRateSchedule, of optimizer: Optimizer, every interval: Interval? = nil
    ) throws(ScheduleError) {
        try schedule.validate()
        let isMonitored = schedule is any MonitoredSchedule
        self.schedule = schedule
        self.optimizer = optimizer
        self.interval = interval ?? (isMonitored ? .epoch : .step)
        try schedule.check(
            !isMonitored || self.interval == .epoch, "every", self.interval, "epoch, since it monitors a metric")
        if schedule.cyclesMomentum, !optimizer.groups.allSatisfy({ $0.options is any MomentumOptions }) {
            try schedule.check(
                false, "optimizer", "\(type(of: optimizer)), which has none",
                "one whose momentum or beta1 can be cycled")
        }
        rebase()
        try apply()
    }

    /// The metric that ``epochEnded(metric:)`` needs; nil where it needs none.
    public var monitor: String? { (schedule as? any MonitoredSchedule)?.monitor }

    /// Each group's learning rate.
    public var learningRates: [Double] { optimizer.groups.map(\.learningRate) }

    /// Counts an applied step, and sets the rates for the next one. Traps where a schedule of your own gives a rate that is
    /// negative or not finite; a trainer throws then.
    public func stepWasApplied() {
        do { try countStep() } catch { stop(error.description) }
    }

    /// ``stepWasApplied()``, which throws ``ScheduleError`` for a rate that cannot be.
    package func countStep() throws(ScheduleError) {
        guard interval == .step else {
            state.hasApplied = true
            return
        }
        state.count += 1
        try apply()
    }

    /// Counts an epoch where a step was applied in it, and sets the rates for the next one.
    ///
    /// - Parameter metric: the epoch's value of the monitored metric; nil where it has none, then nothing moves.
    public func epochEnded(metric: Double? = nil) {
        do { try countEpoch(metric: metric) } catch { stop(error.description) }
    }

    /// ``epochEnded(metric:)``, which throws ``ScheduleError`` for a rate that cannot be.
    package func countEpoch(metric: Double?) throws(ScheduleError) {
        guard state.hasApplied else { return }
        if let monitored = schedule as? any MonitoredSchedule {
            guard let metric else { return }
            monitored.observe(metric, &state)
        } else {
            state.count += 1
        }
        state.hasApplied = false
        try apply()
    }

    /// Goes on from `state`, which another scheduler of the same schedule has had.
    public func restore(_ state: ScheduleState) throws(ScheduleError) {
        try schedule.check(
            (0...(1 << 53)).contains(state.count), "saved count", state.count, "0 to 2^53; the checkpoint is damaged")
        self.state = state
        try apply()
    }

    /// Runs `body` while the groups have their own rates and momentum again: what a checkpoint keeps of the options.
    package func withOwnOptions<R>(_ body: () throws -> R) rethrows -> R {
        for (group, base) in zip(optimizer.groups, bases) { set(group, base.learningRate, base.momentum) }
        defer {
            rebase()
            try? apply()  // a rate that cannot be has been thrown before, or is when the next step is counted
        }
        return try body()
    }

    private func rebase() {
        bases = optimizer.groups.map {
            Base(learningRate: $0.learningRate, momentum: ($0.options as? any MomentumOptions)?.momentum)
        }
    }

    private func apply() throws(ScheduleError) {
        let momentum = schedule.momentum(after: state.count)
        for (group, base) in zip(optimizer.groups, bases) {
            let rate = schedule.learningRate(base: base.learningRate, after: state.count)
            try schedule.check(
                rate >= 0 && rate.isFinite, "the rate after \(state.count)", rate, "a finite number, zero or more")
            set(group, rate, momentum ?? base.momentum)
        }
    }

    /// Momentum is left alone by schedules that never set it.
    private func set(_ group: ParameterGroup, _ rate: Double, _ momentum: Double?) {
        group.learningRate = rate
        guard schedule.cyclesMomentum, let momentum, var options = group.options as? any MomentumOptions else { return }
        options.momentum = momentum
        group.options = options
    }
}
