// Elements out of a tensor.

extension Tensor {
    /// The elements in row-major order, converted to `T` (to nearest even; integers truncate and saturate).
    public func scalars<T: TensorScalar>(as type: T.Type = T.self) -> [T] {
        Kernels.scalars(of: detached().cast(to: T.dtype).contiguous())
    }

    /// The one element of a tensor that has one, converted to `T` as ``scalars(as:)`` converts: exact in the tensor's own type.
    public func item<T: TensorScalar>(as type: T.Type) -> T {
        require(count == 1, "item(): the tensor has shape \(shape), one element was expected")
        return scalars(as: type)[0]
    }

    /// The one element of a tensor that has one, in float64: integers beyond 2^53 are rounded, see ``item(as:)``.
    public func item() -> Double {
        require(count == 1, "item(): the tensor has shape \(shape), one element was expected")
        return Kernels.element(self)
    }

    /// The elements' bytes, little-endian, in row-major order.
    public var bytes: [UInt8] { Kernels.bytes(of: detached().contiguous()) }

    /// Whether no element is infinite or NaN. Integer types are always finite.
    public func allFinite() -> Bool {
        dtype.isFloatingPoint ? finiteCheck(detached()).firstNonFinite == nil : true
    }
}
