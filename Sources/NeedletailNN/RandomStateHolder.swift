// Layers that draw random numbers, and how a model's random state is saved and put back.
public import NeedletailTensor

/// A module that draws random numbers while it runs: checkpoints save its generator under the module's name.
public protocol RandomStateHolder: Module {
    /// The generator's whole state.
    var generator: SeededGenerator { get set }
}

extension Module {
    /// The generators of all modules that hold one, by the modules' dotted names.
    public func randomStates() -> [String: SeededGenerator] {
        var states: [String: SeededGenerator] = [:]
        for case (let name, let holder as any RandomStateHolder) in namedModules() { states[name] = holder.generator }
        return states
    }

    /// Puts back what `randomStates()` gave; throws `StateDictionaryError`, and changes nothing, where the names
    /// differ.
    public func setRandomStates(_ states: [String: SeededGenerator]) throws {
        var holders: [String: any RandomStateHolder] = [:]
        for case (let name, let holder as any RandomStateHolder) in namedModules() { holders[name] = holder }
        let missing = holders.keys.filter { states[$0] == nil }.sorted()
        let unexpected = states.keys.filter { holders[$0] == nil }.sorted()
        guard missing.isEmpty && unexpected.isEmpty else {
            throw StateDictionaryError(missing: missing, unexpected: unexpected)
        }
        for (name, holder) in holders { if let state = states[name] { holder.generator = state } }
    }
}
