// RMSprop.
public import NeedletailTensor

/// RMSprop, as `torch.optim.RMSprop`: the gradient over the root of its recent mean square.
///
/// ```text
/// g += weightDecay p
/// v = alpha v + (1 - alpha) g^2
/// d = sqrt(centered ? max(v - m^2, 0) : v) + epsilon, with m += (1 - alpha) (g - m)
/// p -= learningRate (momentum == 0 ? g / d : b), with b = momentum b + g / d
/// ```
///
/// Precision: float32 inside (float64 for float64 parameters); the parameter is rounded once. Where rounding makes v - m^2
/// negative the root is 0, and PyTorch's NaN.
/// Source: Hinton, Neural Networks for Machine Learning, lecture 6; centered: Graves, arXiv 1308.0850.
public final class RMSprop: Optimizer {
    /// What `RMSprop` can be told, with PyTorch's defaults.
    public struct Options: MomentumOptions, Equatable {
        /// The step's size.
        public var learningRate = 1e-2
        /// The share of the mean square that is kept a step.
        public var alpha = 0.99
        /// Added to the denominator.
        public var epsilon = 1e-8
        /// The factor of p that is added to the gradient.
        public var weightDecay = 0.0
        /// The share of the last direction that is kept.
        public var momentum = 0.0
        /// Whether the mean square is taken about the mean, as a variance.
        public var centered = false
        /// Whether the objective is to grow.
        public var maximize = false

        /// The defaults.
        public init() {}

        /// Throws `OptimizerOptionsError` for a value outside its range.
        public func validate() throws(OptimizerOptionsError) {
            try OptimizerOptionsError.checkCommon(self)
            try OptimizerOptionsError.check(alpha >= 0 && alpha < 1, "alpha", alpha, "a number in [0, 1)")
            try OptimizerOptionsError.check(
                epsilon >= 0 && epsilon.isFinite, "epsilon", epsilon, "a finite number, zero or more")
            try OptimizerOptionsError.check(
                momentum >= 0 && momentum.isFinite, "momentum", momentum, "a finite number, zero or more")
        }
    }

    static let squareMean = "square_avg"
    static let gradientMean = "grad_avg"
    static let momentumBuffer = "momentum_buffer"

    /// Makes the optimizer with the same options for all parameters.
    public convenience init(_ parameters: [Parameter], _ options: Options) {
        self.init(groups: [ParameterGroup(parameters, options)])
    }

    /// Makes the optimizer with the most used options.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-2, alpha: Double = 0.99, momentum: Double = 0,
        weightDecay: Double = 0, centered: Bool = false
    ) {
        var options = Options()
        options.learningRate = learningRate
        options.alpha = alpha
        options.momentum = momentum
        options.weightDecay = weightDecay
        options.centered = centered
        self.init(parameters, options)
    }

    /// Makes the optimizer over groups whose options are `RMSprop.Options`.
    public override init(groups: [ParameterGroup]) {
        for group in groups { _ = group.options(of: RMSprop.self, as: Options.self) }
        super.init(groups: groups)
    }

    override func update(_ parameter: Parameter, in group: ParameterGroup, step: Int, pass: UpdatePass) -> Int {
        let options = group.options(of: RMSprop.self, as: Options.self)
        return rmspropUpdate(
            parameter, squareMean: momentToUpdate(Self.squareMean, of: parameter),
            gradientMean: options.centered ? momentToUpdate(Self.gradientMean, of: parameter) : nil,
            momentumBuffer: options.momentum == 0 ? nil : momentToUpdate(Self.momentumBuffer, of: parameter),
            learningRate: options.learningRate, alpha: options.alpha, epsilon: options.epsilon,
            momentum: options.momentum, weightDecay: options.weightDecay, maximize: options.maximize, pass: pass)
    }

    public override func momentNames(in group: ParameterGroup) -> [String] {
        let options = group.options(of: RMSprop.self, as: Options.self)
        return [Self.squareMean] + (options.centered ? [Self.gradientMean] : [])
            + (options.momentum == 0 ? [] : [Self.momentumBuffer])
    }
}
