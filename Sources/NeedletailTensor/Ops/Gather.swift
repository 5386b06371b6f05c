// Putting tensors together and picking elements out of them.

extension Tensor {
    /// The tensors one after the other along an axis; all other sizes must be equal. Types meet in the widest.
    ///
    /// Gradients: the slices of dy.
    public static func concatenate(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
        require(!tensors.isEmpty, "concatenate: no tensors were given")
        let axis = Shapes.axis(axis, of: tensors[0].shape, "concatenate")
        let type = tensors.dropFirst().reduce(tensors[0].dtype) { DType.promoted($0, $1.dtype) }
        var shape = tensors[0].shape
        shape[axis] = 0
        for tensor in tensors {
            var expected = tensors[0].shape
            if tensor.rank == expected.count { expected[axis] = tensor.shape[axis] }
            require(
                tensor.shape == expected,
                "concatenate: shape \(tensor.shape) does not fit \(tensors[0].shape) along axis \(axis)")
            shape[axis] += tensor.shape[axis]
        }
        let parts = tensors.map { $0.cast(to: type) }
        let result = Tensor(uninitialized: shape, type)
        let outer = shape[..<axis].reduce(1, *), inner = shape[(axis + 1)...].reduce(1, *)
        var position = 0
        for part in parts {
            let columns = part.shape[axis] * inner
            let source = part.detached().contiguous().reshape([outer, columns])
            Kernels.copyColumns(source, to: result.reshape([outer, shape[axis] * inner]), at: position)
            position += columns
        }
        guard type.isFloatingPoint else { return result }
        let sizes = parts.map { $0.shape[axis] }
        return result.recorded("concatenate", parts, using: []) { dy in
            var start = 0
            return sizes.map { size in
                defer { start += size }
                return dy.slice(axis: axis, start..<start + size)
            }
        }
    }

    /// The tensors, all of one shape, along a new axis.
    public static func stack(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
        require(!tensors.isEmpty, "stack: no tensors were given")
        for tensor in tensors {
            require(tensor.shape == tensors[0].shape, "stack: shapes \(tensor.shape) and \(tensors[0].shape) differ")
        }
        return concatenate(tensors.map { $0.expandedDimension(at: axis) }, axis: axis)
    }

    /// result[…, j, …] = x[…, indices[…, j, …], …] along an axis: indices have the shape of the result and equal sizes
    /// to x in every other axis.
    ///
    /// Gradients: dy added at the indices, float32 inside, in row-major order.
    public func gather(axis: Int, indices: Tensor) -> Tensor {
        let axis = Shapes.axis(axis, of: shape, "gather")
        var expected = shape
        if indices.rank == rank { expected[axis] = indices.shape[axis] }
        require(
            indices.shape == expected,
            "gather: indices of shape \(indices.shape) do not fit shape \(shape): all axes but \(axis) must be equal")
        require(!indices.dtype.isFloatingPoint, "gather: indices are \(indices.dtype), expected an integer type")
        let positions = indices.cast(to: .int64).contiguous()
        let outer = shape[..<axis].reduce(1, *), inner = shape[(axis + 1)...].reduce(1, *)
        let size = shape[axis], count = indices.shape[axis]
        let result = Tensor(uninitialized: indices.shape, dtype)
        Kernels.gather(
            detached().contiguous(), positions, outer: outer, size: size, inner: inner, count: count, to: result)
        let original = shape
        guard dtype.isFloatingPoint else { return result }
        return result.recorded("gather", partOf: self) { dy, sum in
            let terms = dy.cast(to: dy.dtype.accumulationType).contiguous()
            sum.add(original, dy.dtype) {
                Kernels.scatterAdd(terms, positions, outer: outer, size: size, inner: inner, count: count, to: $0)
            }
        }
    }

    /// 1 at the class that each element names, 0 elsewhere, along a new last axis.
    ///
    /// Shapes: […] integers in 0..<classes → […, classes]. Another integer traps.
    public func oneHot(classes: Int, dtype: DType = .float32) -> Tensor {
        require(!self.dtype.isFloatingPoint, "oneHot: found \(self.dtype), expected an integer type")
        if let place = ((self .< 0) + (self .>= classes)).contiguous().scalars(as: Bool.self).firstIndex(of: true) {
            let found = contiguous().reshape([count]).slice(axis: 0, place..<place + 1).item(as: Int64.self)
            require(false, "oneHot: element \(place) is \(found), expected a class in 0..<\(classes)")
        }
        return (expandedDimension(at: -1) .== Tensor.arange(classes)).cast(to: dtype)
    }
}
