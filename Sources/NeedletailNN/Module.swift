// The base class of layers and models: finds parameters and sub-modules among the properties, names them as PyTorch
// would.
public import NeedletailTensor

/// A part of a model: its stored properties that are parameters or modules are found by reflection.
///
/// Found are properties of type `Parameter`, `Module` (and their subclasses), optionals, arrays and string-keyed
/// dictionaries of these, nested to any depth, of the class itself and of its superclasses. A property `layer1` that is
/// a `Linear` gives the names `layer1.weight` and `layer1.bias`; an array `blocks` gives `blocks.0.…`, `blocks.1.…`.
/// These are the names that the same model has in PyTorch.
///
/// Looking at a module (its parameters, names, modules and state dictionary) changes nothing, and neither does calling one in
/// evaluation mode: several tasks may do so at once; docs/concurrency.md says what they may not. Nothing is cached: every call reflects anew (about a microsecond a property), so that a property may be replaced at
/// any time. Training steps do not reflect; optimizers hold the parameters themselves.
///
///     final class Net: Module {
///         let layer1: Linear
///         init(using generator: inout SeededGenerator) { layer1 = Linear(784, 10, using: &generator) }
///         func forward(_ x: Tensor) -> Tensor { layer1(x) }
///     }
open class Module {
    /// Whether layers such as `Dropout` behave as in training. Set for a whole model by `train(_:)` and `evaluate()`.
    public internal(set) var isTraining = true
    /// Told what the layer returns, where someone looks; see `LayerObserver.swift`.
    package final var outputObserver: ((Tensor) -> Void)?

    /// Makes a module in training mode.
    public init() {}

    /// The module's own parameters and direct sub-modules in order of declaration, a superclass's first.
    ///
    /// Override it only where names must differ from the properties' (as `Sequential` does), or to hide a property.
    open func members() -> [ModuleMember] { ModuleMember.reflected(from: self) }

    /// Puts this module and all below it into training mode, or out of it.
    public func train(_ mode: Bool = true) {
        // Only what changes: to evaluate a module that is in evaluation mode is to read it.
        for (_, module) in namedModules() where module.isTraining != mode { module.isTraining = mode }
    }

    /// Puts this module and all below it into evaluation mode: the same as `train(false)`.
    public func evaluate() { train(false) }

    /// This module, named "", and all modules below it with their dotted names, each once, parents first.
    public func namedModules() -> [(name: String, module: Module)] {
        var visited: Set<ObjectIdentifier> = []
        var found: [(name: String, module: Module)] = []
        func visit(_ module: Module, _ path: String) {
            guard visited.insert(ObjectIdentifier(module)).inserted else { return }
            found.append((path, module))
            for case .module(let name, let child) in module.members() { visit(child, Self.join(path, name)) }
        }
        visit(self, "")
        return found
    }

    /// All parameters with their dotted names, a module's own before its sub-modules', a shared one once (its first
    /// name).
    ///
    /// Reads only: ``nameParameters()`` writes the names to the parameters.
    public func namedParameters() -> [(name: String, parameter: Parameter)] {
        var visited: Set<ObjectIdentifier> = []
        var names: Set<String> = []
        var found: [(name: String, parameter: Parameter)] = []
        for (path, module) in namedModules() {
            for case .parameter(let name, let parameter) in module.members() {
                guard visited.insert(ObjectIdentifier(parameter)).inserted else { continue }
                let fullName = Self.join(path, name)
                require(
                    names.insert(fullName).inserted,
                    "two parameters are named '\(fullName)' in \(type(of: self)); rename one of the properties")
                found.append((fullName, parameter))
            }
        }
        return found
    }

    /// All parameters in the order of `namedParameters()`, each once.
    public func parameters() -> [Parameter] { namedParameters().map(\.parameter) }

    /// Writes the names of ``namedParameters()`` to `Parameter.name`, from which optimizers' states and errors take them.
    ///
    /// To be called of the outermost module, before an optimizer's state is saved or loaded. The trainer makes that call.
    public func nameParameters() {
        for (name, parameter) in namedParameters() { parameter.name = name }
    }

    /// Every name of every parameter: a parameter that is reachable on several ways appears under each.
    package func parameterAliases() -> [(name: String, parameter: Parameter)] {
        var path: Set<ObjectIdentifier> = []
        var found: [(name: String, parameter: Parameter)] = []
        func visit(_ module: Module, _ prefix: String) {
            guard path.insert(ObjectIdentifier(module)).inserted else { return }
            let members = module.members()
            for case .parameter(let name, let parameter) in members {
                found.append((Self.join(prefix, name), parameter))
            }
            for case .module(let name, let child) in members { visit(child, Self.join(prefix, name)) }
            path.remove(ObjectIdentifier(module))
        }
        visit(self, "")
        return found
    }

    private static func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : path + "." + name }
}
