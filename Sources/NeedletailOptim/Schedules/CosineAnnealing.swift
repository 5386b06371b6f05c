// The rate falls along half a cosine.
import Foundation

/// Lets the rate fall from the group's own to `minimum` along half a cosine, as
/// `torch.optim.lr_scheduler.CosineAnnealingLR` (`T_max`, `eta_min`).
///
/// ```text
/// rate(t) = minimum + (base - minimum) (1 + cos(π t / steps)) / 2
/// ```
///
/// After `steps` it rises again, as PyTorch's does: give it the whole run.
/// Source: Loshchilov and Hutter, arXiv 1608.03983.
public struct CosineAnnealing: LearningRateSchedule {
    /// How many steps the fall takes.
    public var steps: Int
    /// The rate at its end.
    public var minimum: Double

    /// A fall to `minimum` over `steps`.
    public init(steps: Int, minimum: Double = 0) {
        self.steps = steps
        self.minimum = minimum
    }

    /// The rate of the formula.
    public func learningRate(base: Double, after count: Int) -> Double {
        minimum + (base - minimum) * (1 + cos(.pi * Double(count) / Double(steps))) / 2
    }

    /// Throws ``ScheduleError`` for an option outside its range.
    public func validate() throws(ScheduleError) {
        try checkSteps(steps, "steps")
        try checkRate(minimum, "minimum")
    }
}
