// The gradient of one result while its consumers' gradients arrive.

/// The sum of the gradients that the consumers of a result send, in the order in which they arrive.
///
/// Precision: added in the accumulation type, rounded once to the gradient's own type when the sum is taken. A gradient that
/// arrives may be shared with others and is never written; what is written is memory of the sum's own.
struct GradientSum {
    /// What has arrived first, and after it, while nothing of it has been added yet.
    private var first: Tensor?
    private var later: [Tensor] = []
    /// What has been added so far: contiguous, in the accumulation type.
    private var sum: Tensor?
    /// The gradient's own type.
    private var dtype = DType.float32

    /// Gradients of 16 bits that wait to be added in one pass, which then writes no float32 between them.
    private static let mostWaiting = 4

    /// Whether nothing has arrived.
    var isEmpty: Bool { first == nil && sum == nil }

    /// Adds a whole gradient.
    mutating func add(_ gradient: Tensor) {
        if isEmpty {
            first = gradient
            dtype = gradient.dtype
        } else if let sum, sum.dtype == gradient.dtype {
            Kernels.binary(.add, sum, gradient.contiguous(), into: sum)
        } else if let sum {
            Kernels.sum([gradient.contiguous()], accumulate: true, into: sum)
        } else if let first, dtype == dtype.accumulationType {
            sum = Kernels.binary(.add, first.contiguous(), gradient.contiguous())
            self.first = nil
        } else {
            later.append(gradient)
            if later.count + 1 == Self.mostWaiting { _ = collected(gradient.shape) }
        }
    }

    /// Adds a gradient of elements `start ..< start + gradient.shape[axis]` of an axis of the result, which has shape `shape`.
    mutating func add(_ gradient: Tensor, axis: Int, at start: Int, of shape: [Int]) {
        let inner = shape[(axis + 1)...].reduce(1, *)
        let part = Kernels.Part(
            rows: shape[..<axis].reduce(1, *), columns: gradient.shape[axis] * inner, offset: start * inner,
            stride: shape[axis] * inner)
        let gradient = gradient.contiguous()
        guard isEmpty else {
            Kernels.sum([gradient], accumulate: true, into: collected(shape), part)
            return
        }
        // One part alone needs no float32.
        dtype = gradient.dtype
        let padded = Tensor.zeros(shape, dtype: dtype)
        Kernels.sum([gradient], accumulate: false, into: padded, part)
        if dtype == dtype.accumulationType { sum = padded } else { first = padded }
    }

    /// Lets `body` add to the sum in place: a gradient of type `dtype` for a result of shape `shape`.
    mutating func add(_ shape: [Int], _ dtype: DType, _ body: (_ sum: Tensor) -> Void) {
        if isEmpty { self.dtype = dtype }
        body(collected(shape))
    }

    /// All that has arrived, added up in memory of the sum's own.
    private mutating func collected(_ shape: [Int]) -> Tensor {
        if let sum { return sum }
        let type = dtype.accumulationType
        let result = first == nil ? Tensor.zeros(shape, dtype: type) : Tensor(uninitialized: shape, type)
        if let first { Kernels.sum(([first] + later).map { $0.contiguous() }, accumulate: false, into: result) }
        first = nil
        later = []
        sum = result
        return result
    }

    /// The whole gradient in its own type; nil where nothing has arrived.
    func value() -> Tensor? {
        if let sum {
            if dtype == sum.dtype { return sum }
            let rounded = Tensor(uninitialized: sum.shape, dtype)
            Kernels.convert(sum, to: rounded)
            return rounded
        }
        guard let first, !later.isEmpty else { return first }
        let result = Tensor(uninitialized: first.shape, dtype)
        if later.count == 1 {
            Kernels.binary(.add, first.detached().contiguous(), later[0].detached().contiguous(), into: result)
            return result
        }
        Kernels.sum(([first] + later).map { $0.detached().contiguous() }, accumulate: false, into: result)
        return result
    }

    /// The whole gradient in its own type, nil where nothing has arrived; the sum is empty afterwards.
    mutating func take() -> Tensor? {
        defer { self = GradientSum() }
        return value()
    }

    /// A copy of what has arrived so far.
    var soFar: Tensor? { sum == nil ? value() : value()?.copied() }
}
