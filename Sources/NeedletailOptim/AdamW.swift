// Adam with decoupled weight decay.
public import NeedletailTensor

/// AdamW, as `torch.optim.AdamW`: Adam, but the decay is `p *= 1 - learningRate weightDecay`, before the step.
///
/// Source: Loshchilov and Hutter, arXiv 1711.05101.
public final class AdamW: Adam {
    /// Makes the optimizer with the most used options; the default weight decay is 0.01.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
        epsilon: Double = 1e-8, weightDecay: Double = 1e-2, amsgrad: Bool = false
    ) {
        var options = AdamOptions(weightDecay: weightDecay)
        options.learningRate = learningRate
        (options.beta1, options.beta2) = betas
        options.epsilon = epsilon
        options.amsgrad = amsgrad
        self.init(parameters, options)
    }

    override var isDecoupled: Bool { true }
}
