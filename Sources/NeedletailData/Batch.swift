// What a loader hands to a step.
public import NeedletailTensor

/// The rows that one step works on.
public struct Batch: Sendable {
    /// The inputs, [count, …].
    public var inputs: Tensor
    /// The targets, [count, …]; class indices are int64 [count].
    public var targets: Tensor
    /// The number of rows.
    public var count: Int

    /// A batch of `inputs` and `targets`, whose first axes must have the same size; `count` is that size.
    public init(inputs: Tensor, targets: Tensor) {
        require(
            inputs.rank > 0 && targets.rank > 0 && inputs.shape[0] == targets.shape[0],
            "Batch: found inputs \(inputs.shape) and targets \(targets.shape), expected the same first size")
        self.inputs = inputs
        self.targets = targets
        count = inputs.shape[0]
    }
}
