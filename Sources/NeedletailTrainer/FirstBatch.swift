// The first batch of its kind that a module is given: what it does not take is an error then, not the end of the program.
import NeedletailData
import NeedletailNN
public import NeedletailTensor

/// Runs `body`, a step on `batch`, and throws what would end the program as an error that names the batch.
///
/// - Parameter what: what the batch is of, such as "training".
/// - Throws: ``TrainerError/badBatch(_:)``, ``OperationError`` where memory runs out, and what `body` throws.
func guarding<Result>(
    _ batch: Batch, _ index: Int, of what: String, _ body: @escaping () throws -> Result
) throws -> Result {
    switch try operationOutcome(body) {
    case .success(let result): return result
    case .failure(let error) where error.isOutOfMemory: throw error
    case .failure(let error): throw TrainerError.badBatch(BadBatch(batch, index, of: what, why: error.message))
    }
}

/// The kinds of batches that a step has run on.
///
/// What ends the program in an operation is a matter of shapes, of types, and of integers that are indices. A batch that has these
/// in common with an earlier one is as good as that one, and is not worth the thread that ``guarding(_:_:of:_:)`` costs.
struct KnownBatches {
    private struct Kind: Hashable {
        let inputs: [Int], targets: [Int]
        let inputType: DType, targetType: DType
    }

    private var kinds: Set<Kind> = []
    private var inputs: ClosedRange<Int64>?, targets: ClosedRange<Int64>?

    /// Whether `batch` is of a kind of which there was none, or holds smaller or larger integers than all before it; it is one of
    /// them from here on.
    mutating func isNew(_ batch: Batch) -> Bool {
        let kind = Kind(
            inputs: batch.inputs.shape, targets: batch.targets.shape, inputType: batch.inputs.dtype,
            targetType: batch.targets.dtype)
        let isNewKind = kinds.insert(kind).inserted
        let isNewInput = Self.extend(&inputs, batch.inputs), isNewTarget = Self.extend(&targets, batch.targets)
        return isNewKind || isNewInput || isNewTarget
    }

    private static func extend(_ range: inout ClosedRange<Int64>?, _ tensor: Tensor) -> Bool {
        guard tensor.dtype == .int64 || tensor.dtype == .int32 else { return false }
        let values = tensor.scalars(as: Int64.self)
        guard let least = values.min(), let most = values.max() else { return false }
        guard let known = range else {
            range = least...most
            return true
        }
        guard least < known.lowerBound || most > known.upperBound else { return false }
        range = min(least, known.lowerBound)...max(most, known.upperBound)
        return true
    }
}

extension Batch {
    /// A batch of inputs for a prediction; targets are zeros.
    init(examples: Tensor) {
        self.init(inputs: examples, targets: Tensor.zeros([examples.shape.first ?? 1], dtype: .int64))
    }
}

/// A batch that a module does not take.
public struct BadBatch: Sendable, Equatable {
    /// What the batch is of: "training", "validation", "test" or "prediction", with the loader's name where it has one.
    public let stage: String
    /// Its index in the epoch.
    public let batch: Int
    /// The shapes of its inputs and of its targets.
    public let inputs: [Int], targets: [Int]
    /// Their types.
    public let inputType: DType, targetType: DType
    /// The message of the operation that did not take them.
    public let why: String

    init(_ batch: Batch, _ index: Int, of stage: String, why: String) {
        self.stage = stage
        self.batch = index
        (inputs, targets) = (batch.inputs.shape, batch.targets.shape)
        (inputType, targetType) = (batch.inputs.dtype, batch.targets.dtype)
        self.why = why
    }
}

extension TrainingModule {
    /// Throws where ``predictStep(_:_:)`` does not take `inputs`, such as a request to a server; the types are those given.
    ///
    /// It runs in evaluation mode and leaves no trace: see ``Module/check(_:)``, which takes any other pass too. The batch's
    /// targets are zeros.
    ///
    ///     func answer(_ classifier: TrainingModule, _ request: Batch) throws -> Tensor {
    ///         try classifier.check(request.inputs)
    ///         return try classifier.predictStep(request, 0)
    ///     }
    ///
    /// - Returns: the prediction.
    /// - Throws: ``OperationError``, and what `predictStep` throws.
    @discardableResult
    public final func check(_ inputs: Tensor) throws -> Tensor {
        try measured { _ in
            evaluate()
            return try withoutGradients {
                try throwingOperationErrors {
                    try self.predictStep(Batch(examples: inputs), 0)
                }
            }
        }
    }
}
