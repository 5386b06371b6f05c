// The state of a module at one moment, and putting it back: skipped steps, measurements, recomputed activations and
// checkpoints of the last complete step all use this.
package import NeedletailTensor

/// The parts of a module that hold state, looked up once, so that a training step does not reflect.
package struct ModuleState {
    /// Which state is meant.
    package struct Parts: OptionSet, Sendable {
        package let rawValue: Int

        package init(rawValue: Int) { self.rawValue = rawValue }

        /// Stored values, 16-bit copies and gradients, and which parameters are frozen.
        package static let parameters = Parts(rawValue: 1)
        /// Running statistics and whatever else is in a ``Buffer``.
        package static let buffers = Parts(rawValue: 2)
        /// The random generators of layers.
        package static let generators = Parts(rawValue: 4)
        /// Which modules are in training mode.
        package static let modes = Parts(rawValue: 8)
        /// Everything.
        package static let all: Parts = [.parameters, .buffers, .generators, .modes]
    }

    /// The parameters in the order of ``Module/parameters()``.
    package private(set) var parameters: [Parameter] = []
    /// The buffers in the order of ``Module/namedBuffers()``.
    package private(set) var buffers: [Buffer] = []
    /// The layers that draw random numbers.
    package private(set) var generatorHolders: [any RandomStateHolder] = []
    /// The module and all below it.
    package private(set) var modules: [Module] = []

    /// The parts of `module` and of all modules below it.
    package init(_ module: Module) {
        var visited: Set<ObjectIdentifier> = []
        visit(module, &visited)
    }

    private mutating func visit(_ module: Module, _ visited: inout Set<ObjectIdentifier>) {
        guard visited.insert(ObjectIdentifier(module)).inserted else { return }
        modules.append(module)
        if let holder = module as? any RandomStateHolder { generatorHolders.append(holder) }
        let members = module.members()
        for member in members {
            switch member {
            case .parameter(_, let parameter):
                if visited.insert(ObjectIdentifier(parameter)).inserted { parameters.append(parameter) }
            case .buffer(_, let buffer):
                if visited.insert(ObjectIdentifier(buffer)).inserted { buffers.append(buffer) }
            case .module: continue
            }
        }
        for case .module(_, let child) in members { visit(child, &visited) }
    }

    /// The state as it is now.
    ///
    /// Nothing is copied. Buffers' tensors are replaced and never written to; parameters' tensors are written to by
    /// updates, so whoever updates parameters before they are put back calls ``copyParameters()`` first.
    package func snapshot(_ parts: Parts = .all) -> ModuleSnapshot { ModuleSnapshot(self, parts) }

    /// Gives each parameter a new gradient, and leaves that of a snapshot as it is.
    package func renewGradients() { for parameter in parameters { parameter.renewGradient() } }

    /// Gives each parameter copies of its tensors, and no gradient: the tensors of a snapshot stay as they are.
    package func copyParameters() {
        for parameter in parameters {
            parameter.setTypes(storage: parameter.storageType, compute: parameter.computeType)
        }
    }
}

/// The state of a module at one moment.
package struct ModuleSnapshot {
    private let state: ModuleState
    private var parameters: [(state: Parameter.State, isFrozen: Bool)] = []
    private var buffers: [Tensor] = []
    private var generators: [SeededGenerator] = []
    private var modes: [Bool] = []

    fileprivate init(_ state: ModuleState, _ parts: ModuleState.Parts) {
        self.state = state
        if parts.contains(.parameters) { parameters = state.parameters.map { ($0.state, $0.isFrozen) } }
        if parts.contains(.buffers) { buffers = state.buffers.map(\.value) }
        if parts.contains(.generators) { generators = state.generatorHolders.map(\.generator) }
        if parts.contains(.modes) { modes = state.modules.map(\.isTraining) }
    }

    /// Puts back what was taken.
    package func restore() {
        for (parameter, kept) in zip(state.parameters, parameters) {
            parameter.state = kept.state
            if parameter.isFrozen != kept.isFrozen { parameter.requiresGradient = !kept.isFrozen }
        }
        restoreBuffers(at: changedBuffers)
        for (holder, generator) in zip(state.generatorHolders, generators) where holder.generator != generator {
            holder.generator = generator
        }
        for (module, isTraining) in zip(state.modules, modes) where module.isTraining != isTraining {
            module.isTraining = isTraining
        }
    }

    /// Puts back the buffers alone.
    package func restoreBuffers() { restoreBuffers(at: buffers.indices) }

    /// The places of the buffers whose value is another one now.
    package var changedBuffers: [Int] {
        buffers.indices.filter { state.buffers[$0].value.storageIdentity != buffers[$0].storageIdentity }
    }

    /// Puts back the buffers at these places.
    package func restoreBuffers(at places: some Sequence<Int>) {
        for place in places { state.buffers[place].put(buffers[place]) }
    }
}
