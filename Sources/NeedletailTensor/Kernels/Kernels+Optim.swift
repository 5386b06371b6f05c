// Optimizer updates: unscale, clip, update and 16-bit shadow in one pass over a parameter.
internal import CSIMD

/// What is done to a gradient on its way into an optimizer's update: g ← g · gradientScale, then
/// g ← g · clipCoefficient, or g ← clamp(g, ±clipValue) where `clipValue` is positive.
package struct GradientTransform: Sendable, Equatable {
    /// One over the loss scale (and over the accumulated weight), formed in float64, rounded to float32.
    package var gradientScale: Double
    /// The factor of clipping by norm; 1 where nothing is clipped.
    package var clipCoefficient: Double
    /// The bound of clipping by value; 0 for none.
    package var clipValue: Double

    package init(gradientScale: Double = 1, clipCoefficient: Double = 1, clipValue: Double = 0) {
        self.gradientScale = gradientScale
        self.clipCoefficient = clipCoefficient
        self.clipValue = clipValue
    }
}

/// How an update is rounded to a 16-bit parameter; parameters of other types are rounded to nearest.
package enum StoreRounding {
    /// To nearest, ties to even.
    case nearest
    /// Up with a probability that is the distance from the value below, by random bits of the key and the element's index.
    case stochastic(key: UInt64)
    /// To nearest; what that loses is kept in the compensation (float32, of the parameter's shape) for the next update.
    case kahan(compensation: Tensor)
}

/// What an optimizer's kernel is told beside its formula: the gradient's transform, the rounding, whether to count.
package struct UpdatePass {
    /// What is done to the gradient first.
    package var transform: GradientTransform
    /// How the parameter is rounded.
    package var rounding = StoreRounding.nearest
    /// Whether updates that were not zero but changed no stored bit are counted.
    package var countsLost = false

    package init(_ transform: GradientTransform = GradientTransform()) { self.transform = transform }
}

/// SGD with momentum, as `csimd_sgd_step`. Does nothing for a parameter without a gradient.
/// Returns the number of lost updates; 0 where they are not counted.
package func sgdUpdate(
    _ parameter: Parameter, momentumBuffer: Tensor?, learningRate: Double, momentum: Double, dampening: Double,
    nesterov: Bool, weightDecay: Double, maximize: Bool, firstStep: Bool, pass: UpdatePass
) -> Int {
    checkState(momentumBuffer, of: parameter)
    return update("SGD", parameter, learningRate, weightDecay, maximize, pass) { arguments in
        withMemory(of: momentumBuffer) {
            csimd_sgd_step(arguments, $0, momentum, dampening, nesterov, firstStep)
        }
    }
}

/// Adam or (decoupled) AdamW, as `csimd_adam_step`; `step` counts from 1. Does nothing for a parameter without a gradient.
package func adamUpdate(
    _ parameter: Parameter, firstMoment: Tensor, secondMoment: Tensor, maxSecondMoment: Tensor?, learningRate: Double,
    beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double, decoupled: Bool, maximize: Bool, step: Int,
    pass: UpdatePass
) -> Int {
    checkState(firstMoment, of: parameter)
    checkState(secondMoment, of: parameter)
    checkState(maxSecondMoment, of: parameter)
    return update("Adam", parameter, learningRate, weightDecay, maximize, pass) { arguments in
        withMemory(of: firstMoment, secondMoment, maxSecondMoment) {
            csimd_adam_step(arguments, $0, $1, $2, beta1, beta2, epsilon, decoupled, UInt64(step))
        }
    }
}

/// RMSprop, as `csimd_rmsprop_step`; centered where it has a gradient mean.
package func rmspropUpdate(
    _ parameter: Parameter, squareMean: Tensor, gradientMean: Tensor?, momentumBuffer: Tensor?, learningRate: Double,
    alpha: Double, epsilon: Double, momentum: Double, weightDecay: Double, maximize: Bool, pass: UpdatePass
) -> Int {
    checkState(squareMean, of: parameter)
    checkState(gradientMean, of: parameter)
    checkState(momentumBuffer, of: parameter)
    return update("RMSprop", parameter, learningRate, weightDecay, maximize, pass) { arguments in
        withMemory(of: squareMean, gradientMean, momentumBuffer) {
            csimd_rmsprop_step(arguments, $0, $1, $2, alpha, epsilon, momentum)
        }
    }
}

/// Adagrad, as `csimd_adagrad_step`; `step` counts from 1.
package func adagradUpdate(
    _ parameter: Parameter, squareSum: Tensor, learningRate: Double, learningRateDecay: Double, epsilon: Double,
    weightDecay: Double, maximize: Bool, step: Int, pass: UpdatePass
) -> Int {
    checkState(squareSum, of: parameter)
    return update("Adagrad", parameter, learningRate, weightDecay, maximize, pass) { arguments in
        withMemory(of: squareSum) {
            csimd_adagrad_step(arguments, $0, learningRateDecay, epsilon, UInt64(step))
        }
    }
}

/// Lion, as `csimd_lion_step`.
package func lionUpdate(
    _ parameter: Parameter, mean: Tensor, learningRate: Double, beta1: Double, beta2: Double, weightDecay: Double,
    maximize: Bool, pass: UpdatePass
) -> Int {
    checkState(mean, of: parameter)
    return update("Lion", parameter, learningRate, weightDecay, maximize, pass) { arguments in
        withMemory(of: mean) { csimd_lion_step(arguments, $0, beta1, beta2) }
    }
}

/// Calls an optimizer's kernel for a parameter that has a gradient; returns the number of lost updates.
private func update(
    _ optimizer: StaticString, _ parameter: Parameter, _ learningRate: Double, _ weightDecay: Double, _ maximize: Bool,
    _ pass: UpdatePass, _ kernel: (UnsafePointer<csimd_optimizer_args>) -> csimd_status
) -> Int {
    guard let gradient = parameter.accumulatedGradient else { return 0 }
    parameter.beginChange(keepingValues: true)
    let stored = parameter.stored
    let shadow = parameter.shadow
    let shadowType = shadow?.dtype ?? .float32
    var rounding = CSIMD_ROUND_NEAREST
    var randomKey: UInt64 = 0
    var compensation: Tensor?
    if stored.dtype.is16Bit {
        switch pass.rounding {
        case .nearest: break
        case .stochastic(let key): (rounding, randomKey) = (CSIMD_ROUND_STOCHASTIC, key)
        case .kahan(let kept):
            checkState(kept, of: parameter)
            (rounding, compensation) = (CSIMD_ROUND_KAHAN, kept)
        }
    }
    var lost = 0
    let status = withMemory(of: stored, gradient, shadow, compensation) { memory, gradient, shadow, compensation in
        withUnsafeMutablePointer(to: &lost) { lost in
            var arguments = csimd_optimizer_args(
                type: stored.dtype.csimd, count: stored.count, parameter: memory, gradient: UnsafeRawPointer(gradient),
                gradient_scale: pass.transform.gradientScale, clip_coefficient: pass.transform.clipCoefficient,
                clip_value: pass.transform.clipValue, shadow: shadow, shadow_type: shadowType.csimd,
                learning_rate: learningRate, weight_decay: weightDecay, maximize: maximize, rounding: rounding,
                random_key: randomKey, first_index: 0,
                compensation: compensation?.assumingMemoryBound(to: Float.self),
                updates_lost: pass.countsLost ? lost : nil)
            return kernel(&arguments)
        }
    }
    expectSuccess(status, optimizer)
    return lost
}

private func checkState(_ state: Tensor?, of parameter: Parameter) {
    guard let state else { return }
    require(
        state.shape == parameter.shape && state.dtype == parameter.storageType.accumulationType && state.isContiguous,
        "optimizer state of '\(parameter.name)': found \(state.dtype) \(state.shape), expected "
            + "\(parameter.storageType.accumulationType) \(parameter.shape)")
}
