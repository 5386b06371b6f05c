// Walking the recorded graph, and recording it.
import Synchronization

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

    /// One number for a walk and those within it (``recomputing(_:_:)``): sums of gradients that another, which an error ended, has
    /// left are not theirs.
    private enum Walk {
        @TaskLocal static var number: UInt64?
        static let count = Atomic<UInt64>(0)
    }

    static func walk(from root: GradientNode, gradient: Tensor) {
        guard let number = Walk.number else {
            let number = Walk.count.add(1, ordering: .relaxed).newValue
            return Walk.$number.withValue(number) { walk(from: root, gradient: gradient) }
        }
        let observer = GradientMode.current.observer
        root.enter(walk: number)
        root.sum.add(gradient)
        var waiting = NodeQueue()
        waiting.push(root)
        while let node = waiting.pop() {
            guard let gradient = node.sum.take() else { continue }
            node.gradientObserver?(gradient)
            let receivers = withoutObserver { node.propagate(gradient, walk: number) }
            if let observer { withoutObserver { node.show(gradient, to: observer) } }
            for receiver in receivers { waiting.push(receiver) }
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
        _ operation: StaticString, _ inputs: Tensor..., using used: [Tensor]? = nil,
        backward: @escaping (Tensor) -> [Tensor?]
    ) -> Tensor {
        recorded(operation, inputs, using: used, backward: backward)
    }

    /// As above; `isView`: the elements are those of the input. `used`: whose elements `backward` computes with;
    /// where nil those of all inputs.
    func recorded(
        _ operation: StaticString, _ inputs: [Tensor], isView: Bool = false, using used: [Tensor]? = nil,
        backward: @escaping (Tensor) -> [Tensor?]
    ) -> Tensor {
        let mode = GradientMode.current
        var result = detached()
        if mode.isRecording, inputs.contains(where: { $0.node != nil }) {
            if let node = inputs.first(where: { $0.node != nil })?.node, node.isConstant,
                !inputs.contains(where: \.requiresGradient)
            {
                result.node = node
            } else {
                let used = UsedParameters(of: isView ? [] : used ?? inputs)
                result.node = OperationNode(operation, inputs: inputs.map(\.node), using: used, backward: backward)
            }
        }
        result.show(operation, inputs, isView: isView, to: mode.observer)
        return result
    }

    /// This tensor as the result of an operation whose gradient reaches only some elements of `input`: `backward` adds it to
    /// the sum of the gradients that arrive there, which costs what the result's size costs, however large the input is.
    func recorded(
        _ operation: StaticString, partOf input: Tensor, isView: Bool = false,
        backward: @escaping (_ dy: Tensor, _ sum: inout GradientSum) -> Void
    ) -> Tensor {
        let mode = GradientMode.current
        var result = detached()
        if mode.isRecording, let node = input.node {
            result.node = node.isConstant ? node : OperationNode(operation, partOf: node, backward: backward)
        }
        result.show(operation, [input], isView: isView, to: mode.observer)
        return result
    }

    private func show(_ operation: StaticString, _ inputs: [Tensor], isView: Bool, to observer: (any GraphObserver)?) {
        guard let observer else { return }
        withoutObserver { observer.forward(operation, inputs, self, computed: !isView, sequence: node?.sequence) }
    }
}

/// The gradients of a scalar, times `seed`, with respect to tensors made by ``Tensor/trackingGradient()``, in their types;
/// zeros where the scalar does not depend on one. Gradients of parameters on the way are accumulated as by `backward`.
///
/// The results are cut off from the graph, as there are no second derivatives: a loss that depends on one is an error in backward.
/// `detached()` of one is a constant.
public func gradients(of loss: Tensor, withRespectTo inputs: [Tensor], seed: Double = 1) -> [Tensor] {
    let leaves = inputs.map { input -> LeafNode in
        guard let leaf = input.node as? LeafNode else {
            stop("gradients: an input of shape \(input.shape) was not made by trackingGradient()")
        }
        leaf.reset()
        return leaf
    }
    loss.backward(seed: seed)
    defer { for leaf in leaves { leaf.reset() } }
    return zip(inputs, leaves).map { input, leaf in
        var gradient =
            leaf.gradient.map { $0.cast(to: input.dtype).copied() } ?? Tensor.zeros(input.shape, dtype: input.dtype)
        gradient.node = ConstantNode()
        return gradient
    }
}
