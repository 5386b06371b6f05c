// How a loss is scaled so that small gradients survive float16.

/// The rule by which `LossScaler` sets the loss scale.
public enum LossScale: Sendable, Equatable {
    /// Grows after `interval` steps without overflow, shrinks at each overflow.
    ///
    /// - Parameters:
    ///   - growth: factor of growth, more than 1; a scale that would exceed `maximum` or not be finite does not grow.
    ///   - backoff: factor after an overflow, between 0 and 1.
    ///   - minimum: an overflow that would take the scale below is an error.
    case dynamic(
        initial: Float = 65536, growth: Double = 2, backoff: Double = 0.5, interval: Int = 2000, minimum: Float = 1,
        maximum: Float = .infinity)
    /// Always the given scale.
    case fixed(Float)

    /// Throws `LossScaleError.invalid` for a value outside its range.
    public func validate() throws(LossScaleError) {
        func check(_ isValid: Bool, _ option: String, _ found: Double, _ expected: String) throws(LossScaleError) {
            guard isValid else { throw .invalid(option: option, found: found, expected: expected) }
        }
        switch self {
        case .fixed(let scale):
            try check(Self.isUsable(scale), "scale", Double(scale), Self.usable)
        case .dynamic(let initial, let growth, let backoff, let interval, let minimum, let maximum):
            try check(growth > 1 && growth.isFinite, "growth", growth, "a finite number above 1")
            try check(backoff > 0 && backoff < 1, "backoff", backoff, "a number between 0 and 1")
            try check(interval >= 1, "interval", Double(interval), "1 or more")
            try check(Self.isUsable(minimum), "minimum", Double(minimum), Self.usable)
            try check(maximum >= minimum, "maximum", Double(maximum), "the minimum \(minimum) or more")
            try check(Self.isUsable(initial), "initial", Double(initial), Self.usable)
            try check(
                initial >= minimum && initial <= maximum, "initial", Double(initial), "from \(minimum) to \(maximum)")
        }
    }

    // Both the scale and its reciprocal must be finite in float32.
    private static let usable = "a float32 above zero whose reciprocal is finite"
    static func isUsable(_ scale: Float) -> Bool {
        scale > 0 && scale.isFinite && Float(1 / Double(scale)).isFinite
    }
}

extension LossScale: Codable {
    private enum CodingKeys: CodingKey {
        case fixed, initial, growth, backoff, interval, minimum, maximum
    }

    /// Reads what `encode(to:)` wrote; the values are checked by `validate()` only.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        if let scale = try container.decodeIfPresent(Float.self, forKey: .fixed) {
            self = .fixed(scale)
            return
        }
        self = .dynamic(
            initial: try container.decode(Float.self, forKey: .initial),
            growth: try container.decode(Double.self, forKey: .growth),
            backoff: try container.decode(Double.self, forKey: .backoff),
            interval: try container.decode(Int.self, forKey: .interval),
            minimum: try container.decode(Float.self, forKey: .minimum),
            maximum: try container.decodeIfPresent(Float.self, forKey: .maximum) ?? .infinity)
    }

    /// Writes one field a value; an infinite maximum is left out, since JSON has no infinity.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .fixed(let scale):
            try container.encode(scale, forKey: .fixed)
        case .dynamic(let initial, let growth, let backoff, let interval, let minimum, let maximum):
            try container.encode(initial, forKey: .initial)
            try container.encode(growth, forKey: .growth)
            try container.encode(backoff, forKey: .backoff)
            try container.encode(interval, forKey: .interval)
            try container.encode(minimum, forKey: .minimum)
            if maximum.isFinite { try container.encode(maximum, forKey: .maximum) }
        }
    }
}

/// Loss scaling that was set up wrongly, or that can no longer help.
public enum LossScaleError: Error, Equatable, CustomStringConvertible {
    /// An option outside its range.
    case invalid(option: String, found: Double, expected: String)
    /// An overflow that would take the scale below its minimum; the scaler is unchanged.
    case belowMinimum(scale: Float, next: Float, minimum: Float)
    /// Saved state that the rule could not have reached.
    case invalidState(scale: Float, growthTracker: Int)

    /// Found, expected, and what to do.
    public var description: String {
        switch self {
        case .invalid(let option, let found, let expected):
            "loss scale: \(option): found \(found), expected \(expected)"
        case .belowMinimum(let scale, let next, let minimum):
            "gradients overflow at loss scale \(scale), and the next, \(next), is below the minimum \(minimum): "
                + "the overflow does not come from scaling; look for infinite inputs, lower the learning rate or "
                + "use bf16-mixed"
        case .invalidState(let scale, let growthTracker):
            "loss scale: found the saved state (\(scale), \(growthTracker)), expected a scale above zero whose "
                + "reciprocal is finite and a tracker from zero to below the interval; the checkpoint is damaged"
        }
    }
}
