// Which 16-bit types have the range for a layer's values.
import NeedletailTensor

/// Whether a layer can run in float16 and in bfloat16, judged by the range of its values: precision is another matter.
///
/// A type has the range for values of which none becomes infinite and at most ``tolerance`` becomes zero, of those that are
/// not. Weights and activations must fit as they are. Gradients may be scaled: with the smallest power of two that brings
/// the share that becomes zero below the tolerance, where the largest one stays finite. Gradients are those of activations,
/// which the mixed modes form in 16 bit; those of weights, float32 in every mode, stand in where none were seen.
public struct PrecisionRecommendation: Sendable, Equatable, CustomStringConvertible {
    /// What can be said about one type.
    public enum Verdict: Sendable, Equatable {
        /// Every value fits.
        case fine
        /// Gradients fit where the loss is scaled by at least two to this power.
        case scaled(power: Int)
        /// These values become infinite, this many of them.
        case saturates(LayerNumerics.Values, count: Int)
        /// Too large a share of these values, which scaling does not reach, becomes zero.
        case flushes(LayerNumerics.Values, share: Double)
        /// No scale keeps small gradients from zero and the largest finite.
        case rangeTooWide(LayerNumerics.Values)
        /// These values are infinite or NaN already, so their range is not known.
        case notFinite(LayerNumerics.Values)

        /// Whether the layer can run in the type.
        public var isUsable: Bool {
            switch self {
            case .fine, .scaled: true
            default: false
            }
        }
    }

    /// The largest share of values other than zero that may become zero.
    public static let tolerance = 0.01

    /// Whether float16 fits.
    public let float16: Verdict
    /// Whether bfloat16 fits.
    public let bfloat16: Verdict

    /// The recommendation for what was counted of a layer.
    public init(for layer: LayerNumerics) {
        float16 = Self.verdict(layer, \.float16, smallestExponent: -24, limit: 65520)
        bfloat16 = Self.verdict(layer, \.bfloat16, smallestExponent: -133, limit: 0x1.FFp127)
    }

    /// For example "fp16 needs scaling of at least 2^9; bf16 fine", or "keep in float32: …".
    public var description: String {
        if case .notFinite(let values) = float16 {
            return "\(values.rawValue) are not finite: find the cause, or record again in 32-true"
        }
        if !float16.isUsable, !bfloat16.isUsable {
            return "keep in float32: fp16 \(float16.text), bf16 \(bfloat16.text)"
        }
        return "fp16 \(float16.text); bf16 \(bfloat16.text)"
    }

    /// `smallestExponent` is that of the type's smallest subnormal number: from it on nothing becomes zero.
    private static func verdict(
        _ layer: LayerNumerics, _ losses: KeyPath<ExponentHistogram, ExponentHistogram.Losses>, smallestExponent: Int,
        limit: Double
    ) -> Verdict {
        let gradients: LayerNumerics.Values =
            layer[.activationGradients].finiteNonZero > 0 ? .activationGradients : .weightGradients
        let all: [LayerNumerics.Values] = [.weights, .activations, gradients]
        for values in all where layer[values].nonFinite > 0 { return .notFinite(values) }
        for values in all where layer[values][keyPath: losses].saturated > 0 {
            return .saturates(values, count: layer[values][keyPath: losses].saturated)
        }
        for values in [LayerNumerics.Values.weights, .activations] {
            let share = layer[values].share(layer[values][keyPath: losses].flushed)
            if share > tolerance { return .flushes(values, share: share) }
        }
        let histogram = layer[gradients]
        guard histogram.share(histogram[keyPath: losses].flushed) > tolerance else { return .fine }
        let power = smallestExponent - histogram.exponent(above: tolerance)
        let largest = histogram.largest * Double(sign: .plus, exponent: power, significand: 1)
        return largest < limit ? .scaled(power: power) : .rangeTooWide(gradients)
    }
}

extension PrecisionRecommendation.Verdict {
    /// What follows the type's name.
    var text: String {
        switch self {
        case .fine: "fine"
        case .scaled(let power): "needs scaling of at least 2^\(power)"
        case .saturates(let values, let count): "no (\(count) \(values.rawValue) become infinite)"
        case .flushes(let values, let share): "no (\(NumericsText.percent(share)) of \(values.rawValue) become zero)"
        case .rangeTooWide(let values): "no (\(values.rawValue) span more than its range)"
        case .notFinite(let values): "unknown (\(values.rawValue) are not finite)"
        }
    }
}

extension ExponentHistogram {
    /// `count` as a share of the values that are finite and not zero; 0 where there are none.
    func share(_ count: Int) -> Double { finiteNonZero == 0 ? 0 : Double(count) / Double(finiteNonZero) }

    /// The largest exponent below which at most this share of the values lies. There must be values.
    func exponent(above share: Double) -> Int {
        var below = 0
        for (index, count) in counts.enumerated() {
            below += count
            if self.share(below) > share { return index + Self.exponents.lowerBound }
        }
        return Self.exponents.upperBound
    }
}
