// The rate rises once and falls far; momentum goes the other way.
import Foundation

/// Lets the rate rise to the group's own and then fall far below where it began, while momentum (Adam's beta1) falls and
/// rises, as `torch.optim.lr_scheduler.OneCycleLR`; PyTorch's `max_lr` is the group's own learning rate.
///
/// ```text
/// rise:  base / startDivisor -> base                over the first warmUp of the steps; momentum upper -> lower
/// fall:  base -> base / (startDivisor · endDivisor)  over the rest;                      momentum lower -> upper
/// a to b at share p: b + (a - b) (1 + cos(π p)) / 2, or a + (b - a) p
/// ```
///
/// With `isSymmetric` (`three_phase`) the fall first mirrors the rise and then goes on to the end's rate, with the upper
/// momentum. Unlike PyTorch, which stops with an error, the last values stay after `steps` steps.
/// Source: Smith and Topin, arXiv 1708.07120.
public struct OneCycle: LearningRateSchedule {
    /// How values go from one to the next.
    public enum Shape: String, Sendable {
        /// Along half a cosine.
        case cosine
        /// Along a line.
        case linear
    }

    /// How many steps the cycle has (`total_steps`).
    public var steps: Int
    /// The share of them in which the rate rises (`pct_start`).
    public var warmUp: Double
    /// How values go from one to the next (`anneal_strategy`).
    public var shape = Shape.cosine
    /// Between which values momentum goes (`base_momentum`, `max_momentum`); nil for the groups' own momentum throughout.
    public var momentum: ClosedRange<Double>? = 0.85...0.95
    /// By how much the first rate is smaller than the highest (`div_factor`).
    public var startDivisor = 25.0
    /// By how much the last rate is smaller than the first (`final_div_factor`).
    public var endDivisor = 1e4
    /// Whether the fall first mirrors the rise (`three_phase`).
    public var isSymmetric = false

    /// A cycle of `steps`, with PyTorch's settings for everything that is set later.
    public init(steps: Int, warmUp: Double = 0.3) {
        self.steps = steps
        self.warmUp = warmUp
    }

    /// Whether it sets momentum.
    public var cyclesMomentum: Bool { momentum != nil }

    /// The rate of the formula.
    public func learningRate(base: Double, after count: Int) -> Double {
        let start = base / startDivisor
        return value(after: count, low: start, high: base, end: start / endDivisor)
    }

    /// Its momentum.
    public func momentum(after count: Int) -> Double? {
        momentum.map { value(after: count, low: $0.upperBound, high: $0.lowerBound, end: $0.upperBound) }
    }

    /// The value after `count` steps of a cycle low -> high (-> low) -> end. Phases end at fractions of a step.
    private func value(after count: Int, low: Double, high: Double, end: Double) -> Double {
        let top = warmUp * Double(steps) - 1
        let last = Double(steps - 1)
        let step = min(Double(count), last)
        if step <= top { return between(low, high, at: share(of: step, from: 0, to: top)) }
        guard isSymmetric else { return between(high, end, at: share(of: step, from: top, to: last)) }
        let foot = 2 * warmUp * Double(steps) - 2
        if step <= foot { return between(high, low, at: share(of: step, from: top, to: foot)) }
        return between(low, end, at: share(of: step, from: foot, to: last))
    }

    /// A phase without length is over.
    private func share(of step: Double, from start: Double, to end: Double) -> Double {
        end > start ? (step - start) / (end - start) : 1
    }

    private func between(_ a: Double, _ b: Double, at share: Double) -> Double {
        switch shape {
        case .cosine: b + (a - b) / 2 * (cos(.pi * share) + 1)
        case .linear: (b - a) * share + a
        }
    }

    /// Throws ``ScheduleError`` for an option outside its range.
    public func validate() throws(ScheduleError) {
        try checkSteps(steps, "steps")
        let most = isSymmetric ? 0.5 : 1
        try check(warmUp >= 0 && warmUp <= most, "warmUp", warmUp, "a number from 0 to \(most)")
        if let momentum {
            try check(
                momentum.lowerBound >= 0 && momentum.upperBound < 1, "momentum", momentum, "a range within [0, 1)")
        }
        try checkFactor(startDivisor, "startDivisor")
        try checkFactor(endDivisor, "endDivisor")
    }
}
