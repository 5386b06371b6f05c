// State of a module that is saved with its parameters and not trained.
public import NeedletailTensor

/// A tensor of a module that is part of its state dictionary and of checkpoints, but has no gradient: running statistics, counters.
///
/// Found by reflection as parameters are, and named as they are. Its type stays what it is in every precision; its tensor is
/// replaced, never written to.
public final class Buffer {
    /// The tensor.
    public private(set) var value: Tensor

    /// A buffer with a first value.
    public init(_ value: Tensor) { self.value = value.detached() }

    /// Replaces the value by one of the same shape, converted to the buffer's type.
    /// - Throws: ``ShapeError`` where the shape differs; nothing is changed then.
    public func assign(_ tensor: Tensor) throws {
        guard tensor.shape == value.shape else {
            throw ShapeError(found: tensor.shape, expected: value.shape, message: "buffer")
        }
        value = tensor.detached().contiguous().cast(to: value.dtype)
    }

    /// Puts back a value that the buffer has had.
    func put(_ value: Tensor) { self.value = value }
}

extension Module {
    /// All buffers with their dotted names, in the order of ``namedModules()``, each once.
    public func namedBuffers() -> [(name: String, buffer: Buffer)] {
        var visited: Set<ObjectIdentifier> = []
        var found: [(name: String, buffer: Buffer)] = []
        for (path, module) in namedModules() {
            for case .buffer(let name, let buffer) in module.members() {
                guard visited.insert(ObjectIdentifier(buffer)).inserted else { continue }
                found.append((path.isEmpty ? name : path + "." + name, buffer))
            }
        }
        return found
    }
}
