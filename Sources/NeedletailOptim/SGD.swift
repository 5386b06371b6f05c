// Stochastic gradient descent.
public import NeedletailTensor

/// Stochastic gradient descent with momentum, Nesterov momentum and weight decay, as `torch.optim.SGD`.
///
/// ```text
/// g += weightDecay p
/// b = g at the first step, else momentum b + (1 - dampening) g
/// p -= learningRate (momentum == 0 ? g : nesterov ? g + momentum b : b)
/// ```
///
/// Precision: float32 inside (float64 for float64 parameters); the parameter is rounded once, as `updateRounding` says.
public final class SGD: Optimizer {
    /// What `SGD` can be told, with PyTorch's defaults.
    public struct Options: OptimizerOptions, Equatable {
        /// The step's size.
        public var learningRate = 1e-3
        /// The share of the last direction that is kept.
        public var momentum = 0.0
        /// The share of the gradient that does not enter the direction.
        public var dampening = 0.0
        /// The factor of p that is added to the gradient.
        public var weightDecay = 0.0
        /// Whether the step looks ahead along the new direction; needs momentum and no dampening.
        public var nesterov = false
        /// Whether the objective is to grow.
        public var maximize = false

        /// The defaults.
        public init() {}

        /// Throws `OptimizerOptionsError` for a value outside its range.
        public func validate() throws(OptimizerOptionsError) {
            try OptimizerOptionsError.checkCommon(self)
            try OptimizerOptionsError.check(
                momentum >= 0 && momentum.isFinite, "momentum", momentum, "a finite number, zero or more")
            try OptimizerOptionsError.check(dampening.isFinite, "dampening", dampening, "a finite number")
            if nesterov {
                try OptimizerOptionsError.check(momentum > 0, "momentum", momentum, "more than zero with nesterov")
                try OptimizerOptionsError.check(dampening == 0, "dampening", dampening, "zero with nesterov")
            }
        }
    }

    static let momentumBuffer = "momentum_buffer"

    /// Makes the optimizer with the same options for all parameters.
    public convenience init(_ parameters: [Parameter], _ options: Options) {
        self.init(groups: [ParameterGroup(parameters, options)])
    }

    /// Makes the optimizer with the most used options.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-3, momentum: Double = 0, weightDecay: Double = 0,
        nesterov: Bool = false
    ) {
        var options = Options()
        options.learningRate = learningRate
        options.momentum = momentum
        options.weightDecay = weightDecay
        options.nesterov = nesterov
        self.init(parameters, options)
    }

    /// Makes the optimizer over groups whose options are `SGD.Options`.
    public override init(groups: [ParameterGroup]) {
        for group in groups { _ = group.options(of: SGD.self, as: Options.self) }
        super.init(groups: groups)
    }

    override func update(_ parameter: Parameter, in group: ParameterGroup, step: Int, pass: UpdatePass) -> Int {
        let options = group.options(of: SGD.self, as: Options.self)
        return sgdUpdate(
            parameter, momentumBuffer: options.momentum == 0 ? nil : momentToUpdate(Self.momentumBuffer, of: parameter),
            learningRate: options.learningRate, momentum: options.momentum, dampening: options.dampening,
            nesterov: options.nesterov, weightDecay: options.weightDecay, maximize: options.maximize,
            firstStep: step == 1, pass: pass)
    }

    public override func momentNames(in group: ParameterGroup) -> [String] {
        group.options(of: SGD.self, as: Options.self).momentum == 0 ? [] : [Self.momentumBuffer]
    }
}
