// Softmax, log-softmax and the fused negative log-likelihood, along the last axis of contiguous tensors.
internal import CSIMD

/// The options of a cross-entropy with hard targets, as the fused kernel takes them.
struct NLLArguments {
    let logits: Tensor  // [rows, columns]
    let targets: Tensor  // [rows] int64
    let classWeights: Tensor?  // [columns] float32
    let ignoreIndex: Int
    let labelSmoothing: Double
}

extension Kernels {
    static func softmax(_ x: Tensor, log: Bool) -> Tensor {
        let y = Tensor(uninitialized: x.shape, x.dtype)
        let (rows, columns) = rowsAndColumns(x)
        let status = withMemory(of: x, y) {
            log
                ? csimd_log_softmax(x.dtype.csimd, rows, columns, $0, $1)
                : csimd_softmax(x.dtype.csimd, rows, columns, $0, $1)
        }
        expectSuccess(status, "softmax")
        return y
    }

    static func softmaxGradient(y: Tensor, dy: Tensor, log: Bool) -> Tensor {
        let dx = Tensor(uninitialized: y.shape, y.dtype)
        let (rows, columns) = rowsAndColumns(y)
        let status = withMemory(of: y, dy, dx) {
            log
                ? csimd_log_softmax_gradient(y.dtype.csimd, rows, columns, $0, $1, $2)
                : csimd_softmax_gradient(y.dtype.csimd, rows, columns, $0, $1, $2)
        }
        expectSuccess(status, "softmax gradient")
        return dx
    }

    /// Row losses (where asked for) and log-sum-exps, in the accumulation type; the sums in float64.
    static func nllForward(_ arguments: NLLArguments, keepRowLosses: Bool) throws -> (
        rowLosses: Tensor?, logSumExp: Tensor, lossSum: Double, weightSum: Double
    ) {
        let (rows, _) = rowsAndColumns(arguments.logits)
        let accumulation = arguments.logits.dtype.accumulationType
        let logSumExp = Tensor(uninitialized: [rows], accumulation)
        let rowLosses = keepRowLosses ? Tensor(uninitialized: [rows], accumulation) : nil
        var lossSum = 0.0
        var weightSum = 0.0
        var badRow = 0
        let status = withNative(arguments) { native in
            withMemory(of: rowLosses, logSumExp) {
                csimd_nll_forward(&native, $0, $1, &lossSum, &weightSum, &badRow)
            }
        }
        if status == CSIMD_BAD_TARGET { throw targetError(arguments, badRow) }
        expectSuccess(status, "crossEntropy")
        return (rowLosses, logSumExp, lossSum, weightSum)
    }

    /// Σ w[target] over the rows that are not ignored, added up as by ``nllForward(_:keepRowLosses:)``.
    static func nllWeight(_ arguments: NLLArguments) throws -> Double {
        var weightSum = 0.0
        var badRow = 0
        let status = withNative(arguments) { csimd_nll_weight(&$0, &weightSum, &badRow) }
        if status == CSIMD_BAD_TARGET { throw targetError(arguments, badRow) }
        expectSuccess(status, "crossEntropy")
        return weightSum
    }

    /// ``nllForward(_:keepRowLosses:)`` and the gradient, times `scale`, in one reading. Targets have been checked.
    static func nll(_ arguments: NLLArguments, scale: Double) -> (
        logSumExp: Tensor, lossSum: Double, weightSum: Double, gradient: Tensor
    ) {
        let (rows, _) = rowsAndColumns(arguments.logits)
        let logSumExp = Tensor(uninitialized: [rows], arguments.logits.dtype.accumulationType)
        let gradient = Tensor(uninitialized: arguments.logits.shape, arguments.logits.dtype)
        var lossSum = 0.0
        var weightSum = 0.0
        let status = withNative(arguments) { native in
            withMemory(of: logSumExp, gradient) {
                csimd_nll(&native, scale, nil, $0, $1, &lossSum, &weightSum, nil)
            }
        }
        expectSuccess(status, "crossEntropy")
        return (logSumExp, lossSum, weightSum, gradient)
    }

    private static func targetError(_ arguments: NLLArguments, _ badRow: Int) -> TargetError {
        TargetError(
            row: badRow, value: Int(withMemory(of: arguments.targets.elements(Int64.self)) { $0[badRow] }),
            classCount: rowsAndColumns(arguments.logits).1)
    }

    /// The gradient by the logits, into a new tensor or one of theirs: `target` may be the logits.
    static func nllBackward(
        _ arguments: NLLArguments, logSumExp: Tensor, rowScale: Tensor?, scale: Double, into target: Tensor? = nil
    ) -> Tensor {
        let gradient = target ?? Tensor(uninitialized: arguments.logits.shape, arguments.logits.dtype)
        let status = withNative(arguments) { native in
            withMemory(of: logSumExp, rowScale, gradient) {
                csimd_nll_backward(&native, $0, $1, scale, $2)
            }
        }
        expectSuccess(status, "crossEntropy gradient")
        return gradient
    }

    private static func withNative<Result>(
        _ arguments: NLLArguments, _ body: (inout csimd_nll_args) -> Result
    ) -> Result {
        let (rows, columns) = rowsAndColumns(arguments.logits)
        return withMemory(of: arguments.logits, arguments.targets.elements(Int64.self), arguments.classWeights) {
            var native = csimd_nll_args(
                type: arguments.logits.dtype.csimd, rows: rows, columns: columns, logits: UnsafeRawPointer($0),
                targets: UnsafePointer($1.baseAddress),
                class_weights: UnsafePointer($2?.assumingMemoryBound(to: Float.self)),
                ignore_index: Int64(arguments.ignoreIndex), label_smoothing: arguments.labelSmoothing)
            return body(&native)
        }
    }

    private static func rowsAndColumns(_ x: Tensor) -> (Int, Int) {
        assert(x.isContiguous)
        let columns = x.shape.last ?? 1
        return (columns == 0 ? Shapes.count(Array(x.shape.dropLast())) : x.count / columns, columns)
    }
}
