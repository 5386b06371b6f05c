// Which values of a metric are good.

/// Whether a monitored metric is best when it is small or when it is large.
public enum MonitorMode: String, Sendable, Codable {
    /// Small values are best.
    case min
    /// Large values are best.
    case max

    /// Whether `a` is better than `b`; nothing is better than NaN or worse.
    func isBetter(_ a: Double, than b: Double) -> Bool { self == .min ? a < b : a > b }

    /// Whether `value` becomes the best: a value that is not finite never does, and every finite one does where there is no
    /// `bound` that it must be better than.
    func isImprovement(_ value: Double, over bound: Double?) -> Bool {
        value.isFinite && (bound.map { isBetter(value, than: $0) } ?? true)
    }
}
