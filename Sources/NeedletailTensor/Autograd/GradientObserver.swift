// Looking at gradients of intermediate results while backward runs.

extension Tensor {
    /// Shows `observer` the gradient of this result when backward comes by, with whatever scale backward was seeded with.
    ///
    /// For the result of an activation it is the gradient before the activation (dZ): the one behind it is never formed
    /// where a matrix product takes the derivative over. Nothing is recorded anew, so the gradients' bits stay what they
    /// are. Without effect where no gradient passes, and where the same result already has an observer.
    package func observeGradient(_ observer: @escaping (Tensor) -> Void) {
        var target = node
        if let operation = node as? OperationNode, operation.activationGradient != nil { target = operation.inputs[0] }
        guard let target = target as? OperationNode, target.gradientObserver == nil else { return }
        target.gradientObserver = observer
    }
}
