// Reductions over axes: float32 inside (float64 where sums are long), whatever the element type.

extension Tensor {
    /// Sum over axes (all where nil), in the tensor's type; int64 for integers.
    ///
    /// Gradients: dy, repeated.
    public func sum(axes: [Int]? = nil, keepDimensions: Bool = false) -> Tensor {
        scaledSum(axes, keepDimensions, "sum") { _ in 1 }
    }

    /// Arithmetic mean over axes (all where nil); NaN over nothing. Of integers and bools it is float32.
    ///
    /// Gradients: dy / n, repeated.
    public func mean(axes: [Int]? = nil, keepDimensions: Bool = false) -> Tensor {
        guard dtype.isFloatingPoint else {
            return cast(to: .float64).mean(axes: axes, keepDimensions: keepDimensions).cast(to: .float32)
        }
        return scaledSum(axes, keepDimensions, "mean") { 1 / Double($0) }
    }

    /// Σ (x - mean)² / (n - correction) over axes (all where nil); NaN or infinite where n is not above the correction. Of integers
    /// and bools it is float32.
    ///
    /// Precision: relative error k u whatever the values' offset and size (docs/numerics.md has the bound); 0 for equal values.
    /// float32 inside (float64 for float64 and integers), rounded once. Gradients: dy · 2 (x - mean) / (n - correction).
    public func variance(axes: [Int]? = nil, correction: Int = 1, keepDimensions: Bool = false) -> Tensor {
        guard dtype.isFloatingPoint else {
            return cast(to: .float64).variance(axes: axes, correction: correction, keepDimensions: keepDimensions)
                .cast(to: .float32)
        }
        let plan = ReductionPlan(self, axes, "variance")
        let layout = ColumnLayout(instances: plan.outer, rows: plan.count, channels: plan.inner)
        guard layout.rows > 0 else {
            let y = Tensor.full(plan.keptShape, .nan, dtype: dtype)
            return keepDimensions ? y : y.reshape(plan.reducedShape)
        }
        let moments = Kernels.moments(plan.x, layout, epsilon: 0)
        let divisor = Double(Swift.max(0, layout.rows - correction))
        let y = (moments.variance * (Double(layout.rows) / divisor)).cast(to: dtype).reshape(plan.keptShape)
        let x = detached()
        let result = y.recorded("variance", self) { dy in
            // Of halves, so that no difference overflows.
            let wide = dtype.accumulationType
            let mean = moments.mean.cast(to: wide).reshape(plan.keptShape)
            let rest = moments.correction.cast(to: wide).reshape(plan.keptShape)
            let distances = x.cast(to: wide) * 0.5 - mean * 0.5 - rest * 0.5
            return [(distances * (dy.cast(to: wide) * (4 / divisor))).cast(to: dtype)]
        }
        return keepDimensions ? result : result.reshape(plan.reducedShape)
    }

    /// Largest element over axes (all where nil), NaN if there is one.
    ///
    /// Gradients: dy, in equal parts to all elements that are the largest.
    public func max(axes: [Int]? = nil, keepDimensions: Bool = false) -> Tensor {
        let plan = ReductionPlan(self, axes, "max")
        require(plan.count > 0, "max: shape \(shape) has no elements along axes \(plan.axes)")
        let y = Tensor(uninitialized: plan.keptShape, dtype)
        if dtype.isFloatingPoint {
            Kernels.reduce(plan.x, outer: plan.outer, count: plan.count, inner: plan.inner, maximum: true, to: y)
        } else {
            Kernels.integerReduce(plan.x, outer: plan.outer, count: plan.count, inner: plan.inner, maximum: true, to: y)
            return keepDimensions ? y : y.reshape(plan.reducedShape)
        }
        let x = detached()
        let result = y.recorded("max", self) { dy in
            let hits = (x .== y).cast(to: dy.dtype.accumulationType)
            let share = hits / hits.sum(axes: plan.axes, keepDimensions: true)
            return [(share * dy).cast(to: dy.dtype)]
        }
        return keepDimensions ? result : result.reshape(plan.reducedShape)
    }

    /// Position of the largest element along an axis, the first of equals; int64. The first NaN counts as largest.
    public func argmax(axis: Int = -1, keepDimensions: Bool = false) -> Tensor {
        let plan = ReductionPlan(self, [axis], "argmax")
        require(plan.count > 0, "argmax: shape \(shape) has no elements along axis \(axis)")
        let y = Tensor(uninitialized: plan.keptShape, .int64)
        Kernels.argmax(plan.x, outer: plan.outer, count: plan.count, inner: plan.inner, to: y)
        return keepDimensions ? y : y.reshape(plan.reducedShape)
    }

    private func scaledSum(
        _ axes: [Int]?, _ keepDimensions: Bool, _ operation: StaticString, scale: (Int) -> Double
    ) -> Tensor {
        let plan = ReductionPlan(self, axes, operation)
        let y = Tensor(uninitialized: plan.keptShape, dtype.isFloatingPoint ? dtype : .int64)
        guard dtype.isFloatingPoint else {
            Kernels.integerReduce(
                plan.x, outer: plan.outer, count: plan.count, inner: plan.inner, maximum: false, to: y)
            return keepDimensions ? y : y.reshape(plan.reducedShape)
        }
        let factor = scale(plan.count)
        Kernels.reduce(plan.x, outer: plan.outer, count: plan.count, inner: plan.inner, scale: factor, to: y)
        let original = shape
        let result = y.recorded(operation, self, using: []) { dy in
            [(factor == 1 ? dy : dy * factor).broadcast(to: original)]
        }
        return keepDimensions ? result : result.reshape(plan.reducedShape)
    }
}

/// A reduction as [outer, count, inner] of a contiguous tensor: reduced axes that are not neighbours are moved to the end.
private struct ReductionPlan {
    let x: Tensor
    let axes: [Int]
    let outer: Int, count: Int, inner: Int
    /// The result's shape with the reduced axes of size 1, and without them.
    let keptShape: [Int], reducedShape: [Int]

    init(_ tensor: Tensor, _ axes: [Int]?, _ operation: StaticString) {
        let shape = tensor.shape
        let axes = Shapes.axes(axes, of: shape, operation)
        self.axes = axes
        let kept = shape.indices.filter { !axes.contains($0) }
        count = axes.reduce(1) { $0 * shape[$1] }
        reducedShape = kept.map { shape[$0] }
        keptShape = shape.indices.map { axes.contains($0) ? 1 : shape[$0] }
        if let first = axes.first, let last = axes.last, last - first + 1 == axes.count {
            x = tensor.detached().contiguous()
            outer = shape[..<first].reduce(1, *)
            inner = shape[(last + 1)...].reduce(1, *)
        } else {
            x = tensor.detached().permuted(kept + axes).contiguous()
            outer = reducedShape.reduce(1, *)
            inner = 1
        }
    }
}
