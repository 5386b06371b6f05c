// Activation checkpointing: an operation whose backward runs its forward again, recorded.

/// `body(x)`, of which backward keeps `x` alone: it runs `body` again, recorded, and walks that graph.
///
/// `body` must compute the same again. What it computes with beside `x` are parameters; gradients of other recorded tensors that
/// it captures are not formed. What else it changes, such as running statistics, is changed twice: `Module.checkpointed` puts
/// that back. A parameter that it reads must not be changed before backward, which is an error.
/// Gradients: those of `body`; that of x is summed in float32 and rounded to its type.
public func recomputing(_ x: Tensor, _ body: @escaping (Tensor) -> Tensor) -> Tensor {
    let mode = GradientMode.current
    guard mode.isRecording else { return body(x.detached()) }
    let reads = ParameterReads()
    reads.used.areReadAgain = true
    var reading = mode
    (reading.isRecording, reading.parameterReads) = (false, reads)
    let y = GradientMode.$current.withValue(reading) { body(x.detached()) }
    mode.parameterReads?.used.insert(reads.used)
    let plain = x.detached(), inputNode = x.node
    var result = y.detached()
    result.node = OperationNode("recomputing", inputs: [inputNode], using: reads.used) { dy in
        GradientMode.$current.withValue(GradientMode(isRecording: true, observer: nil)) {
            let leaf = plain.dtype.isFloatingPoint ? plain.trackingGradient() : plain
            let again = body(leaf)
            guard let node = again.node else { return [nil] }
            Tensor.walk(from: node, gradient: dy)
            guard inputNode != nil, let gradient = (leaf.node as? LeafNode)?.gradient else { return [nil] }
            return [gradient.cast(to: plain.dtype).detached()]
        }
    }
    return result.observed("recomputing", x)
}
