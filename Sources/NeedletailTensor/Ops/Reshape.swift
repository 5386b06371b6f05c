// Views: the same elements under another shape. Nothing is copied unless said so.

extension Tensor {
    private func view(_ shape: [Int], _ strides: [Int], offset: Int = 0) -> Tensor {
        Tensor(storage: storage, offset: self.offset + offset, shape: shape, strides: strides, dtype: dtype)
    }

    /// The elements in row-major order without gaps: this tensor itself where they are already, else a copy.
    public func contiguous() -> Tensor {
        if isContiguous { return self }
        return copied(keepingGradient: true)
    }

    /// The same values, in row-major order, in memory of their own. Gradients: dy.
    public func copy() -> Tensor { copied(keepingGradient: true) }

    /// As ``copy()``, not recorded.
    package func copied() -> Tensor { copied(keepingGradient: false) }

    private func copied(keepingGradient: Bool) -> Tensor {
        let copy = Tensor(uninitialized: shape, dtype)
        Kernels.copyStrided(self, to: copy)
        return keepingGradient ? copy.recorded("contiguous", [self], isView: true) { [$0] } : copy
    }

    /// The same elements, in row-major order, under another shape; one size may be -1 and is then computed. Copies only
    /// where the tensor is not contiguous.
    public func reshape(_ shape: [Int]) -> Tensor {
        var resolved = shape
        if let unknown = shape.firstIndex(of: -1) {
            resolved[unknown] = 1
            let known = Shapes.count(resolved)
            require(
                known > 0 && count % known == 0,
                "reshape: \(self.shape) has \(count) elements, which do not fill \(shape)")
            resolved[unknown] = count / known
        }
        require(
            Shapes.count(resolved) == count,
            "reshape: \(self.shape) has \(count) elements, \(shape) takes \(Shapes.count(resolved))")
        let source = contiguous()
        let original = self.shape
        return source.view(resolved, Shapes.contiguousStrides(resolved)).recorded("reshape", [source], isView: true) {
            [$0.reshape(original)]
        }
    }

    /// Axes from `axis` on merged into one.
    public func flattened(from axis: Int = 0) -> Tensor {
        if rank == 0 { return reshape([1]) }
        let axis = Shapes.axis(axis, of: shape, "flattened")
        return reshape(Array(shape[..<axis]) + [shape[axis...].reduce(1, *)])
    }

    /// Axis i of the result is axis `order[i]` of this tensor.
    public func permuted(_ order: [Int]) -> Tensor {
        let order = order.map { Shapes.axis($0, of: shape, "permuted") }
        require(
            order.sorted() == Array(shape.indices), "permuted: \(order) is not an order of the axes of shape \(shape)")
        var inverse = order
        for (position, axis) in order.enumerated() { inverse[axis] = position }
        let result = view(order.map { shape[$0] }, order.map { strides[$0] })
        return result.recorded("permuted", [self], isView: true) { [$0.permuted(inverse)] }
    }

    /// Two axes exchanged: without arguments, the matrix transpose.
    public func transposed(_ first: Int = -2, _ second: Int = -1) -> Tensor {
        var order = Array(shape.indices)
        order.swapAt(Shapes.axis(first, of: shape, "transposed"), Shapes.axis(second, of: shape, "transposed"))
        return permuted(order)
    }

    /// The elements at positions `range` of an axis.
    ///
    /// Gradients: zero outside the range.
    public func slice(axis: Int, _ range: Range<Int>) -> Tensor {
        let axis = Shapes.axis(axis, of: shape, "slice")
        require(
            range.lowerBound >= 0 && range.upperBound <= shape[axis],
            "slice: \(range) is outside 0..<\(shape[axis]) of axis \(axis) in shape \(shape)")
        var sizes = shape
        sizes[axis] = range.count
        let original = shape
        let result = view(sizes, strides, offset: range.isEmpty ? 0 : range.lowerBound * strides[axis])
        return result.recorded("slice", partOf: self, isView: true) { dy, sum in
            sum.add(dy, axis: axis, at: range.lowerBound, of: original)
        }
    }

    /// The element `index` of the first axis, which disappears; negative indices count from the end.
    public subscript(index: Int) -> Tensor {
        require(rank > 0, "subscript: a scalar has no elements to choose from")
        let position = index < 0 ? index + shape[0] : index
        require(position >= 0 && position < shape[0], "subscript: \(index) is outside shape \(shape)")
        return slice(axis: 0, position..<position + 1).squeezed(at: 0)
    }

    /// The elements `range` of the first axis.
    public subscript(range: Range<Int>) -> Tensor { slice(axis: 0, range) }

    /// A new axis of size 1 at a position.
    public func expandedDimension(at axis: Int) -> Tensor {
        let position = axis < 0 ? axis + rank + 1 : axis
        require(position >= 0 && position <= rank, "expandedDimension: \(axis) does not fit shape \(shape)")
        var sizes = shape
        var steps = strides
        sizes.insert(1, at: position)
        steps.insert(position < rank ? strides[position] * shape[position] : 1, at: position)
        return view(sizes, steps).recorded("expandedDimension", [self], isView: true) { [$0.squeezed(at: position)] }
    }

    /// Without an axis of size 1.
    public func squeezed(at axis: Int) -> Tensor {
        let axis = Shapes.axis(axis, of: shape, "squeezed")
        require(shape[axis] == 1, "squeezed: axis \(axis) of shape \(shape) has size \(shape[axis]), expected 1")
        var sizes = shape
        var steps = strides
        sizes.remove(at: axis)
        steps.remove(at: axis)
        return view(sizes, steps).recorded("squeezed", [self], isView: true) { [$0.expandedDimension(at: axis)] }
    }

    /// Repeated, without copying, along new leading axes and axes of size 1.
    ///
    /// Gradients: summed over the repeated axes.
    public func broadcast(to target: [Int]) -> Tensor {
        if target == shape { return self }
        require(
            Shapes.broadcast(shape, target) == target, "broadcast: shape \(shape) does not broadcast to \(target)")
        let added = target.count - rank
        var steps = [Int](repeating: 0, count: target.count)
        for axis in shape.indices where shape[axis] != 1 { steps[axis + added] = strides[axis] }
        let original = shape
        return view(target, steps).recorded("broadcast", [self], isView: true) { [$0.summed(to: original)] }
    }

    /// The transpose of `broadcast`: summed over the axes in which `target` has size 1 or that it lacks.
    func summed(to target: [Int]) -> Tensor {
        if target == shape { return self }
        let added = rank - target.count
        let axes = shape.indices.filter { $0 < added || (target[$0 - added] == 1 && shape[$0] != 1) }
        return sum(axes: Array(axes)).reshape(target)
    }
}
