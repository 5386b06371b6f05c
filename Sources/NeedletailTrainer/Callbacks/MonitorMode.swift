// Which values of a metric are good.

/// Whether a monitored metric is best when it is small or when it is large.
public enum MonitorMode: String, Sendable, Codable {
    /// Small values are best.
    case min
    /// Large values are best.
    case max

    /// Whether `a` is better than `b`; nothing is better than NaN or worse.
    func isBetter(_ a: Double, than b: Double) -> Bool { self == .min ? a < b : a > b }
}
