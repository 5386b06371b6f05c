// Parameters that training leaves as they are.
import NeedletailTensor

extension Module {
    /// Leaves all parameters of this module and of those below it as they are: no gradient is formed for them, and optimizers
    /// pass over them. To be called before the optimizers are made, or at any time after.
    ///
    /// Modes (dropout) stay. A batch norm whose parameters are frozen normalises by its running statistics and does not
    /// move them; with `tracksStatistics` it goes on with its batches' statistics, as PyTorch's does.
    public func freeze(tracksStatistics: Bool = false) { setFrozen(true, parameters(), tracksStatistics) }

    /// Trains all parameters of this module and of those below it.
    public func unfreeze() { setFrozen(false, parameters()) }

    /// Freezes the parameters whose dotted names match `pattern`, such as `layers.0.*`; how many they are.
    ///
    /// Throws: ``PatternError`` where none does.
    @discardableResult
    public func freeze(_ pattern: String, tracksStatistics: Bool = false) throws(PatternError) -> Int {
        let matching = try parameters(matching: pattern)
        setFrozen(true, matching, tracksStatistics)
        return matching.count
    }

    /// Trains the parameters whose dotted names match `pattern`; how many they are.
    ///
    /// Throws: ``PatternError`` where none does.
    @discardableResult
    public func unfreeze(_ pattern: String) throws(PatternError) -> Int {
        let matching = try parameters(matching: pattern)
        setFrozen(false, matching)
        return matching.count
    }

    /// Whether no parameter is trained.
    public var isFrozen: Bool { parameters().allSatisfy(\.isFrozen) }

    private func parameters(matching pattern: String) throws(PatternError) -> [Parameter] {
        let named = namedParameters()
        let matching = named.filter { matches($0.name, pattern: pattern) }.map(\.parameter)
        guard !matching.isEmpty else { throw PatternError(pattern, kind: "parameter", names: named.map(\.name)) }
        return matching
    }

    private func setFrozen(_ isFrozen: Bool, _ parameters: [Parameter], _ tracksStatistics: Bool = false) {
        for parameter in parameters {
            parameter.requiresGradient = !isFrozen
            // One that is there would be applied again and again.
            if isFrozen { parameter.zeroGradient() }
        }
        guard isFrozen else { return }
        let frozen = Set(parameters.map { ObjectIdentifier($0) })
        for case let norm as BatchNorm in namedModules().map(\.module)
        where frozen.contains(ObjectIdentifier(norm.weight)) || frozen.contains(ObjectIdentifier(norm.bias)) {
            norm.tracksStatisticsWhenFrozen = tracksStatistics
        }
    }
}
