// The rate falls to zero along a power of the time that is left.
import Foundation

/// Lets the rate fall to zero over `steps`, then stay, as `torch.optim.lr_scheduler.PolynomialLR` (`total_iters`, `power`).
///
/// ```text
/// rate(t) = base (1 - min(t, steps) / steps)^power
/// ```
public struct PolynomialDecay: LearningRateSchedule {
    /// How many steps the fall takes.
    public var steps: Int
    /// The power: 1 for a line.
    public var power: Double

    /// A fall to zero over `steps`.
    public init(steps: Int, power: Double = 1) {
        self.steps = steps
        self.power = power
    }

    /// The rate of the formula.
    public func learningRate(base: Double, after count: Int) -> Double {
        base * pow(1 - Double(min(count, steps)) / Double(steps), power)
    }

    /// Throws ``ScheduleError`` for an option outside its range.
    public func validate() throws(ScheduleError) {
        try checkSteps(steps, "steps")
        try checkFactor(power, "power")
    }
}
