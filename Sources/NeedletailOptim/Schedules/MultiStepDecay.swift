// The rate falls by a factor at chosen steps.
import Foundation

/// Multiplies the rate by `factor` at each milestone, as `torch.optim.lr_scheduler.MultiStepLR` (`gamma`).
///
/// ```text
/// rate(t) = base · factor^(number of milestones <= t)
/// ```
public struct MultiStepDecay: LearningRateSchedule {
    /// The steps after which the rate changes, in any order; one that is given twice counts twice.
    public var milestones: [Int]
    /// What the rate is multiplied by.
    public var factor: Double

    /// A change of the rate by `factor` at each of `milestones`.
    public init(milestones: [Int], factor: Double = 0.1) {
        self.milestones = milestones
        self.factor = factor
    }

    /// The rate of the formula.
    public func learningRate(base: Double, after count: Int) -> Double {
        base * pow(factor, Double(milestones.count { $0 <= count }))
    }

    /// Throws ``ScheduleError`` for an option outside its range.
    public func validate() throws(ScheduleError) {
        try check(milestones.allSatisfy { $0 >= 1 }, "milestones", milestones, "steps of 1 or more")
        try checkFactor(factor)
    }
}
