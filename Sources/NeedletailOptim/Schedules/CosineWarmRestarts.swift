// The rate falls along half a cosine, again and again.
import Foundation

/// Cosine annealing that starts anew after each period, as `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`
/// (`T_0`, `T_mult`, `eta_min`).
///
/// ```text
/// rate(t) = minimum + (base - minimum) (1 + cos(π s / period)) / 2,   s steps after the last restart
/// ```
///
/// Source: Loshchilov and Hutter, arXiv 1608.03983.
public struct CosineWarmRestarts: LearningRateSchedule {
    /// The steps of the first period.
    public var firstPeriod: Int
    /// How many times longer than the one before it a period is.
    public var growth: Int
    /// The rate that each period falls to.
    public var minimum: Double

    /// Periods of `firstPeriod` steps, each `growth` times as long as the one before it.
    public init(firstPeriod: Int, growth: Int = 1, minimum: Double = 0) {
        self.firstPeriod = firstPeriod
        self.growth = growth
        self.minimum = minimum
    }

    /// The rate of the formula.
    public func learningRate(base: Double, after count: Int) -> Double {
        var (step, period) = (growth == 1 ? count % firstPeriod : count, firstPeriod)
        while step >= period {
            step -= period
            let (longer, overflows) = period.multipliedReportingOverflow(by: growth)
            period = overflows ? .max : longer
        }
        return minimum + (base - minimum) * (1 + cos(.pi * Double(step) / Double(period))) / 2
    }

    /// Throws ``ScheduleError`` for an option outside its range.
    public func validate() throws(ScheduleError) {
        try checkSteps(firstPeriod, "firstPeriod")
        try checkSteps(growth, "growth")
        try checkRate(minimum, "minimum")
    }
}
