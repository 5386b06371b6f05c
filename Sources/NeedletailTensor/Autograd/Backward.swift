// Walking the recorded graph, and recording it.

extension Tensor {
    /// Accumulates the gradient of this scalar, times `seed`, into every parameter that it depends on.
    ///
    /// The order of all sums is that in which the operations were recorded, reversed: the same graph gives the same bits.
    public func backward(seed: Double = 1) {
        require(count == 1, "backward: the tensor has shape \(shape), a scalar was expected")
        guard let node else {
            stop("backward: this tensor depends on nothing that tracks a gradient")
        }
        Tensor.walk(from: node, gradient: Tensor.full(shape, seed, dtype: dtype))
    }

    static func walk(from root: GradientNode, gradient: Tensor) {
        let observer = GradientMode.current.observer
        root.receive(gradient)
        var waiting = [root]  // ascending by sequence, each node once
        while let node = waiting.popLast() {
            guard let gradient = node.pending else { continue }
            node.pending = nil
            node.gradientObserver?(gradient)
            let receivers = withoutObserver { node.propagate(gradient) }
            if let observer { withoutObserver { node.show(gradient, to: observer) } }
            for receiver in receivers {
                var position = waiting.count
                while position > 0 && waiting[position - 1].sequence > receiver.sequence { position -= 1 }
                if position > 0 && waiting[position - 1] === receiver { continue }
                waiting.insert(receiver, at: position)
            }
        }
    }

    /// The same values as a new leaf of the graph, for ``gradients(of:withRespectTo:seed:)``.
    public func trackingGradient() -> Tensor {
        require(dtype.isFloatingPoint, "trackingGradient: found \(dtype), expected a floating-point type")
        var copy = self
        copy.node = LeafNode(shape: shape, dtype: dtype.accumulationType)
        return copy
    }

    /// This tensor as the result of an operation on `inputs`, whose gradients `backward` computes from the result's gradient.
    /// Nothing is recorded where no input has a gradient or recording is off.
    @inline(__always)
    func recorded(
        _ operation: StaticString, _ inputs: Tensor..., backward: @escaping (Tensor) -> [Tensor?]
    ) -> Tensor {
        recorded(operation, inputs, backward: backward)
    }

    /// As above; `isView`: the elements are those of the input.
    func recorded(
        _ operation: StaticString, _ inputs: [Tensor], isView: Bool = false, backward: @escaping (Tensor) -> [Tensor?]
    ) -> Tensor {
        let mode = GradientMode.current
        var result = detached()
        if mode.isRecording, inputs.contains(where: { $0.node != nil }) {
            result.node = OperationNode(operation, inputs: inputs.map(\.node), backward: backward)
        }
        if let observer = mode.observer {
            withoutObserver {
                observer.forward(operation, inputs, result, computed: !isView, sequence: result.node?.sequence)
            }
        }
        return result
    }
}

/// The gradients of a scalar, times `seed`, with respect to tensors made by ``Tensor/trackingGradient()``, in their types;
/// zeros where the scalar does not depend on one. Gradients of parameters on the way are accumulated as by `backward`.
public func gradients(of loss: Tensor, withRespectTo inputs: [Tensor], seed: Double = 1) -> [Tensor] {
    let leaves = inputs.map { input -> LeafNode in
        guard let leaf = input.node as? LeafNode else {
            stop("gradients: an input of shape \(input.shape) was not made by trackingGradient()")
        }
        leaf.reset()
        return leaf
    }
    loss.backward(seed: seed)
    return zip(inputs, leaves).map { input, leaf in
        guard let gradient = leaf.gradient else { return Tensor.zeros(input.shape, dtype: input.dtype) }
        leaf.reset()
        return gradient.cast(to: input.dtype).copied()
    }
}
