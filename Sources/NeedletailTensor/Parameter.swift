/// A trainable tensor: the stored values, the copy that layers compute with, and the gradient.
///
/// The stored values have `storageType` (float32 masters in the mixed modes); where `computeType` differs, a shadow in that
/// type is kept beside them, and every update writes both in one pass. The gradient is float32 (float64 for float64 storage).
public final class Parameter {
    /// Sizes of the axes, fixed for life.
    public let shape: [Int]
    /// The dotted name in the module tree, as PyTorch would have it; empty until a module's `nameParameters()` sets it.
    public var name: String {
        get { version.name.text }
        set { version.name.text = newValue }
    }
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
    /// The stored values, which updates write to.
    private(set) var stored: Tensor
    /// The stored values rounded to the compute type, where that is another type.
    private(set) var shadow: Tensor?
    private var leaf: LeafNode
    private var version: ParameterVersion

    /// A parameter that stores and computes in the type of `value`.
    public init(_ value: Tensor, requiresGradient: Bool = true) {
        require(value.dtype.isFloatingPoint, "Parameter: found \(value.dtype), expected a floating-point type")
        shape = value.shape
        isFrozen = !requiresGradient
        stored = value.detached().copied()
        version = ParameterVersion(ParameterName(shape: value.shape))
        leaf = LeafNode(shape: value.shape, dtype: value.dtype.accumulationType, of: version.name)
        stored.storage.version = version
    }

    /// The stored values; not recorded. What has been read stays as it is when the parameter changes.
    public var master: Tensor {
        GradientMode.current.parameterReads?.used.insert(version)
        return stored.handedOut()
    }

    /// The type of the stored values.
    public var storageType: DType { stored.dtype }

    /// The type that layers compute with.
    public var computeType: DType { shadow?.dtype ?? stored.dtype }

    /// What layers read: the values in the compute type, recorded into ``gradient``. What has been read stays as it is when the
    /// parameter changes; but then backward through it is an error.
    public var value: Tensor { borrowedValue.handedOut() }

    /// As ``value``, for operations that keep none of it but for backward: an update writes to the same memory.
    package var borrowedValue: Tensor {
        let mode = GradientMode.current
        mode.parameterReads?.used.insert(version)
        var result = shadow ?? stored
        if requiresGradient && mode.isRecording { result.node = leaf }
        return result
    }

    /// What backward has accumulated since ``zeroGradient()``; nil where it has not reached this parameter. What has been read
    /// stays as it is. There are no second derivatives: a loss that depends on it is an error in backward.
    public var gradient: Tensor? {
        guard var gradient = leaf.gradient?.handedOut() else { return nil }
        gradient.node = ConstantNode()
        return gradient
    }

    /// Whether there is a ``gradient``.
    public var hasGradient: Bool { leaf.hasGradient }

    /// The gradient for kernels that only read it.
    var accumulatedGradient: Tensor? { leaf.gradient }

    /// Makes the values this parameter's alone, to be written to, and counts the change.
    func beginChange(keepingValues: Bool) {
        version.countChange()
        stored.makeUnshared(keepingValues: keepingValues)
        shadow?.makeUnshared(keepingValues: keepingValues)
    }

    /// Forgets the gradient. The next backward writes it without reading it.
    public func zeroGradient() { leaf.reset() }

    /// Lets backward write to a new gradient; that of a ``state`` taken before stays as it is.
    package func renewGradient() { replaceLeaf() }

    private func replaceLeaf() {
        leaf.isReplaced = true
        leaf = LeafNode(shape: shape, dtype: storageType.accumulationType, of: version.name)
    }

    /// Changes the types: the stored values are converted (rounded to nearest even), the gradient is dropped.
    public func setTypes(storage: DType, compute: DType) {
        require(
            storage.isFloatingPoint && compute.isFloatingPoint,
            "setTypes: found \(storage) and \(compute), expected floating-point types")
        stored = stored.cast(to: storage).copied()
        shadow = compute == storage ? nil : stored.cast(to: compute)
        version.isReplaced = true
        version = ParameterVersion(version.name)
        stored.storage.version = version
        shadow?.storage.version = version
        replaceLeaf()
    }

    /// The tensors that training changes. Held by reference: an update changes them.
    package struct State {
        fileprivate let master: Tensor
        fileprivate let shadow: Tensor?
        fileprivate let leaf: LeafNode
        fileprivate let version: ParameterVersion
    }

    /// The parameter's tensors and types; setting it exchanges them, copying nothing. ``setTypes(storage:compute:)`` makes
    /// new ones, also where the types stay, so a state taken before it is safe from updates after it.
    package var state: State {
        get { State(master: stored, shadow: shadow, leaf: leaf, version: version) }
        set {
            require(newValue.master.shape == shape, "state: found shape \(newValue.master.shape), expected \(shape)")
            let isSame =
                newValue.leaf === leaf && newValue.master.storage === stored.storage
                && newValue.shadow?.storage === shadow?.storage
            if isSame { return }
            (leaf.isReplaced, version.isReplaced) = (true, true)
            (stored, shadow, leaf, version) = (newValue.master, newValue.shadow, newValue.leaf, newValue.version)
            (leaf.isReplaced, version.isReplaced) = (false, false)
        }
    }

    /// Replaces the values, converted to the stored type.
    /// - Throws: ``ShapeError`` where the shape differs; nothing is changed then.
    public func assign(_ tensor: Tensor) throws {
        guard tensor.shape == shape else {
            throw ShapeError(found: tensor.shape, expected: shape, message: "parameter '\(name)'")
        }
        let values = tensor.detached().contiguous()
        beginChange(keepingValues: false)
        Kernels.convert(values, to: stored)
        if let shadow { Kernels.convert(stored, to: shadow) }
    }
}
