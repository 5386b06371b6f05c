// Lion.
public import NeedletailTensor

/// Lion: a step of the same size for every element, along the sign of a mean of the gradients.
///
/// ```text
/// p *= 1 - learningRate weightDecay
/// p -= learningRate sign(beta1 m + (1 - beta1) g)
/// m = beta2 m + (1 - beta2) g
/// ```
///
/// Its learning rate wants to be 3 to 10 times smaller than Adam's, its weight decay as many times larger; its state is half
/// as large.
/// Precision: float32 inside (float64 for float64 parameters); the parameter is rounded once.
/// Source: Chen et al., Symbolic Discovery of Optimization Algorithms, arXiv 2302.06675 (program 1). PyTorch has none.
public final class Lion: Optimizer {
    /// What `Lion` can be told, with the defaults of its authors.
    public struct Options: MomentumOptions, Equatable {
        /// The step's size.
        public var learningRate = 1e-4
        /// The share of the mean in the step's direction.
        public var beta1 = 0.9
        /// The share of the mean that is kept a step.
        public var beta2 = 0.99
        /// What is taken off p, times the learning rate.
        public var weightDecay = 0.0
        /// Whether the objective is to grow.
        public var maximize = false
        /// beta1.
        public var momentum: Double {
            get { beta1 }
            set { beta1 = newValue }
        }

        /// The defaults.
        public init() {}

        /// Throws `OptimizerOptionsError` for a value outside its range.
        public func validate() throws(OptimizerOptionsError) {
            try OptimizerOptionsError.checkCommon(self)
            try OptimizerOptionsError.check(beta1 >= 0 && beta1 < 1, "beta1", beta1, "a number in [0, 1)")
            try OptimizerOptionsError.check(beta2 >= 0 && beta2 < 1, "beta2", beta2, "a number in [0, 1)")
        }
    }

    static let mean = "exp_avg"

    /// Makes the optimizer with the same options for all parameters.
    public convenience init(_ parameters: [Parameter], _ options: Options) {
        self.init(groups: [ParameterGroup(parameters, options)])
    }

    /// Makes the optimizer with the most used options.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-4, betas: (Double, Double) = (0.9, 0.99),
        weightDecay: Double = 0
    ) {
        var options = Options()
        options.learningRate = learningRate
        (options.beta1, options.beta2) = betas
        options.weightDecay = weightDecay
        self.init(parameters, options)
    }

    /// Makes the optimizer over groups whose options are `Lion.Options`.
    public override init(groups: [ParameterGroup]) {
        for group in groups { _ = group.options(of: Lion.self, as: Options.self) }
        super.init(groups: groups)
    }

    override func update(_ parameter: Parameter, in group: ParameterGroup, step: Int, pass: UpdatePass) -> Int {
        let options = group.options(of: Lion.self, as: Options.self)
        return lionUpdate(
            parameter, mean: momentToUpdate(Self.mean, of: parameter), learningRate: options.learningRate,
            beta1: options.beta1, beta2: options.beta2, weightDecay: options.weightDecay, maximize: options.maximize,
            pass: pass)
    }

    public override func momentNames(in group: ParameterGroup) -> [String] { [Self.mean] }
}
