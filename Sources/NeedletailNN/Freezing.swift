// Parameters that training leaves as they are.
import NeedletailTensor

extension Module {
    /// Leaves all parameters of this module and of those below it as they are: no gradient is formed for them, and optimizers
    /// pass over them. Modes (dropout) stay; to be called before the optimizers are made, or at any time after.
    public func freeze() { for parameter in parameters() { setTrainable(parameter, false) } }

    /// Trains all parameters of this module and of those below it.
    public func unfreeze() { for parameter in parameters() { setTrainable(parameter, true) } }

    /// Freezes the parameters whose dotted names match `pattern`, such as `layers.0.*`; how many they are.
    @discardableResult
    public func freeze(_ pattern: String) -> Int { set(pattern, isTrainable: false) }

    /// Trains the parameters whose dotted names match `pattern`; how many they are.
    @discardableResult
    public func unfreeze(_ pattern: String) -> Int { set(pattern, isTrainable: true) }

    /// Whether no parameter is trained.
    public var isFrozen: Bool { parameters().allSatisfy { !$0.requiresGradient } }

    private func set(_ pattern: String, isTrainable: Bool) -> Int {
        let matching = namedParameters().filter { matches($0.name, pattern: pattern) }
        for (_, parameter) in matching { setTrainable(parameter, isTrainable) }
        return matching.count
    }

    /// A frozen parameter has no gradient: one that is there would be applied again and again.
    private func setTrainable(_ parameter: Parameter, _ isTrainable: Bool) {
        parameter.requiresGradient = isTrainable
        if !isTrainable { parameter.zeroGradient() }
    }
}
