// What optimizers have in common: groups, state by parameter, one pass over all parameters a step.
public import NeedletailTensor

/// Updates parameters from their gradients. The kinds that come with the package are `SGD`, `Adam`,
/// `AdamW`, `RMSprop`, `Adagrad` and `Lion`.
///
/// Parameters without a gradient are skipped: neither value nor state nor step count moves. State is created when a
/// parameter is first updated, in float32 (float64 for float64 parameters), and counts the parameter's own steps.
///
/// An optimizer of your own overrides `update(_:gradient:in:step:)` and keeps its state in `moment(_:of:)`.
open class Optimizer {
    /// The parameters and their options.
    public private(set) var groups: [ParameterGroup]

    /// How updates are rounded to 16-bit parameters. An optimizer of your own that assigns values rounds to nearest.
    ///
    /// The trainer sets it where its configuration says; checkpoints keep it.
    public var updateRounding = UpdateRounding.nearest
    /// Whether the next steps count the updates that rounding loses.
    public var countsLostUpdates = false
    /// What the last step has lost; nil where it was not to count.
    public private(set) var lostUpdates: LostUpdates?

    /// State of one parameter: its applied steps, and its tensors by name.
    private struct State {
        var step = 0
        var moments: [String: Tensor] = [:]
    }
    private var states: [ObjectIdentifier: State] = [:]

    /// Makes an optimizer over groups that share no parameter.
    public init(groups: [ParameterGroup]) {
        self.groups = groups
        var seen: Set<ObjectIdentifier> = []
        for (index, parameter) in groups.flatMap(\.parameters).enumerated() {
            require(
                seen.insert(ObjectIdentifier(parameter)).inserted,
                "parameter \(index) '\(parameter.name)' \(parameter.shape) was given to the optimizer twice"
            )
        }
    }

    /// Moves those of its parameters that `isMoved` holds for into a group of their own, whose options are those of the first
    /// group that loses one, changed by `change`. State stays with the parameters. Returns the group; nil where none is moved.
    package func split(
        _ isMoved: (Parameter) -> Bool, _ change: (inout any OptimizerOptions) -> Void
    ) -> ParameterGroup? {
        guard let first = groups.first(where: { $0.parameters.contains(where: isMoved) }) else { return nil }
        var options = first.options
        change(&options)
        let moved = ParameterGroup(parameters.filter(isMoved), options)
        groups =
            groups.compactMap { group in
                let rest = group.parameters.filter { !isMoved($0) }
                return rest.isEmpty ? nil : ParameterGroup(rest, group.options)
            } + [moved]
        return moved
    }

    /// All groups' parameters in order.
    public var parameters: [Parameter] { groups.flatMap(\.parameters) }

    /// The first group's learning rate; setting it sets every group's.
    public var learningRate: Double {
        get { groups.first?.learningRate ?? 0 }
        set { for group in groups { group.learningRate = newValue } }
    }

    /// Updates every parameter that has a gradient, from the gradients as they are.
    public func step() { step(transform: GradientTransform()) }

    /// Updates every parameter that has a gradient from its unscaled and clipped gradient, in one pass over the memory.
    ///
    /// The caller has seen to it that `check`, of these gradients, is finite: a step with others is a programmer's
    /// error.
    public func step(check: GradientCheck, clipping: GradientClipping? = nil) {
        require(check.isFinite, "Optimizer.step: \(check); skip the step and lower the loss scale instead")
        step(transform: check.transform(clipping: clipping))
    }

    /// Updates every parameter that has a gradient g from `transform(g)`, in one pass over the memory.
    package func step(transform: GradientTransform) {
        var pass = UpdatePass(transform)
        pass.countsLost = countsLostUpdates
        var counted = LostUpdates()
        var index = 0
        for group in groups {
            for parameter in group.parameters {
                index += 1
                guard parameter.hasGradient else { continue }
                let step = states[ObjectIdentifier(parameter), default: State()].step + 1
                states[ObjectIdentifier(parameter), default: State()].step = step
                pass.rounding = rounding(of: parameter, at: index - 1, step: step)
                counted.lost += update(parameter, in: group, step: step, pass: pass)
                if countsLostUpdates { counted.elements += parameter.shape.reduce(1, *) }
            }
        }
        lostUpdates = countsLostUpdates ? counted : nil
    }

    /// What `updateRounding` means for the step of one parameter, the `index`th of all.
    private func rounding(of parameter: Parameter, at index: Int, step: Int) -> StoreRounding {
        guard parameter.storageType.is16Bit else { return .nearest }
        switch updateRounding {
        case .nearest: return .nearest
        case .stochastic(let seed):
            return .stochastic(key: randomKey(seed: seed, name: Self.name(of: parameter, at: index), step: step))
        case .kahan: return .kahan(compensation: momentToUpdate(Self.compensation, of: parameter))
        }
    }

    /// Forgets all gradients: the next backward pass writes instead of adding.
    public func zeroGradients() {
        for group in groups { for parameter in group.parameters { parameter.zeroGradient() } }
    }

    /// One parameter's update: built-in kinds override this with one fused kernel call. Returns the number of lost updates.
    func update(_ parameter: Parameter, in group: ParameterGroup, step: Int, pass: UpdatePass) -> Int {
        guard var gradient = parameter.gradient?.detached() else { return 0 }
        let transform = pass.transform
        if transform.gradientScale != 1 { gradient = gradient * transform.gradientScale }
        if transform.clipCoefficient != 1 { gradient = gradient * transform.clipCoefficient }
        if transform.clipValue > 0 { gradient = gradient.clamp(min: -transform.clipValue, max: transform.clipValue) }
        guard pass.countsLost else {
            update(parameter, gradient: gradient, in: group, step: step)
            return 0
        }
        // All that can be seen from outside: elements with a gradient that have not moved.
        let before = parameter.master.scalars(as: Double.self)
        update(parameter, gradient: gradient, in: group, step: step)
        let after = parameter.master.scalars(as: Double.self)
        return zip(zip(before, after), gradient.scalars(as: Double.self)).count { $0.0 == $0.1 && $1 != 0 }
    }

    /// Overridden by optimizers outside this package: assign the parameter's new value.
    ///
    /// - Parameters:
    ///   - gradient: unscaled and clipped, of the parameter's shape; float32, or float64 for a float64 parameter.
    ///   - step: 1 at the parameter's first update.
    open func update(_ parameter: Parameter, gradient: Tensor, in group: ParameterGroup, step: Int) {
        stop("\(type(of: self)) overrides none of Optimizer's update functions")
    }

    /// The type of a parameter's state: that of its gradient.
    private static func stateType(of parameter: Parameter) -> DType { parameter.storageType.accumulationType }

    /// A state tensor of `parameter`, of its shape; zeros before it is first set. What has been read stays as it is.
    public final func moment(_ name: String, of parameter: Parameter) -> Tensor {
        storedMoment(name, of: parameter).handedOut()
    }

    /// A state tensor of `parameter` for a kernel that writes to it.
    final func momentToUpdate(_ name: String, of parameter: Parameter) -> Tensor {
        states[ObjectIdentifier(parameter)]?.moments[name]?.makeUnshared()
        return storedMoment(name, of: parameter)
    }

    private func storedMoment(_ name: String, of parameter: Parameter) -> Tensor {
        let type = Self.stateType(of: parameter)
        let key = ObjectIdentifier(parameter)
        if let tensor = states[key]?.moments[name] {
            if tensor.dtype == type { return tensor }
            // The parameter's type was changed after its state was made.
            let converted = withoutGradients { tensor.cast(to: type) }
            states[key]?.moments[name] = converted
            return converted
        }
        let tensor = Tensor.zeros(parameter.shape, dtype: type)
        states[key, default: State()].moments[name] = tensor
        return tensor
    }

    /// Replaces a state tensor of `parameter`.
    public final func setMoment(_ name: String, of parameter: Parameter, to tensor: Tensor) {
        require(
            tensor.shape == parameter.shape,
            "moment '\(name)' of '\(parameter.name)': found shape \(tensor.shape), expected \(parameter.shape)")
        states[ObjectIdentifier(parameter), default: State()].moments[name] = tensor.detached().contiguous().handedOut()
    }

    /// How often `parameter` has been updated.
    public final func stepCount(of parameter: Parameter) -> Int { states[ObjectIdentifier(parameter)]?.step ?? 0 }

    /// The name of Kahan's compensation among a parameter's state.
    static let compensation = "compensation"

    /// The names of a parameter's state tensors: its moments, and the compensation where the rounding keeps one.
    package func stateNames(of parameter: Parameter, in group: ParameterGroup) -> [String] {
        let compensated = updateRounding == .kahan && parameter.storageType.is16Bit
        return momentNames(in: group) + (compensated ? [Self.compensation] : [])
    }

    /// The names that `moment` is called with for parameters of `group`: what a checkpoint must hold.
    open func momentNames(in group: ParameterGroup) -> [String] { [] }
}

// Checkpoints.
extension Optimizer {
    /// All state by name: "<parameter>.<moment>", and "<parameter>.step", an int64 scalar. Never updated parameters
    /// have none.
    ///
    /// The tensors stay as they are when a later step changes the state. Names are `Parameter.name`, which the outermost
    /// module's `nameParameters()` sets; unnamed parameters are named by their position.
    public func stateTensors() -> [(name: String, tensor: Tensor)] {
        var tensors: [(name: String, tensor: Tensor)] = []
        for (name, parameter, group) in namedParameters() {
            guard let state = states[ObjectIdentifier(parameter)] else { continue }
            tensors.append(("\(name).step", Tensor([Int64(state.step)], shape: [])))
            for moment in stateNames(of: parameter, in: group) {
                tensors.append(("\(name).\(moment)", self.moment(moment, of: parameter)))
            }
        }
        return tensors
    }

    /// Puts back the state that `stateTensors()` gave: parameters without a step count in it start afresh.
    ///
    /// Compensations are no part of the optimizer's own state: where the rounding keeps them and there are none (a run of
    /// another precision) they begin at zero, and where it keeps none they are dropped, which is at most half an ulp.
    ///
    /// - Throws: `OptimizerStateError`, having changed nothing, where a name, shape or type does not fit.
    public func load(stateTensors: [String: Tensor]) throws {
        var loaded: [ObjectIdentifier: State] = [:]
        var used: Set<String> = []
        var problems: [String] = []
        for (name, parameter, group) in namedParameters() {
            let moments = stateNames(of: parameter, in: group)
            used.insert("\(name).\(Self.compensation)")
            guard let count = stateTensors["\(name).step"] else { continue }
            used.insert("\(name).step")
            guard count.dtype == .int64, count.count == 1, (0...(1 << 53)).contains(count.scalars(as: Int64.self)[0])
            else {
                problems.append(
                    "'\(name).step': found \(count.dtype) \(count.shape), expected an int64 scalar from 0 to 2^53")
                continue
            }
            var state = State(step: Int(count.scalars(as: Int64.self)[0]))
            for moment in moments {
                let fullName = "\(name).\(moment)"
                guard let tensor = stateTensors[fullName] else {
                    if moment == Self.compensation { continue }
                    problems.append("'\(fullName)' is missing")
                    continue
                }
                used.insert(fullName)
                if tensor.shape != parameter.shape {
                    problems.append("'\(fullName)': found shape \(tensor.shape), expected \(parameter.shape)")
                } else if tensor.dtype != .float32 && tensor.dtype != .float64 {
                    problems.append("'\(fullName)': found type \(tensor.dtype), expected float32 or float64")
                } else {
                    // A copy: kernels update state in place, and the caller keeps its tensors.
                    let type = Self.stateType(of: parameter)
                    let converted = withoutGradients { tensor.cast(to: type) }
                    state.moments[moment] = Tensor(bytes: converted.bytes, shape: parameter.shape, dtype: type)
                }
            }
            loaded[ObjectIdentifier(parameter)] = state
        }
        problems += stateTensors.keys.filter { !used.contains($0) }.sorted().map { "'\($0)' is unexpected" }
        if !problems.isEmpty, parameters.contains(where: { $0.name.isEmpty }) {
            problems.append(
                "parameters without a name are found by their position: call nameParameters() of the outermost module first"
            )
        }
        guard problems.isEmpty else { throw OptimizerStateError(optimizer: "\(type(of: self))", problems: problems) }
        states = loaded
    }

    /// A parameter's name; by its position where it has none.
    fileprivate static func name(of parameter: Parameter, at index: Int) -> String {
        parameter.name.isEmpty ? "parameter\(index)" : parameter.name
    }

    private func namedParameters() -> [(name: String, parameter: Parameter, group: ParameterGroup)] {
        var names: Set<String> = []
        var index = 0
        return groups.flatMap { group in
            group.parameters.map { parameter in
                defer { index += 1 }
                let name = Self.name(of: parameter, at: index)
                require(
                    names.insert(name).inserted,
                    "two parameters are named '\(name)'; call nameParameters() of the module that holds both")
                return (name, parameter, group)
            }
        }
    }
}

/// Optimizer state that does not fit the optimizer and its parameters; nothing was loaded.
public struct OptimizerStateError: Error, Equatable, CustomStringConvertible {
    /// The optimizer's type.
    public let optimizer: String
    /// What is wrong, one line a tensor: name, found, expected.
    public let problems: [String]

    /// All that is wrong, and what to do.
    public var description: String {
        (["the state does not fit \(optimizer); nothing was loaded"] + problems
            + ["resume with the optimizer and the model that the state was saved from"]).joined(separator: "\n  ")
    }
}
