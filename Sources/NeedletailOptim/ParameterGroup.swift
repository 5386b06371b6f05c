// Parameters that are updated with the same options.
public import NeedletailTensor

/// The options of one kind of optimizer, such as `Adam.Options`: what a `ParameterGroup` holds, schedules change and
/// checkpoints save.
public protocol OptimizerOptions: Codable, Sendable {
    /// The step's size.
    var learningRate: Double { get set }
    /// How strongly weights are pulled to zero.
    var weightDecay: Double { get set }
    /// Throws `OptimizerOptionsError` for a value outside its range.
    func validate() throws(OptimizerOptionsError)
}

/// Parameters that an optimizer updates with the same options.
public final class ParameterGroup {
    /// The parameters, in the order in which they are updated.
    public let parameters: [Parameter]
    /// The options, of the optimizer's own type.
    public var options: any OptimizerOptions

    /// The step's size.
    public var learningRate: Double {
        get { options.learningRate }
        set { options.learningRate = newValue }
    }

    /// Makes a group; traps where an option is outside its range (`options.validate()` throws instead).
    public init(_ parameters: [Parameter], _ options: any OptimizerOptions) {
        do { try options.validate() } catch { stop(error.description) }
        self.parameters = parameters
        self.options = options
    }

    /// The options as the type that `optimizer` needs.
    func options<Options: OptimizerOptions>(of optimizer: Optimizer.Type, as type: Options.Type) -> Options {
        guard let options = options as? Options else {
            stop("\(optimizer): found a group with \(Swift.type(of: self.options)), expected \(type)")
        }
        return options
    }
}

/// An optimizer's option outside its range.
public struct OptimizerOptionsError: Error, Equatable, CustomStringConvertible {
    /// The option's name.
    public let option: String
    /// The value found.
    public let found: Double
    /// What values are allowed.
    public let expected: String

    /// Found and expected.
    public var description: String { "\(option): found \(found), expected \(expected)" }

    static func check(_ isValid: Bool, _ option: String, _ found: Double, _ expected: String)
        throws(OptimizerOptionsError)
    {
        guard isValid else { throw OptimizerOptionsError(option: option, found: found, expected: expected) }
    }

    static func checkCommon(_ options: some OptimizerOptions) throws(OptimizerOptionsError) {
        let (rate, decay) = (options.learningRate, options.weightDecay)
        try check(rate >= 0 && rate.isFinite, "learningRate", rate, "a finite number, zero or more")
        try check(decay >= 0 && decay.isFinite, "weightDecay", decay, "a finite number, zero or more")
    }
}
