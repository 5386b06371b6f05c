// The rate rises along a line.

/// Lets the rate go along a line from `start` to `end` times the group's own, then stay, as
/// `torch.optim.lr_scheduler.LinearLR` (`total_iters`, `start_factor`, `end_factor`).
///
/// ```text
/// rate(t) = base (start + (end - start) min(t, steps) / steps)
/// ```
public struct LinearWarmUp: LearningRateSchedule {
    /// How many steps the change takes.
    public var steps: Int
    /// The factor before the first step, above 0 and at most 1.
    public var start: Double
    /// The factor after the last step, from 0 to 1.
    public var end: Double

    /// A change from `start` to `end` times the group's own rate over `steps`.
    public init(steps: Int, start: Double = 1.0 / 3, end: Double = 1) {
        self.steps = steps
        self.start = start
        self.end = end
    }

    /// The rate of the formula.
    public func learningRate(base: Double, after count: Int) -> Double {
        base * (start + (end - start) * Double(min(count, steps)) / Double(steps))
    }

    /// Throws ``ScheduleError`` for an option outside its range.
    public func validate() throws(ScheduleError) {
        try checkSteps(steps, "steps")
        try check(start > 0 && start <= 1, "start", start, "a number above 0, at most 1")
        try check(end >= 0 && end <= 1, "end", end, "a number from 0 to 1")
    }
}
