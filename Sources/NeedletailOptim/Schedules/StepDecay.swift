// The rate falls by a factor at equal distances.
import Foundation

/// Multiplies the rate by `factor` every so many steps, as `torch.optim.lr_scheduler.StepLR` (`step_size`, `gamma`).
///
/// ```text
/// rate(t) = base · factor^⌊t / every⌋
/// ```
public struct StepDecay: LearningRateSchedule {
    /// The distance between two changes.
    public var every: Int
    /// What the rate is multiplied by.
    public var factor: Double

    /// A change of the rate by `factor` after every `every` steps.
    public init(every: Int, factor: Double = 0.1) {
        self.every = every
        self.factor = factor
    }

    /// The rate of the formula.
    public func learningRate(base: Double, after count: Int) -> Double { base * pow(factor, Double(count / every)) }

    /// Throws ``ScheduleError`` for an option outside its range.
    public func validate() throws(ScheduleError) {
        try checkSteps(every, "every")
        try checkFactor(factor)
    }
}
