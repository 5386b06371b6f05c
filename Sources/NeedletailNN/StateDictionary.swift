// A model's parameters and buffers by name: reading them out, and loading them all or not at all.
public import NeedletailTensor

extension Module {
    /// The stored values of all parameters under their dotted names, in the order of `namedParameters()`, then of all buffers.
    ///
    /// The tensors stay as they are when the module changes. Nothing is copied before it does.
    public func stateDictionary() -> [(name: String, tensor: Tensor)] {
        namedParameters().map { ($0.name, $0.parameter.master) } + namedBuffers().map { ($0.name, $0.buffer.value) }
    }

    /// Assigns parameters and buffers from tensors by name, converting to each one's type.
    ///
    /// A parameter that is shared under several names may be given under any of them, under several only with equal
    /// values.
    /// - Parameters:
    ///   - patterns: names that match one of these, such as `head.*`, are neither taken nor missed; each must match a name.
    ///   - strict: whether missing and unexpected names are errors; otherwise they are returned.
    /// - Returns: the names of parameters that were not given, and the given names that no parameter has.
    /// - Throws: `StateDictionaryError`, ``PatternError``, having changed nothing. Wrong shapes and types are errors whatever `strict`
    ///   says.
    @discardableResult
    public func load(
        stateDictionary: [String: Tensor], except patterns: [String] = [], strict: Bool = true
    ) throws -> (missing: [String], unexpected: [String]) {
        try load(stateDictionary, unread: [:], except: patterns, strict: strict)
    }

    /// Assigns parameters and buffers from the safetensors file at `path`, as ``load(stateDictionary:except:strict:)`` does from
    /// tensors.
    ///
    /// What matches one of the patterns is not read. Tensors of types that cannot be read (see ``SafeTensorsFile``) are skipped
    /// where the module has none of their names, and are errors that name their types where it has one. One of several files of a
    /// model (`model-00001-of-00002.safetensors`) is loaded where `strict` is false; else it is an error that says so.
    /// - Throws: `SafeTensorsError`, ``StateDictionaryError``, ``PatternError``; nothing has then changed.
    @discardableResult
    public func load(
        safeTensors path: String, except patterns: [String] = [], strict: Bool = true
    ) throws -> (missing: [String], unexpected: [String]) {
        var leftOut: [String] = []
        let content = try SafeTensorsFile.content(of: path) { name in
            guard patterns.contains(where: { matches(name, pattern: $0) }) else { return true }
            leftOut.append(name)
            return false
        }
        return try SafeTensorsFile.explainingShard(path) {
            try load(
                content.tensors, unread: content.unreadTypes, leftOut: leftOut, except: patterns, strict: strict)
        }
    }

    /// Assigns from `stateDictionary`, which lacks the tensors of a file that could not be read, those of the names and types in
    /// `unread`, and those that the patterns leave out, of the names in `leftOut`.
    @discardableResult
    package func load(
        _ stateDictionary: [String: Tensor], unread: [String: SafeTensorsFile.ElementType], leftOut: [String] = [],
        except patterns: [String], strict: Bool
    ) throws -> (missing: [String], unexpected: [String]) {
        func isLeftOut(_ name: String) -> Bool { patterns.contains { matches(name, pattern: $0) } }
        let own = namedParameters().map(\.name) + namedBuffers().map(\.name)
        for pattern in patterns {
            let isFound = [own, leftOut, Array(stateDictionary.keys), Array(unread.keys)].contains { names in
                names.contains { matches($0, pattern: pattern) }
            }
            guard isFound else {
                throw PatternError(pattern, kind: "name of the module or of what is loaded", names: own)
            }
        }
        let stateDictionary = patterns.isEmpty ? stateDictionary : stateDictionary.filter { !isLeftOut($0.key) }
        let unread = unread.filter { !isLeftOut($0.key) }
        let parameters = namedParameters().filter { !isLeftOut($0.name) }
        var names: [ObjectIdentifier: [String]] = [:]
        var known: Set<String> = []
        for (name, parameter) in parameterAliases() {
            names[ObjectIdentifier(parameter), default: []].append(name)
            known.insert(name)
        }
        let buffers = namedBuffers()
        known.formUnion(buffers.map(\.name))

        var error = StateDictionaryError(
            missing: [], unexpected: stateDictionary.keys.filter { !known.contains($0) }.sorted())
        for (name, type) in unread.sorted(by: { $0.key < $1.key }) where known.contains(name) {
            error.problems.append(SafeTensorsError.Problem.unreadableType(tensor: name, type: type).description)
        }
        var assignments: [(parameter: Parameter, tensor: Tensor)] = []
        for (name, parameter) in parameters {
            let given = names[ObjectIdentifier(parameter), default: [name]].compactMap { alias in
                stateDictionary[alias].map { (name: alias, tensor: $0) }
            }
            guard let first = given.first else {
                let isUnread = names[ObjectIdentifier(parameter), default: [name]].contains { unread[$0] != nil }
                if !isUnread { error.missing.append(name) }
                continue
            }
            for (alias, tensor) in given { error.check(tensor, named: alias, against: parameter) }
            for (alias, tensor) in given.dropFirst()
            where tensor.dtype != first.tensor.dtype || tensor.bytes != first.tensor.bytes {
                error.problems.append(
                    "'\(first.name)' and '\(alias)' are one shared parameter, found different values; keep one"
                )
            }
            assignments.append((parameter, first.tensor))
        }

        var replacements: [(buffer: Buffer, tensor: Tensor)] = []
        for (name, buffer) in buffers where !isLeftOut(name) {
            guard let tensor = stateDictionary[name] else {
                if unread[name] == nil { error.missing.append(name) }
                continue
            }
            error.check(tensor, named: name, against: buffer)
            replacements.append((buffer, tensor))
        }

        let namesAreWrong = !error.missing.isEmpty || !error.unexpected.isEmpty
        guard error.problems.isEmpty && !(strict && namesAreWrong) else { throw error }
        for (parameter, tensor) in assignments { try parameter.assign(tensor) }
        for (buffer, tensor) in replacements { try buffer.assign(tensor) }
        return (error.missing, error.unexpected)
    }
}

/// A state dictionary that does not fit the model: which names are missing or unexpected, which tensors are wrong.
public struct StateDictionaryError: Error, Equatable, CustomStringConvertible {
    /// Names that the model has and the dictionary has not.
    public internal(set) var missing: [String]
    /// Names that the dictionary has and the model has not.
    public internal(set) var unexpected: [String]
    /// Tensors of a wrong shape or type: name, found, expected.
    public internal(set) var problems: [String] = []

    init(missing: [String], unexpected: [String]) {
        self.missing = missing
        self.unexpected = unexpected
    }

    mutating func check(_ tensor: Tensor, named name: String, against parameter: Parameter) {
        if tensor.shape != parameter.shape {
            problems.append("'\(name)': found shape \(tensor.shape), expected \(parameter.shape)")
        } else if !tensor.dtype.isFloatingPoint {
            problems.append("'\(name)': found type \(tensor.dtype), expected a floating-point type")
        }
    }

    mutating func check(_ tensor: Tensor, named name: String, against buffer: Buffer) {
        if tensor.shape != buffer.value.shape {
            problems.append("'\(name)': found shape \(tensor.shape), expected \(buffer.value.shape)")
        } else if tensor.dtype.isFloatingPoint != buffer.value.dtype.isFloatingPoint {
            problems.append("'\(name)': found type \(tensor.dtype), expected \(buffer.value.dtype)")
        }
    }

    /// All that is wrong, one line a kind, and what to do.
    public var description: String {
        var lines = ["the state dictionary does not fit the model; nothing was loaded"]
        if !missing.isEmpty { lines.append("missing: " + missing.joined(separator: ", ")) }
        if !unexpected.isEmpty { lines.append("unexpected: " + unexpected.joined(separator: ", ")) }
        lines += problems
        lines.append(
            "build the model with the sizes it was saved with, or pass strict: false to ignore differing names")
        return lines.joined(separator: "\n  ")
    }
}
