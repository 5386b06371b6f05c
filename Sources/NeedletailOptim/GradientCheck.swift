// What one read of all gradients tells: their norm, and whether they are finite.
public import NeedletailTensor

/// The norm of an optimizer's gradients and the first value among them that is infinite or NaN, from one read of the
/// memory.
public struct GradientCheck: Sendable, CustomStringConvertible {
    /// Where the first value that is not finite stands.
    public struct NonFinite: Sendable, Equatable {
        /// The parameter's dotted name.
        public let parameter: String
        /// The value's row-major index in the parameter's gradient.
        public let index: Int
    }

    /// The norm of all unscaled gradients together, in float64; infinite or NaN where they are.
    public let norm: Double
    /// Which norm it is.
    public let order: NormOrder
    /// The first value that is not finite, in the order of parameters; decided on the scaled values, element by
    /// element. Where all of these are finite but unscaling multiplies (a loss scale below 1), the first one that it takes
    /// beyond its type.
    public let firstNonFinite: NonFinite?
    /// What gradients are multiplied with before use: 1 / scale.
    public let gradientScale: Double

    /// Whether every gradient is finite, so that a step may be made.
    public var isFinite: Bool { firstNonFinite == nil }

    /// The norm, or where it fails.
    public var description: String {
        if let at = firstNonFinite { return "gradient of '\(at.parameter)' is not finite at element \(at.index)" }
        return "gradient norm \(norm)"
    }

    /// What the optimizer's kernel is to do to each gradient.
    package func transform(clipping: GradientClipping?) -> GradientTransform {
        clipping?.transform(of: self) ?? GradientTransform(gradientScale: gradientScale)
    }
}

extension Optimizer {
    /// Reads all gradients once. Parameters without a gradient, and such without elements, add nothing.
    ///
    /// - Parameters:
    ///   - gradientScale: `LossScaler.unscaleFactor` where the loss was scaled: the norm is that of g gradientScale.
    ///   - order: which norm; that of the clipping that is to follow.
    public func checkGradients(gradientScale: Double = 1, order: NormOrder = .two) -> GradientCheck {
        var sum = 0.0
        var firstNonFinite: GradientCheck.NonFinite?
        for (position, parameter) in parameters.enumerated() {
            guard let gradient = parameter.gradient else { continue }
            let check = powerSum(of: gradient, order: order)
            sum = order.combine(sum, check.powerSum)
            if firstNonFinite == nil, let index = check.firstNonFinite {
                let name = parameter.name.isEmpty ? "parameter\(position)" : parameter.name
                firstNonFinite = .init(parameter: name, index: index)
            }
        }
        let norm = order.norm(ofPowerSum: sum) * gradientScale
        // A norm is at least its largest element: below the least float32 infinity nothing can have overflowed.
        if firstNonFinite == nil, gradientScale > 1, !(norm <= Double(Float.greatestFiniteMagnitude)) {
            firstNonFinite = firstOverflow(gradientScale)
        }
        return GradientCheck(norm: norm, order: order, firstNonFinite: firstNonFinite, gradientScale: gradientScale)
    }

    /// The first gradient that is not finite once it is multiplied with `gradientScale`. Rarely called: it copies.
    private func firstOverflow(_ gradientScale: Double) -> GradientCheck.NonFinite? {
        for (position, parameter) in parameters.enumerated() {
            guard let gradient = parameter.gradient else { continue }
            let unscaled = withoutGradients { gradient * gradientScale }
            guard let index = powerSum(of: unscaled, order: .two).firstNonFinite else { continue }
            return .init(parameter: parameter.name.isEmpty ? "parameter\(position)" : parameter.name, index: index)
        }
        return nil
    }
}
