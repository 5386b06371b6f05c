// The rate falls by the same factor at each step.
import Foundation

/// Multiplies the rate by `factor` at each step, as `torch.optim.lr_scheduler.ExponentialLR` (`gamma`).
///
/// ```text
/// rate(t) = base · factor^t
/// ```
public struct ExponentialDecay: LearningRateSchedule {
    /// What the rate is multiplied by.
    public var factor: Double

    /// A change of the rate by `factor` at each step.
    public init(factor: Double) { self.factor = factor }

    /// The rate of the formula.
    public func learningRate(base: Double, after count: Int) -> Double { base * pow(factor, Double(count)) }

    /// Throws ``ScheduleError`` for an option outside its range.
    public func validate() throws(ScheduleError) { try checkFactor(factor) }
}
