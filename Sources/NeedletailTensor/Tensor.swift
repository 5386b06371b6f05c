import Synchronization

/// An n-dimensional array of one element type, with reverse-mode automatic differentiation.
///
/// A tensor is a value: its elements never change once it has been made, also where it was read from a parameter or an optimizer
/// that has changed since (they write to memory of their own then). Views (`transposed`, `slice`, `broadcast(to:)`, …) share
/// memory and copy nothing. Layout is row-major with strides in elements.
///
/// Shape errors are programmer errors and trap with a message that holds both shapes.
///
/// ```swift
/// let x = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
/// let y = x.matmul(x.transposed()) + 1
/// print(y.scalars(as: Float.self))  // [6.0, 12.0, 12.0, 26.0]
/// ```
public struct Tensor: Sendable {
    private(set) var storage: Storage
    private(set) var offset: Int
    private(set) var strides: [Int]
    /// Sizes of the axes; `[]` for a scalar.
    public let shape: [Int]
    /// The element type.
    public let dtype: DType
    /// What backward needs to continue from here; nil where no gradient is recorded.
    var node: GradientNode?

    init(storage: Storage, offset: Int, shape: [Int], strides: [Int], dtype: DType, node: GradientNode? = nil) {
        self.storage = storage
        self.offset = offset
        self.shape = shape
        self.strides = strides
        self.dtype = dtype
        self.node = node
    }

    /// A contiguous tensor with undefined elements, to be filled by the kernel that makes it.
    init(uninitialized shape: [Int], _ dtype: DType) {
        self.init(
            storage: Storage(byteCount: Shapes.count(shape) * dtype.byteCount), offset: 0, shape: shape,
            strides: Shapes.contiguousStrides(shape), dtype: dtype)
    }

    /// Number of axes.
    public var rank: Int { shape.count }

    /// Number of elements.
    public var count: Int {
        var product = 1
        for size in shape { product *= size }
        return product
    }

    /// Bytes of the elements.
    public var byteCount: Int { count * dtype.byteCount }

    /// Whether the elements lie in row-major order without gaps.
    public var isContiguous: Bool { Shapes.isContiguous(shape, strides) }

    /// Whether backward passes through this tensor.
    public var requiresGradient: Bool { node.map { !$0.isConstant } ?? false }

    /// The same values, cut off from the recorded graph.
    public func detached() -> Tensor {
        var copy = self
        copy.node = nil
        return copy
    }
}

// Copy on write, for the owners that write to a tensor which they keep.
extension Tensor {
    /// Whether others hold it too.
    var isHandedOut: Bool { storage.isHandedOut.load(ordering: .relaxed) }

    /// Marks a tensor as one that others hold too, so that its owner copies it before it writes.
    package func handedOut() -> Tensor {
        if !isHandedOut { storage.isHandedOut.store(true, ordering: .relaxed) }
        return self
    }

    /// Gives this contiguous tensor memory of its own where others may see it, so that its owner may write to it.
    ///
    /// Only tensors that were ``handedOut()`` count: views that the recorded graph keeps are guarded by ``ParameterVersion``.
    package mutating func makeUnshared(keepingValues: Bool = true) {
        guard isHandedOut else { return }
        if isKnownUniquelyReferenced(&storage) {
            storage.isHandedOut.store(false, ordering: .relaxed)
            return
        }
        let version = storage.version
        self = keepingValues ? copied() : Tensor(uninitialized: shape, dtype)
        storage.version = version
    }
}

extension Tensor: CustomStringConvertible {
    /// Type, shape and, for small tensors, the values.
    public var description: String {
        let limit = 64
        let shown = detached().contiguous().reshape([count]).slice(axis: 0, 0..<min(limit, count))
        let values = shown.dtype.accept(ElementTexts(x: shown))
        let list = values.joined(separator: ", ") + (count > limit ? ", …" : "")
        return "Tensor(\(dtype), shape: \(shape), [\(list)])"
    }
}

/// The elements as text: numbers as Swift prints them, bools as 0 and 1.
private struct ElementTexts: ScalarVisitor {
    let x: Tensor
    func visit<T: TensorScalar>(_ type: T.Type) -> [String] {
        x.scalars(as: T.self).map { value in
            T.dtype.isFloatingPoint ? "\(value.float64Value)" : "\(value.int64Value)"
        }
    }
}
