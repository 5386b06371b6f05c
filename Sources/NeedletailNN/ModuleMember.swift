// What a module consists of, and how it is found among the stored properties by reflection.
public import NeedletailTensor

/// One named part of a module: a parameter or buffer of its own or a direct sub-module.
public enum ModuleMember {
    /// A parameter and its name within the module, such as "weight".
    case parameter(String, Parameter)
    /// State that is saved and not trained, and its name within the module, such as "running_mean".
    case buffer(String, Buffer)
    /// A sub-module and its name within the module, such as "layer1" or "blocks.0".
    case module(String, Module)

    /// The parameters and modules among the stored properties of `module`, superclasses first, in order of declaration.
    static func reflected(from module: Module) -> [ModuleMember] {
        var mirrors: [Mirror] = []
        var mirror: Mirror? = Mirror(reflecting: module)
        while let current = mirror {
            mirrors.append(current)
            mirror = current.superclassMirror
        }
        var members: [ModuleMember] = []
        for mirror in mirrors.reversed() {
            for child in mirror.children {
                guard let label = child.label else { continue }
                collect(child.value, named: propertyName(label), into: &members)
            }
        }
        return members
    }

    /// Adds `value` if it is a parameter or a module, or what it holds if it is a container of these.
    fileprivate static func collect(_ value: Any, named name: String, into members: inout [ModuleMember]) {
        if isObject(value) {
            switch value {
            case let parameter as Parameter: members.append(.parameter(name, parameter))
            case let buffer as Buffer: members.append(.buffer(name, buffer))
            case let module as Module: members.append(.module(name, module))
            default: break
            }
        } else if let container = value as? any MemberContainer {
            container.collectMembers(named: name, into: &members)
        }
    }

    fileprivate static func mayHoldMembers(_ value: Any) -> Bool {
        isObject(value) ? value is Parameter || value is Module || value is Buffer : value is any MemberContainer
    }

    // Asked first: to cast an array to a class, Foundation boxes each of its elements.
    private static func isObject(_ value: Any) -> Bool { type(of: value) is AnyClass }

    // A lazy property is stored under a mangled label.
    private static func propertyName(_ label: String) -> String {
        let lazyPrefix = "$__lazy_storage_$_"
        return label.hasPrefix(lazyPrefix) ? String(label.dropFirst(lazyPrefix.count)) : label
    }
}

/// Containers through which reflection looks for parameters and modules.
private protocol MemberContainer {
    func collectMembers(named name: String, into members: inout [ModuleMember])
}

extension Optional: MemberContainer {
    fileprivate func collectMembers(named name: String, into members: inout [ModuleMember]) {
        if let self { ModuleMember.collect(self, named: name, into: &members) }
    }
}

extension Array: MemberContainer {
    // Arrays whose first element can hold nothing of interest are skipped, so that a long [Float] costs nothing.
    fileprivate func collectMembers(named name: String, into members: inout [ModuleMember]) {
        guard let first, ModuleMember.mayHoldMembers(first) else { return }
        for (index, element) in enumerated() {
            ModuleMember.collect(element, named: "\(name).\(index)", into: &members)
        }
    }
}

extension Dictionary: MemberContainer where Key == String {
    // A dictionary has no order of its own: keys go by their UTF-8 bytes.
    fileprivate func collectMembers(named name: String, into members: inout [ModuleMember]) {
        guard let first = values.first, ModuleMember.mayHoldMembers(first) else { return }
        for (key, value) in sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            ModuleMember.collect(value, named: "\(name).\(key)", into: &members)
        }
    }
}
