// Walking the recorded graph, and recording it.

extension Tensor {
    /// Accumulates the gradient of this scalar, times `seed`, into every parameter that it depends on.
    ///
    /// The order of all sums is that in which the operations were recorded, reversed: the same graph gives the same bits.
    public func backward(seed: Double = 1) {
        require(count == 1, "backward: the tensor has shape \(shape), a scalar was expected")
        guard let node else {
            fatalError("backward: this tensor depends on nothing that tracks a gradient")
        }
        Tensor.walk(from: node, gradient: Tensor.full(shape, seed, dtype: dtype))
    }

    private static func walk(from root: GradientNode, gradient: Tensor) {
        root.receive(gradient)
        var waiting = [root]  // ascending by sequence, each node once
        while let node = waiting.popLast() {
            guard let gradient = node.pending else { continue }
            node.pending = nil
            node.gradientObserver?(gradient)
            for receiver in withoutGradients({ node.propagate(gradient) }) {
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

    /// `output` as the result of an operation on `inputs`, whose gradients `backward` computes from the result's gradient.
    /// Nothing is recorded where no input has a gradient or recording is off.
    @inline(__always)
    func recorded(_ inputs: Tensor..., backward: @escaping (Tensor) -> [Tensor?]) -> Tensor {
        recorded(nodes: inputs.map(\.node), backward: backward)
    }

    func recorded(nodes: [GradientNode?], backward: @escaping (Tensor) -> [Tensor?]) -> Tensor {
        guard nodes.contains(where: { $0 != nil }), GradientMode.isRecording else { return detached() }
        var result = self
        result.node = OperationNode(inputs: nodes, backward: backward)
        return result
    }
}

/// The gradients of a scalar, times `seed`, with respect to tensors made by ``Tensor/trackingGradient()``, in their types;
/// zeros where the scalar does not depend on one. Gradients of parameters on the way are accumulated as by `backward`.
public func gradients(of loss: Tensor, withRespectTo inputs: [Tensor], seed: Double = 1) -> [Tensor] {
    let leaves = inputs.map { input -> LeafNode in
        guard let leaf = input.node as? LeafNode else {
            fatalError("gradients: an input of shape \(input.shape) was not made by trackingGradient()")
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
