// Where an operation that computes several gradients in one pass writes one of them.

/// Memory for a gradient in the accumulation type: a parameter's own, to be added to where `accumulate`, or new memory.
struct GradientTarget {
    let buffer: Tensor
    let accumulate: Bool
    private let isDelivered: Bool

    /// Of an input with that node; nil where its gradient is not wanted.
    init?(_ node: GradientNode?, shape: [Int], _ dtype: DType) {
        guard let node else { return nil }
        if let leaf = node as? LeafNode, leaf.dtype == dtype {
            (buffer, accumulate) = leaf.target()
            isDelivered = true
        } else {
            (buffer, accumulate) = (Tensor(uninitialized: shape, dtype), false)
            isDelivered = false
        }
    }

    /// What is left to pass on in the input's type, once the buffer is written: nil where it is a parameter's own.
    func remaining(_ dtype: DType) -> Tensor? { isDelivered ? nil : buffer.cast(to: dtype) }
}
