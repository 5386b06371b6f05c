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

/// SGD with momentum, as `csimd_sgd_step`. Does nothing for a parameter without a gradient.
package func sgdUpdate(
    _ parameter: Parameter, momentumBuffer: Tensor?, learningRate: Double, momentum: Double, dampening: Double,
    nesterov: Bool, weightDecay: Double, maximize: Bool, firstStep: Bool, transform: GradientTransform
) {
    guard var arguments = optimizerArguments(parameter, learningRate, weightDecay, maximize, transform) else { return }
    checkState(momentumBuffer, of: parameter)
    let status = csimd_sgd_step(
        &arguments, momentumBuffer?.pointer, momentum, dampening, nesterov, firstStep)
    expectSuccess(status, "SGD")
}

/// Adam or (decoupled) AdamW, as `csimd_adam_step`; `step` counts from 1. Does nothing for a parameter without a gradient.
package func adamUpdate(
    _ parameter: Parameter, firstMoment: Tensor, secondMoment: Tensor, maxSecondMoment: Tensor?, learningRate: Double,
    beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double, decoupled: Bool, maximize: Bool, step: Int,
    transform: GradientTransform
) {
    guard var arguments = optimizerArguments(parameter, learningRate, weightDecay, maximize, transform) else { return }
    checkState(firstMoment, of: parameter)
    checkState(secondMoment, of: parameter)
    checkState(maxSecondMoment, of: parameter)
    let status = csimd_adam_step(
        &arguments, firstMoment.pointer, secondMoment.pointer, maxSecondMoment?.pointer, beta1, beta2, epsilon,
        decoupled, UInt64(step))
    expectSuccess(status, "Adam")
}

private func optimizerArguments(
    _ parameter: Parameter, _ learningRate: Double, _ weightDecay: Double, _ maximize: Bool,
    _ transform: GradientTransform
) -> csimd_optimizer_args? {
    guard let gradient = parameter.gradient else { return nil }
    let stored = parameter.master
    let shadow = parameter.shadow
    return csimd_optimizer_args(
        type: stored.dtype.csimd, count: stored.count, parameter: stored.pointer,
        gradient: UnsafeRawPointer(gradient.pointer), gradient_scale: transform.gradientScale,
        clip_coefficient: transform.clipCoefficient, clip_value: transform.clipValue, shadow: shadow?.pointer,
        shadow_type: (shadow?.dtype ?? .float32).csimd, learning_rate: learningRate, weight_decay: weightDecay,
        maximize: maximize)
}

private func checkState(_ state: Tensor?, of parameter: Parameter) {
    guard let state else { return }
    require(
        state.shape == parameter.shape && state.dtype == parameter.storageType.accumulationType && state.isContiguous,
        "optimizer state of '\(parameter.name)': found \(state.dtype) \(state.shape), expected "
            + "\(parameter.storageType.accumulationType) \(parameter.shape)")
}
