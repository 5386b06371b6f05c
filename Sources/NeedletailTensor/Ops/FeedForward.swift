// Two linear layers with GELU between them, of which backward keeps less than of the two.

/// gelu(x Aᵀ + a) Bᵀ + b as ``linear(_:weight:bias:activation:)`` twice computes it; backward keeps x and the sum before GELU, and
/// computes GELU of it again instead of keeping that too: a third less memory for a transformer's largest activations.
///
/// Shapes: x […, in], A [hidden, in], B [out, hidden], result […, out].
/// Precision: as the two layers; in 16 bit the hidden rows that B's gradient is made of are GELU of the rounded sum.
/// Gradients: as of the two layers, straight into parameters.
public func geluFeedForward(
    _ x: Tensor, innerWeight: Tensor, innerBias: Tensor?, outputWeight: Tensor, outputBias: Tensor?
) -> Tensor {
    geluFeedForward(
        x, innerWeight: innerWeight, innerBias: innerBias, outputWeight: outputWeight, outputBias: outputBias,
        showing: nil)
}

/// The same, which shows the activated rows between the products to `observer`, and where it observes their gradient, that of
/// the sums before the activation. No bit changes by that.
package func geluFeedForward(
    _ x: Tensor, innerWeight: Tensor, innerBias: Tensor?, outputWeight: Tensor, outputBias: Tensor?,
    showing observer: ((Tensor) -> Void)?
) -> Tensor {
    let hidden = innerWeight.shape[0], outputs = outputWeight.shape[0]
    require(
        innerWeight.rank == 2 && outputWeight.rank == 2 && x.rank >= 1 && x.shape[x.rank - 1] == innerWeight.shape[1]
            && outputWeight.shape[1] == hidden && innerWeight.dtype == outputWeight.dtype,
        "geluFeedForward: input \(x.shape), weights \(innerWeight.dtype) \(innerWeight.shape) and \(outputWeight.dtype) "
            + "\(outputWeight.shape), expected […, in], [hidden, in] and [out, hidden] of one type")
    require(
        (innerBias.map { $0.shape == [hidden] } ?? true) && (outputBias.map { $0.shape == [outputs] } ?? true),
        "geluFeedForward: biases \(innerBias?.shape ?? []) and \(outputBias?.shape ?? []), expected [\(hidden)] and [\(outputs)]"
    )
    let type = innerWeight.dtype, width = innerWeight.shape[1]
    let x = x.cast(to: type), innerBias = innerBias?.cast(to: type), outputBias = outputBias?.cast(to: type)
    let rows = x.shape.dropLast().reduce(1, *)
    let plain = x.detached().reshape([rows, width])
    let (inner, output) = (innerWeight.detached(), outputWeight.detached())
    let sums = Tensor(uninitialized: [rows, hidden], type)
    let y = Tensor(uninitialized: [rows, outputs], type)
    // Stands in the place of the activation for an observer of its gradient; nothing is passed on through it.
    let place = observer.map { _ in OperationNode("gelu", inputs: []) { _ in [] } }
    do {
        let active = Tensor(uninitialized: [rows, hidden], type)
        Kernels.gemm(
            plain, inner.transposed(), bias: innerBias?.detached().contiguous(), epilogue: .gelu(sums), into: active)
        Kernels.gemm(active, output.transposed(), bias: outputBias?.detached().contiguous(), into: y)
        if let observer {
            var shown = active.reshape(Array(x.shape.dropLast()) + [hidden])
            shown.node = place
            withoutObserver { observer(shown) }
        }
    }
    let inputs = [x, innerWeight, outputWeight] + (innerBias.map { [$0] } ?? []) + (outputBias.map { [$0] } ?? [])
    let nodes = (x.node, innerWeight.node, outputWeight.node, innerBias?.node, outputBias?.node)
    let shape = x.shape, hasInnerBias = innerBias != nil, hasOutputBias = outputBias != nil
    return y.reshape(Array(shape.dropLast()) + [outputs]).recorded("geluFeedForward", inputs) { dy in
        let dy = dy.contiguous().reshape([rows, outputs]), wide = type.accumulationType
        func product(_ dz: Tensor, _ x: Tensor, _ node: GradientNode?) -> Tensor? {
            guard let target = GradientTarget(node, shape: [dz.shape[1], x.shape[1]], wide) else { return nil }
            Kernels.gemm(dz.transposed(), x, beta: target.accumulate ? 1 : 0, into: target.buffer)
            return target.remaining(type)
        }
        func sum(_ dz: Tensor, _ node: GradientNode?) -> Tensor? {
            guard let target = GradientTarget(node, shape: [dz.shape[1]], wide) else { return nil }
            Kernels.reduce(
                dz, outer: 1, count: rows, inner: dz.shape[1], accumulate: target.accumulate, to: target.buffer)
            return target.remaining(type)
        }
        let dOutput = nodes.2 == nil ? nil : product(dy, Kernels.unary(.gelu, sums), nodes.2)
        let dOutputBias = sum(dy, nodes.4)
        let dz = Tensor(uninitialized: [rows, hidden], type)
        Kernels.gemm(dy, output, epilogue: .geluGradient(sums), into: dz)
        place?.gradientObserver?(dz.reshape(Array(shape.dropLast()) + [hidden]))
        let dInner = product(dz, plain, nodes.1), dInnerBias = sum(dz, nodes.3)
        var dx: Tensor?
        if nodes.0 != nil {
            let target = Tensor(uninitialized: [rows, width], type)
            Kernels.gemm(dz, inner, into: target)
            dx = target.reshape(shape)
        }
        return [dx, dInner, dOutput] + (hasInnerBias ? [dInnerBias] : []) + (hasOutputBias ? [dOutputBias] : [])
    }
}

/// Whether operations record what backward needs.
package var isRecordingGradients: Bool { GradientMode.isRecording }
