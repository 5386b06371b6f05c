// A schedule that ends: what comes after its last step.

/// Follows a schedule for `steps` steps, and then stays at the rate and the momentum that it has after them.
///
///     HeldSchedule(CosineAnnealing(steps: 1000), after: 1000)  // 0 from step 1000 on, where the cosine rises again
///
/// ```text
/// rate(t) = schedule's rate(min(t, steps))
/// ```
///
/// In checkpoints it counts as the schedule that it holds: a run may be resumed with that schedule held or not.
public struct HeldSchedule: LearningRateSchedule {
    /// The schedule that is followed.
    public var schedule: any LearningRateSchedule
    /// After how many steps it stays as it is.
    public var steps: Int

    /// `schedule`, which stays as it is after `steps`.
    public init(_ schedule: any LearningRateSchedule, after steps: Int) {
        self.schedule = schedule
        self.steps = steps
    }

    /// Whether the schedule sets momentum.
    public var cyclesMomentum: Bool { schedule.cyclesMomentum }

    /// The rate of the formula.
    public func learningRate(base: Double, after count: Int) -> Double {
        schedule.learningRate(base: base, after: min(count, steps))
    }

    /// The schedule's momentum after as many steps.
    public func momentum(after count: Int) -> Double? { schedule.momentum(after: min(count, steps)) }

    /// Throws ``ScheduleError`` for an option outside its range, and for a schedule that monitors a metric.
    public func validate() throws(ScheduleError) {
        try check(steps >= 0, "steps", steps, "0 or more")
        try check(
            !(schedule is any MonitoredSchedule), "schedule", schedule, "a schedule that does not monitor a metric")
        try schedule.validate()
    }
}

extension LearningRateSchedule {
    /// The name under which checkpoints keep the schedule.
    package var kind: String { "\(type(of: (self as? HeldSchedule)?.schedule ?? self))" }
}
