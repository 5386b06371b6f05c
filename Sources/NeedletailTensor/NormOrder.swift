// Which norm: the order p of (Σ |x|^p)^(1/p).
import Foundation

/// The order of a norm: ‖x‖ = (Σ |x_i|^p)^(1/p), or max |x_i| for ``infinity``.
///
/// Precision: float64 from the powers on. Powers of 16-bit and float32 elements neither overflow nor underflow; cubes of
/// float64 elements overflow above 1e102.
public enum NormOrder: String, Sendable, CaseIterable, Codable {
    /// Σ |x|.
    case one
    /// (Σ x²)^(1/2).
    case two
    /// (Σ |x|³)^(1/3).
    case three
    /// max |x|.
    case infinity

    /// Of the parts of an array, what `powerSum` gives of all of it; NaN where either is.
    package func combine(_ a: Double, _ b: Double) -> Double {
        if self != .infinity { return a + b }
        return a.isNaN || a > b ? a : b
    }

    /// The norm, of what `powerSum` gives.
    package func norm(ofPowerSum sum: Double) -> Double {
        switch self {
        case .one, .infinity: sum
        case .two: sum.squareRoot()
        case .three: cbrt(sum)
        }
    }
}
