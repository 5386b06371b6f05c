// Layer and RMS normalisation over the last axis.

/// n · weight + bias with n = (x - mean) / √(variance + ε) over the last axis; the variance has the axis's size as divisor.
///
/// Shapes: x […, n], weight and bias [n], result […, n].
/// Precision: x is cast to the weight's type; arithmetic is float32 (float64 for float64), the result is rounded once. n is
/// off by k u (1 + |n|), whatever the row's offset and size; that of a constant row is 0 (docs/numerics.md has the bound).
/// Gradients: with g = dy · weight and means over the axis: dx = (g - mean(g) - n mean(g n)) / √(variance + ε); those of
/// weight and bias, Σ dy n and Σ dy, are summed in fixed blocks of rows straight into float32.
///
/// Source: Ba, Kiros and Hinton, arXiv 1607.06450.
public func layerNorm(_ x: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5) -> Tensor {
    rowNorm("layerNorm", x, weight, bias, epsilon)
}

/// n · weight with n = x / √(mean(x²) + ε) over the last axis.
///
/// Shapes, precision and gradients as of ``layerNorm(_:weight:bias:epsilon:)``, without the mean.
/// Source: Zhang and Sennrich, arXiv 1910.07467.
public func rmsNorm(_ x: Tensor, weight: Tensor? = nil, epsilon: Double = 1e-5) -> Tensor {
    rowNorm("rmsNorm", x, weight, nil, epsilon)
}

private func rowNorm(
    _ name: StaticString, _ x: Tensor, _ weight: Tensor?, _ bias: Tensor?, _ epsilon: Double
) -> Tensor {
    require(
        x.rank >= 1 && x.dtype.isFloatingPoint, "\(name): found \(x.dtype) \(x.shape), expected floating-point rows")
    let columns = x.shape[x.rank - 1]
    for (vector, what) in [(weight, "weight"), (bias, "bias")] {
        guard let vector else { continue }
        require(
            vector.shape == [columns],
            "\(name): \(what) of shape \(vector.shape) for an input of shape \(x.shape), expected [\(columns)]")
    }
    require(epsilon >= 0, "\(name): epsilon is \(epsilon), expected zero or more")
    let type = weight?.dtype ?? bias?.dtype ?? x.dtype
    let input = x.cast(to: type), bias = bias?.cast(to: type)
    let arguments = RowNormArguments(
        isRMS: "\(name)" == "rmsNorm", x: input.detached().contiguous(), weight: weight?.detached().contiguous(),
        bias: bias?.detached().contiguous(), epsilon: epsilon)
    let (y, statistics) = Kernels.rowNorm(arguments)
    let (inputNode, weightNode, biasNode) = (input.node, weight?.node, bias?.node)
    let inputs = [input] + (weight.map { [$0] } ?? []) + (bias.map { [$0] } ?? [])
    let hasWeight = weight != nil, hasBias = bias != nil
    return y.recorded(name, inputs) { dy in
        let sums = type.accumulationType
        let dx = inputNode == nil ? nil : Tensor(uninitialized: y.shape, type)
        let dw = GradientTarget(weightNode, shape: [columns], sums)
        let db = GradientTarget(biasNode, shape: [columns], sums)
        Kernels.rowNormGradient(
            arguments, statistics: statistics, dy: dy.contiguous(), dx: dx,
            weight: dw.map { ($0.buffer, $0.accumulate) }, bias: db.map { ($0.buffer, $0.accumulate) })
        return [dx] + (hasWeight ? [dw?.remaining(type)] : []) + (hasBias ? [db?.remaining(type)] : [])
    }
}
