// One schedule after another.

/// Runs schedules one after another, each from its own beginning, as `torch.optim.lr_scheduler.SequentialLR`.
///
///     SequentialSchedule([LinearWarmUp(steps: 500), CosineAnnealing(steps: 9500)], milestones: [500])
///
/// Groups whose momentum a part does not set have their own in it.
public struct SequentialSchedule: LearningRateSchedule {
    /// The parts in their order.
    public var schedules: [any LearningRateSchedule]
    /// After how many steps the second part begins, the third, and so on.
    public var milestones: [Int]

    /// Parts of which all but the first begin at `milestones`.
    public init(_ schedules: [any LearningRateSchedule], milestones: [Int]) {
        self.schedules = schedules
        self.milestones = milestones
    }

    /// The part that is running, and its own count.
    private func part(after count: Int) -> (schedule: any LearningRateSchedule, count: Int) {
        let index = milestones.lastIndex { $0 <= count }
        return (schedules[index.map { $0 + 1 } ?? 0], count - (index.map { milestones[$0] } ?? 0))
    }

    /// Whether one of the parts sets momentum.
    public var cyclesMomentum: Bool { schedules.contains(where: \.cyclesMomentum) }

    /// The rate of the part that is running.
    public func learningRate(base: Double, after count: Int) -> Double {
        let (schedule, count) = part(after: count)
        return schedule.learningRate(base: base, after: count)
    }

    /// The momentum of the part that is running.
    public func momentum(after count: Int) -> Double? {
        let (schedule, count) = part(after: count)
        return schedule.momentum(after: count)
    }

    /// Throws ``ScheduleError`` for parts and milestones that do not fit, and for a part with an option outside its range.
    public func validate() throws(ScheduleError) {
        try check(!schedules.isEmpty, "schedules", "none", "one or more")
        try check(
            milestones.count == schedules.count - 1, "milestones",
            "\(milestones.count) for \(schedules.count) schedules",
            "one fewer than schedules")
        try check(
            zip([0] + milestones, milestones).allSatisfy { $0 < $1 }, "milestones", milestones,
            "steps above 0 that grow")
        for schedule in schedules {
            try check(
                !(schedule is any MonitoredSchedule), "schedules", schedule, "schedules that do not monitor a metric")
            try schedule.validate()
        }
    }
}
