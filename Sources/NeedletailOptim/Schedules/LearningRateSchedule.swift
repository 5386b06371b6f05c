// What learning-rate schedules have in common: the rate is a function of one counter.

/// A learning rate that changes while a run goes on, as a function of how far it has come.
///
/// A schedule is a value without state: what a run must remember is one counter, which a ``Scheduler`` keeps and moves.
/// Rates are a group's own learning rate times a factor wherever the formula allows it, so groups keep their ratio.
///
/// A schedule of your own needs `learningRate(base:after:)` and `validate()`; checkpoints and the trainer then know it.
public protocol LearningRateSchedule: Sendable {
    /// The learning rate of a group whose own is `base`, after `count` applied steps (or epochs with one), from 0.
    func learningRate(base: Double, after count: Int) -> Double
    /// The momentum (Adam's beta1) after `count` steps; nil where the group's own is to be used.
    func momentum(after count: Int) -> Double?
    /// Whether `momentum(after:)` is ever other than nil.
    var cyclesMomentum: Bool { get }
    /// Throws ``ScheduleError`` for an option outside its range.
    func validate() throws(ScheduleError)
}

extension LearningRateSchedule {
    /// The group's own.
    public func momentum(after count: Int) -> Double? { nil }
    /// Momentum stays as it is.
    public var cyclesMomentum: Bool { false }
}

/// A schedule whose counter moves with a metric's history instead of with steps, such as `ReduceOnPlateau`.
public protocol MonitoredSchedule: LearningRateSchedule {
    /// The metric's name.
    var monitor: String { get }
    /// Takes the metric of one epoch: moves `state.count` where the rate is to change, and notes in `state.values` what
    /// else it must remember.
    func observe(_ metric: Double, _ state: inout ScheduleState)
}

/// Everything that a schedule in the middle of a run must remember; checkpoints keep it.
public struct ScheduleState: Codable, Sendable, Equatable {
    /// What the rate is a function of.
    public var count = 0
    /// Whether a step was applied since the last epoch that counted.
    public var hasApplied = false
    /// What a ``MonitoredSchedule`` has noted, by name.
    public var values: [String: Double] = [:]

    /// The state at the beginning of a run.
    public init() {}
}

/// A schedule's option outside its range, or a schedule that does not fit its optimizer.
public struct ScheduleError: Error, Equatable, CustomStringConvertible {
    /// The schedule's type.
    public let schedule: String
    /// The option's name.
    public let option: String
    /// What was found.
    public let found: String
    /// What is allowed.
    public let expected: String

    /// An error about `option` of `schedule`.
    public init(schedule: String, option: String, found: String, expected: String) {
        self.schedule = schedule
        self.option = option
        self.found = found
        self.expected = expected
    }

    /// Found and expected.
    public var description: String { "\(schedule): \(option): found \(found), expected \(expected)" }
}

extension LearningRateSchedule {
    /// Throws ``ScheduleError`` unless `isValid`: for implementations of `validate()`.
    public func check(_ isValid: Bool, _ option: String, _ found: Any, _ expected: String) throws(ScheduleError) {
        guard isValid else {
            throw ScheduleError(
                schedule: "\(type(of: self))", option: option, found: "\(found)", expected: expected)
        }
    }

    func checkSteps(_ steps: Int, _ option: String) throws(ScheduleError) {
        try check(steps >= 1, option, steps, "1 or more")
    }

    func checkRate(_ rate: Double, _ option: String) throws(ScheduleError) {
        try check(rate >= 0 && rate.isFinite, option, rate, "a finite number, zero or more")
    }

    func checkFactor(_ factor: Double, _ option: String = "factor") throws(ScheduleError) {
        try check(factor > 0 && factor.isFinite, option, factor, "a finite number above zero")
    }
}
