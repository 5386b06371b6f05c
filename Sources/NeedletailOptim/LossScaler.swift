// The state of loss scaling: the scale, and how many steps have gone well since it last changed.

/// The loss scale of a run, moved by the rule of a `LossScale`; as `torch.amp.GradScaler`, with a floor.
///
/// One scaler serves all optimizers of a run: it is updated once a batch, after all of them.
///
///     loss.backward(seed: Double(scaler.scale))
///     let check = optimizer.checkGradients(gradientScale: Double(scaler.unscaleFactor))
///     if check.isFinite { optimizer.step(check: check) }
///     try scaler.update(overflowed: !check.isFinite)
public struct LossScaler: Sendable, Equatable {
    /// The rule.
    public let rule: LossScale
    /// What the loss is multiplied with before backward.
    public private(set) var scale: Float
    /// Steps without overflow since the scale last changed.
    public private(set) var growthTracker = 0

    /// Makes a scaler at the rule's first scale; throws `LossScaleError` where the rule is invalid.
    public init(_ rule: LossScale) throws(LossScaleError) {
        try rule.validate()
        self.rule = rule
        switch rule {
        case .fixed(let scale): self.scale = scale
        case .dynamic(let initial, _, _, _, _, _): scale = initial
        }
    }

    /// What gradients are multiplied with before use: 1 / scale, formed in float64 and rounded to float32.
    public var unscaleFactor: Float { Float(1 / Double(scale)) }

    /// Whether the scale moves: overflows are then how it is found.
    package var isDynamic: Bool {
        if case .dynamic = rule { true } else { false }
    }

    /// Whether the scale has grown beyond where it began: an overflow there says nothing about the gradients.
    package var isAboveInitial: Bool {
        if case .dynamic(let initial, _, _, _, _, _) = rule { scale > initial } else { false }
    }

    /// Moves the state on by one batch.
    ///
    /// Overflow: scale backoff, tracker 0. Else tracker + 1, and at the interval scale growth (where that is finite and
    /// not above the maximum), tracker 0. Products are formed in float64 and rounded to float32.
    /// - Throws: `LossScaleError.belowMinimum`, having changed nothing.
    public mutating func update(overflowed: Bool) throws(LossScaleError) {
        guard case .dynamic(_, let growth, let backoff, let interval, let minimum, let maximum) = rule else { return }
        if overflowed {
            let next = Float(Double(scale) * backoff)
            guard next >= minimum else { throw .belowMinimum(scale: scale, next: next, minimum: minimum) }
            scale = next
            growthTracker = 0
            return
        }
        growthTracker += 1
        guard growthTracker >= interval else { return }
        let next = Float(Double(scale) * growth)
        if next.isFinite && next <= maximum { scale = next }
        growthTracker = 0
    }
}

// Checkpoints: the rule, the scale and the tracker, as in PyTorch.
extension LossScaler: Codable {
    private enum CodingKeys: CodingKey {
        case rule, scale, growthTracker
    }

    /// Reads what `encode(to:)` wrote; throws `LossScaleError` for a rule or a state that cannot be.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try self.init(container.decode(LossScale.self, forKey: .rule))
        scale = try container.decode(Float.self, forKey: .scale)
        growthTracker = try container.decode(Int.self, forKey: .growthTracker)
        let limit = if case .dynamic(_, _, _, let interval, _, _) = rule { interval } else { 1 }
        guard LossScale.isUsable(scale) && (0..<limit).contains(growthTracker) else {
            throw LossScaleError.invalidState(scale: scale, growthTracker: growthTracker)
        }
    }

    /// Writes the rule, the scale and the growth tracker.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(rule, forKey: .rule)
        try container.encode(scale, forKey: .scale)
        try container.encode(growthTracker, forKey: .growthTracker)
    }
}
