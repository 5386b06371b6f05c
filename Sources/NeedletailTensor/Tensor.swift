/// An n-dimensional array of one element type, with reverse-mode automatic differentiation.
///
/// A tensor is a value: its elements never change once it has been made. Views (`transposed`, `slice`, `broadcast(to:)`, …)
/// share memory and copy nothing. Layout is row-major with strides in elements.
///
/// Shape errors are programmer errors and trap with a message that holds both shapes.
///
/// ```swift
/// let x = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
/// let y = x.matmul(x.transposed()) + 1
/// print(y.scalars(as: Float.self))  // [6.0, 12.0, 12.0, 26.0]
/// ```
public struct Tensor: Sendable {
    let storage: Storage
    let offset: Int
    let strides: [Int]
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
    public var requiresGradient: Bool { node != nil }

    /// The same values, cut off from the recorded graph.
    public func detached() -> Tensor {
        var copy = self
        copy.node = nil
        return copy
    }
}

extension Tensor: CustomStringConvertible {
    /// Type, shape and, for small tensors, the values.
    public var description: String {
        let limit = 64
        let values = flattenedView().prefixScalars(limit).map { dtype.isFloatingPoint ? "\($0)" : "\(Int64($0))" }
        let list = values.joined(separator: ", ") + (count > limit ? ", …" : "")
        return "Tensor(\(dtype), shape: \(shape), [\(list)])"
    }

    private func flattenedView() -> Tensor { detached().contiguous().reshape([count]) }

    private func prefixScalars(_ limit: Int) -> [Double] {
        slice(axis: 0, 0..<min(limit, count)).scalars(as: Double.self)
    }
}
