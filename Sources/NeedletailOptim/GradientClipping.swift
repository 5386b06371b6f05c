// Keeping gradients within bounds.
public import NeedletailTensor

/// How gradients are kept small before a step; part of the optimizer's one pass, in every precision.
public enum GradientClipping: Sendable, Equatable {
    /// All gradients of the optimizer times min(1, limit / (norm + 1e-6)), norm that of all of them together, as
    /// `torch.nn.utils.clip_grad_norm_`.
    case norm(Double, order: NormOrder = .two)
    /// Each element of each gradient to [-limit, limit].
    case value(Double)

    /// Traps where the limit is not a number above zero.
    private func checked(_ limit: Double) -> Double {
        require(limit > 0, "GradientClipping: found the limit \(limit), expected a number above zero")
        return limit
    }

    /// The factor for gradients of the given norm: exactly 1 below the limit; NaN for a norm that is NaN.
    public func coefficient(norm: Double) -> Double {
        guard case .norm(let limit, _) = self else { return 1 }
        let coefficient = checked(limit) / (norm + 1e-6)
        // Written so that NaN is kept.
        return coefficient >= 1 ? 1 : coefficient
    }

    /// The norm that it needs: what `checkGradients(gradientScale:order:)` is to form.
    public var order: NormOrder {
        if case .norm(_, let order) = self { order } else { .two }
    }

    /// Unscaling and clipping of gradients that `check` has read.
    package func transform(of check: GradientCheck) -> GradientTransform {
        switch self {
        case .norm(_, let order):
            require(
                order == check.order,
                "GradientClipping: found a check with norm \(check.order), expected norm \(order); "
                    + "use checkGradients(order: clipping.order)")
            return GradientTransform(
                gradientScale: check.gradientScale, clipCoefficient: coefficient(norm: check.norm))
        case .value(let limit):
            return GradientTransform(gradientScale: check.gradientScale, clipValue: checked(limit))
        }
    }
}
