/// A trainable tensor: the stored values, the copy that layers compute with, and the gradient.
///
/// The stored values have `storageType` (float32 masters in the mixed modes); where `computeType` differs, a shadow in that
/// type is kept beside them, and every update writes both in one pass. The gradient is float32 (float64 for float64 storage).
public final class Parameter {
    /// Sizes of the axes, fixed for life.
    public let shape: [Int]
    /// The dotted name in the module tree, as PyTorch would have it; empty until a module's `nameParameters()` sets it.
    public var name = ""
    /// Whether backward accumulates a gradient here and optimizers update it.
    ///
    /// False where it was set to false, which freezes the parameter, and while the trainer runs the step of an optimizer
    /// to which it does not belong.
    public var requiresGradient: Bool {
        get { !isFrozen && !isToggledOff }
        set { isFrozen = !newValue }
    }
    /// Whether training leaves the parameter as it is: ``requiresGradient`` was set to false.
    public private(set) var isFrozen: Bool
    /// Whether the optimizer whose step is running is another one's.
    package var isToggledOff = false
    /// The stored values; not recorded. Updates change them in place.
    public private(set) var master: Tensor
    /// The stored values rounded to the compute type, where that is another type.
    private(set) var shadow: Tensor?
    private var leaf: LeafNode

    /// A parameter that stores and computes in the type of `value`.
    public init(_ value: Tensor, requiresGradient: Bool = true) {
        require(value.dtype.isFloatingPoint, "Parameter: found \(value.dtype), expected a floating-point type")
        shape = value.shape
        isFrozen = !requiresGradient
        master = value.detached().copied()
        leaf = LeafNode(shape: value.shape, dtype: value.dtype.accumulationType)
    }

    /// The type of the stored values.
    public var storageType: DType { master.dtype }

    /// The type that layers compute with.
    public var computeType: DType { shadow?.dtype ?? master.dtype }

    /// What layers read: the values in the compute type, recorded into ``gradient``.
    public var value: Tensor {
        var result = shadow ?? master
        if requiresGradient && GradientMode.isRecording { result.node = leaf }
        return result
    }

    /// What backward has accumulated since ``zeroGradient()``; nil where it has not reached this parameter.
    public var gradient: Tensor? { leaf.gradient }

    /// Forgets the gradient. The next backward writes it without reading it.
    public func zeroGradient() { leaf.reset() }

    /// Lets backward write to a new gradient; that of a ``state`` taken before stays as it is.
    package func renewGradient() { leaf = LeafNode(shape: shape, dtype: storageType.accumulationType) }

    /// Changes the types: the stored values are converted (rounded to nearest even), the gradient is dropped.
    public func setTypes(storage: DType, compute: DType) {
        require(
            storage.isFloatingPoint && compute.isFloatingPoint,
            "setTypes: found \(storage) and \(compute), expected floating-point types")
        master = master.cast(to: storage).copied()
        shadow = compute == storage ? nil : master.cast(to: compute)
        leaf = LeafNode(shape: shape, dtype: storage.accumulationType)
    }

    /// The tensors that training changes. Held by reference: an update changes them.
    package struct State {
        fileprivate let master: Tensor
        fileprivate let shadow: Tensor?
        fileprivate let leaf: LeafNode
    }

    /// The parameter's tensors and types; setting it exchanges them, copying nothing. ``setTypes(storage:compute:)`` makes
    /// new ones, also where the types stay, so a state taken before it is safe from updates after it.
    package var state: State {
        get { State(master: master, shadow: shadow, leaf: leaf) }
        set {
            require(newValue.master.shape == shape, "state: found shape \(newValue.master.shape), expected \(shape)")
            (master, shadow, leaf) = (newValue.master, newValue.shadow, newValue.leaf)
        }
    }

    /// Replaces the values, converted to the stored type.
    /// - Throws: ``ShapeError`` where the shape differs; nothing is changed then.
    public func assign(_ tensor: Tensor) throws {
        guard tensor.shape == shape else {
            throw ShapeError(found: tensor.shape, expected: shape, message: "parameter '\(name)'")
        }
        Kernels.convert(tensor.detached().contiguous(), to: master)
        if let shadow { Kernels.convert(master, to: shadow) }
    }
}
