// Adam and AdamW.
public import NeedletailTensor

/// What `Adam` and `AdamW` can be told, with the defaults of PyTorch's Adam (`AdamW.Options()` has its own weight
/// decay).
public struct AdamOptions: OptimizerOptions, Equatable {
    /// The step's size.
    public var learningRate = 1e-3
    /// The share of the first moment (mean of g) that is kept a step.
    public var beta1 = 0.9
    /// The share of the second moment (mean of g^2) that is kept a step.
    public var beta2 = 0.999
    /// Added to the denominator.
    public var epsilon = 1e-8
    /// The factor of p that is added to the gradient (Adam), or taken off p times the learning rate (AdamW).
    public var weightDecay: Double
    /// Whether the denominator uses the largest second moment so far.
    public var amsgrad = false
    /// Whether the objective is to grow.
    public var maximize = false

    /// The defaults.
    public init(weightDecay: Double = 0) { self.weightDecay = weightDecay }

    /// Throws `OptimizerOptionsError` for a value outside its range.
    public func validate() throws(OptimizerOptionsError) {
        try OptimizerOptionsError.checkCommon(self)
        try OptimizerOptionsError.check(beta1 >= 0 && beta1 < 1, "beta1", beta1, "a number in [0, 1)")
        try OptimizerOptionsError.check(beta2 >= 0 && beta2 < 1, "beta2", beta2, "a number in [0, 1)")
        try OptimizerOptionsError.check(
            epsilon >= 0 && epsilon.isFinite, "epsilon", epsilon, "a finite number, zero or more")
    }
}

/// Adam, as `torch.optim.Adam`: weight decay is part of the gradient.
///
/// ```text
/// g += weightDecay p
/// m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2;  v' = amsgrad ? max(v', v) : v
/// p -= learningRate / (1 - beta1^t) m / (sqrt(v') / sqrt(1 - beta2^t) + epsilon)
/// ```
///
/// Precision: float32 inside (float64 for float64 parameters); the parameter is rounded once, as `updateRounding` says.
/// Source: Kingma and Ba, arXiv 1412.6980; AMSGrad: Reddi et al., arXiv 1904.09237.
public class Adam: Optimizer {
    /// What the optimizer can be told.
    public typealias Options = AdamOptions

    static let firstMoment = "exp_avg"
    static let secondMoment = "exp_avg_sq"
    static let maximumSecondMoment = "max_exp_avg_sq"

    /// Makes the optimizer with the same options for all parameters.
    public convenience init(_ parameters: [Parameter], _ options: AdamOptions) {
        self.init(groups: [ParameterGroup(parameters, options)])
    }

    /// Makes the optimizer with the most used options.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
        epsilon: Double = 1e-8, weightDecay: Double = 0, amsgrad: Bool = false
    ) {
        var options = AdamOptions(weightDecay: weightDecay)
        options.learningRate = learningRate
        (options.beta1, options.beta2) = betas
        options.epsilon = epsilon
        options.amsgrad = amsgrad
        self.init(parameters, options)
    }

    /// Makes the optimizer over groups whose options are `AdamOptions`.
    public override init(groups: [ParameterGroup]) {
        for group in groups { _ = group.options(of: Adam.self, as: AdamOptions.self) }
        super.init(groups: groups)
    }

    /// Whether weight decay is taken off the parameter and stays out of the moments.
    var isDecoupled: Bool { false }

    override func update(_ parameter: Parameter, in group: ParameterGroup, step: Int, pass: UpdatePass) -> Int {
        let options = group.options(of: Adam.self, as: AdamOptions.self)
        return adamUpdate(
            parameter, firstMoment: momentToUpdate(Self.firstMoment, of: parameter),
            secondMoment: momentToUpdate(Self.secondMoment, of: parameter),
            maxSecondMoment: options.amsgrad ? momentToUpdate(Self.maximumSecondMoment, of: parameter) : nil,
            learningRate: options.learningRate, beta1: options.beta1, beta2: options.beta2, epsilon: options.epsilon,
            weightDecay: options.weightDecay, decoupled: isDecoupled, maximize: options.maximize, step: step,
            pass: pass)
    }

    public override func momentNames(in group: ParameterGroup) -> [String] {
        let amsgrad = group.options(of: Adam.self, as: AdamOptions.self).amsgrad
        return [Self.firstMoment, Self.secondMoment] + (amsgrad ? [Self.maximumSecondMoment] : [])
    }
}
