// Adagrad.
public import NeedletailTensor

/// Adagrad, as `torch.optim.Adagrad`: the gradient over the root of the sum of all its squares.
///
/// ```text
/// g += weightDecay p
/// s += g^2, from initialAccumulatorValue on
/// p -= learningRate / (1 + (t - 1) learningRateDecay) g / (sqrt(s) + epsilon)
/// ```
///
/// Precision: float32 inside (float64 for float64 parameters); the parameter is rounded once.
/// Source: Duchi, Hazan and Singer, JMLR 12 (2011).
public final class Adagrad: Optimizer {
    /// What `Adagrad` can be told, with PyTorch's defaults.
    public struct Options: OptimizerOptions, Equatable {
        /// The step's size.
        public var learningRate = 1e-2
        /// How fast the step's size falls with the parameter's step count t.
        public var learningRateDecay = 0.0
        /// The factor of p that is added to the gradient.
        public var weightDecay = 0.0
        /// What the sum of squares begins with.
        public var initialAccumulatorValue = 0.0
        /// Added to the denominator.
        public var epsilon = 1e-10
        /// Whether the objective is to grow.
        public var maximize = false

        /// The defaults.
        public init() {}

        /// Throws `OptimizerOptionsError` for a value outside its range.
        public func validate() throws(OptimizerOptionsError) {
            try OptimizerOptionsError.checkCommon(self)
            for (option, value) in [
                ("learningRateDecay", learningRateDecay), ("initialAccumulatorValue", initialAccumulatorValue),
                ("epsilon", epsilon),
            ] {
                try OptimizerOptionsError.check(
                    value >= 0 && value.isFinite, option, value, "a finite number, zero or more")
            }
        }
    }

    static let squareSum = "sum"

    /// Makes the optimizer with the same options for all parameters.
    public convenience init(_ parameters: [Parameter], _ options: Options) {
        self.init(groups: [ParameterGroup(parameters, options)])
    }

    /// Makes the optimizer with the most used options.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-2, learningRateDecay: Double = 0, weightDecay: Double = 0,
        initialAccumulatorValue: Double = 0
    ) {
        var options = Options()
        options.learningRate = learningRate
        options.learningRateDecay = learningRateDecay
        options.weightDecay = weightDecay
        options.initialAccumulatorValue = initialAccumulatorValue
        self.init(parameters, options)
    }

    /// Makes the optimizer over groups whose options are `Adagrad.Options`.
    public override init(groups: [ParameterGroup]) {
        for group in groups { _ = group.options(of: Adagrad.self, as: Options.self) }
        super.init(groups: groups)
    }

    override func update(_ parameter: Parameter, in group: ParameterGroup, step: Int, pass: UpdatePass) -> Int {
        let options = group.options(of: Adagrad.self, as: Options.self)
        if step == 1, options.initialAccumulatorValue != 0 {
            let type = momentToUpdate(Self.squareSum, of: parameter).dtype
            setMoment(
                Self.squareSum, of: parameter,
                to: .full(parameter.shape, options.initialAccumulatorValue, dtype: type))
        }
        return adagradUpdate(
            parameter, squareSum: momentToUpdate(Self.squareSum, of: parameter), learningRate: options.learningRate,
            learningRateDecay: options.learningRateDecay, epsilon: options.epsilon, weightDecay: options.weightDecay,
            maximize: options.maximize, step: step, pass: pass)
    }

    public override func momentNames(in group: ParameterGroup) -> [String] { [Self.squareSum] }
}
