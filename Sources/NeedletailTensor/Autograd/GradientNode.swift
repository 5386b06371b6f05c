// The recorded graph: a node for each operation that has an input with a gradient, and a leaf for each tensor whose gradient
// is wanted. Edges point from a result to its inputs.
import Synchronization

/// A node of the recorded graph. A graph is built and walked by one thread at a time.
///
/// `@unchecked Sendable`: tensors carry nodes and may cross threads; `sequence` is constant, and all other state is touched
/// only by `backward`, which its caller runs on one thread for a graph.
class GradientNode: @unchecked Sendable {
    /// Creation order: every node comes after its inputs, so walking in descending order is a topological order.
    let sequence: UInt64
    /// How an operation's gradient goes on; nil in a leaf.
    fileprivate final var backward: BackwardFunction?
    /// The nodes of an operation's inputs, one entry an input; nil where the input has no gradient.
    fileprivate(set) final var inputs: [GradientNode?]
    /// The gradient that has arrived so far during a walk, and that walk's number.
    final var sum = GradientSum()
    private final var walk: UInt64 = 0
    /// Told the whole gradient before it is passed on; see ``Tensor/observeGradient(_:)``.
    final var gradientObserver: ((Tensor) -> Void)?
    /// Whether no gradient passes: ``ConstantNode`` alone.
    var isConstant: Bool { false }

    private static let counter = Atomic<UInt64>(0)

    init(inputs: [GradientNode?]) {
        self.inputs = inputs
        sequence = Self.counter.add(1, ordering: .relaxed).newValue
    }

    /// Unlinks long chains in a loop, not by recursion, which would overflow the stack for deep graphs.
    deinit {
        var orphans = inputs
        inputs = []
        backward = nil  // may hold inputs too
        while !orphans.isEmpty {
            guard var node = orphans.removeLast() else { continue }
            guard isKnownUniquelyReferenced(&node) else { continue }
            orphans.append(contentsOf: node.inputs)
            node.inputs = []
            node.backward = nil
        }
    }

    /// Begins to take part in a walk: what one that was not finished has left here is dropped.
    final func enter(walk number: UInt64) {
        if walk == number { return }
        sum = GradientSum()
        walk = number
    }

    /// Passes the whole gradient on and returns the nodes that received something.
    func propagate(_ gradient: Tensor, walk: UInt64) -> [GradientNode] { [] }

    /// All that has arrived here so far.
    var received: Tensor? { sum.soFar }

    /// Tells an observer that `gradient` was passed on.
    func show(_ gradient: Tensor, to observer: any GraphObserver) {}
}

/// How an operation passes the gradient of its result on.
enum BackwardFunction {
    /// From the result's gradient to one gradient an input; nil where there is none or it was delivered already.
    case whole((_ dy: Tensor) -> [Tensor?])
    /// Adds to what the operation's one input receives.
    case part((_ dy: Tensor, _ sum: inout GradientSum) -> Void)
}

/// A recorded operation.
final class OperationNode: GradientNode, @unchecked Sendable {
    /// The operation's name, as in the API.
    let operation: StaticString
    /// The parameters whose values backward needs.
    private let used: UsedParameters
    /// How products were computed when the operation was recorded: its gradients' products are computed so too.
    private let products = ProductOptions.current
    /// Set where the operation is an activation: the epilogue that multiplies by its derivative. A matrix product that
    /// consumes the result may do that in its own last pass and send the gradient straight to this node's input.
    let activationGradient: Epilogue?
    /// The same of an activation whose result lies channels-last; its operand is contiguous [N, H, W, C].
    let channelsLastGradient: Epilogue?

    init(
        _ operation: StaticString, inputs: [GradientNode?], using used: UsedParameters = UsedParameters(),
        activationGradient: Epilogue? = nil, channelsLastGradient: Epilogue? = nil,
        backward: @escaping (Tensor) -> [Tensor?]
    ) {
        self.operation = operation
        self.used = used
        self.activationGradient = activationGradient
        self.channelsLastGradient = channelsLastGradient
        super.init(inputs: inputs)
        self.backward = .whole(backward)
    }

    /// An operation whose gradient reaches only some elements of its one input.
    init(
        _ operation: StaticString, partOf input: GradientNode,
        backward: @escaping (_ dy: Tensor, _ sum: inout GradientSum) -> Void
    ) {
        self.operation = operation
        used = UsedParameters()
        activationGradient = nil
        channelsLastGradient = nil
        super.init(inputs: [input])
        self.backward = .part(backward)
    }

    override func propagate(_ gradient: Tensor, walk: UInt64) -> [GradientNode] {
        used.check(operation)
        return products.scope { pass(gradient, walk) }
    }

    private func pass(_ gradient: Tensor, _ walk: UInt64) -> [GradientNode] {
        switch backward {
        case .whole(let backward):
            let gradients = backward(gradient)
            assert(gradients.count == inputs.count)
            var receivers: [GradientNode] = []
            for (input, gradient) in zip(inputs, gradients) {
                guard let input, let gradient else { continue }
                input.enter(walk: walk)
                input.sum.add(gradient)
                receivers.append(input)
            }
            return receivers
        case .part(let backward):
            guard let input = inputs[0] else { return [] }
            input.enter(walk: walk)
            backward(gradient, &input.sum)
            return [input]
        case nil: return []
        }
    }

    override func show(_ gradient: Tensor, to observer: any GraphObserver) {
        observer.backward(operation, sequence: sequence, gradient, received: inputs.compactMap { $0?.received })
    }
}

/// Stands in the graph for a gradient, which has no derivative here: backward must not reach it.
final class ConstantNode: GradientNode, @unchecked Sendable {
    override var isConstant: Bool { true }

    init() { super.init(inputs: []) }

    override func propagate(_ gradient: Tensor, walk: UInt64) -> [GradientNode] {
        require(
            false,
            "backward: the loss depends on a gradient (of gradients(of:withRespectTo:) or Parameter.gradient), and second "
                + "derivatives are not supported: a penalty on it would add nothing. Take detached() of it to use it as a constant"
        )
        return []
    }
}

/// The end of the graph: accumulates a gradient in the accumulation type.
final class LeafNode: GradientNode, @unchecked Sendable {
    private let shape: [Int]
    let dtype: DType
    private var buffer: Tensor?
    private(set) var hasGradient = false
    /// The parameter whose gradient it is, if it is one's.
    private let parameter: ParameterName?
    /// Whether the parameter has another gradient now, so that this one would never be seen.
    var isReplaced = false

    init(shape: [Int], dtype: DType, of parameter: ParameterName? = nil) {
        self.shape = shape
        self.dtype = dtype
        self.parameter = parameter
        super.init(inputs: [])
    }

    /// What has been accumulated since the last `reset`, if anything.
    var gradient: Tensor? { hasGradient ? buffer : nil }

    override var received: Tensor? { gradient ?? sum.soFar }

    /// Forgets the gradient; its memory is reused.
    func reset() { hasGradient = false }

    /// Lets `body` add to the gradient in place: it must write the whole buffer, not reading it where `accumulate` is false.
    func accumulate(_ body: (_ buffer: Tensor, _ accumulate: Bool) -> Void) {
        let (buffer, accumulate) = target()
        body(buffer, accumulate)
    }

    /// The memory of the gradient, which now counts as there: the caller must write all of it, and add where `accumulate`.
    func target() -> (buffer: Tensor, accumulate: Bool) {
        checkIsCurrent()
        buffer?.makeUnshared(keepingValues: hasGradient)
        let target = buffer ?? Tensor(uninitialized: shape, dtype)
        buffer = target
        defer { hasGradient = true }
        return (target, hasGradient)
    }

    /// The gradient's memory, where there is some and no gradient in it: the leaf forgets it.
    func lend() -> Tensor? {
        guard !hasGradient else { return nil }
        buffer?.makeUnshared(keepingValues: false)
        defer { buffer = nil }
        return buffer
    }

    /// Makes `gradient`, of the leaf's type and in memory of its own, the gradient or adds it to the one that is there.
    func take(_ gradient: Tensor) {
        if hasGradient {
            let buffer = target().buffer
            Kernels.binary(.add, buffer, gradient, into: buffer)
        } else {
            checkIsCurrent()
            buffer = gradient
            hasGradient = true
        }
    }

    private func checkIsCurrent() {
        require(
            !isReplaced,
            "backward: the types of \(parameter?.description ?? "a parameter") were changed (by setTypes) after forward: compute the "
                + "loss again")
    }

    override func propagate(_ gradient: Tensor, walk: UInt64) -> [GradientNode] {
        let gradient = gradient.contiguous()
        accumulate { buffer, accumulate in
            if accumulate {
                Kernels.binary(.add, buffer, gradient.cast(to: dtype), into: buffer)
            } else {
                Kernels.convert(gradient, to: buffer)
            }
        }
        return []
    }
}
