// Change of element type.

extension Tensor {
    /// The same values in another type: floating-point to nearest even with one rounding, to integers truncated and
    /// saturated (NaN becomes 0), to bool whether not zero.
    ///
    /// Gradients: the gradient cast back, between floating-point types; none otherwise.
    public func cast(to type: DType) -> Tensor {
        if type == dtype { return self }
        let source = contiguous()
        let result = Tensor(uninitialized: shape, type)
        Kernels.convert(source, to: result)
        guard dtype.isFloatingPoint && type.isFloatingPoint else { return result }
        let original = dtype
        return result.recorded("cast", self, using: []) { [$0.cast(to: original)] }
    }
}
