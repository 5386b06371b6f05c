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
        let status =
            log
            ? csimd_log_softmax(x.dtype.csimd, rows, columns, x.pointer, y.pointer)
            : csimd_softmax(x.dtype.csimd, rows, columns, x.pointer, y.pointer)
        expectSuccess(status, "softmax")
        return y
    }

    static func softmaxGradient(y: Tensor, dy: Tensor, log: Bool) -> Tensor {
        let dx = Tensor(uninitialized: y.shape, y.dtype)
        let (rows, columns) = rowsAndColumns(y)
        let status =
            log
            ? csimd_log_softmax_gradient(y.dtype.csimd, rows, columns, y.pointer, dy.pointer, dx.pointer)
            : csimd_softmax_gradient(y.dtype.csimd, rows, columns, y.pointer, dy.pointer, dx.pointer)
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
        var native = nativeArguments(arguments)
        let status = csimd_nll_forward(
            &native, rowLosses?.pointer, logSumExp.pointer, &lossSum, &weightSum, &badRow)
        if status == CSIMD_BAD_TARGET { throw targetError(arguments, badRow) }
        expectSuccess(status, "crossEntropy")
        return (rowLosses, logSumExp, lossSum, weightSum)
    }

    /// Σ w[target] over the rows that are not ignored, added up as by ``nllForward(_:keepRowLosses:)``.
    static func nllWeight(_ arguments: NLLArguments) throws -> Double {
        var native = nativeArguments(arguments)
        var weightSum = 0.0
        var badRow = 0
        let status = csimd_nll_weight(&native, &weightSum, &badRow)
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
        var native = nativeArguments(arguments)
        let status = csimd_nll(&native, scale, nil, logSumExp.pointer, gradient.pointer, &lossSum, &weightSum, nil)
        expectSuccess(status, "crossEntropy")
        return (logSumExp, lossSum, weightSum, gradient)
    }

    private static func targetError(_ arguments: NLLArguments, _ badRow: Int) -> TargetError {
        TargetError(
            row: badRow, value: Int(arguments.targets.buffer(Int64.self)[badRow]),
            classCount: rowsAndColumns(arguments.logits).1)
    }

    /// The gradient by the logits, into a new tensor or one of theirs: `target` may be the logits.
    static func nllBackward(
        _ arguments: NLLArguments, logSumExp: Tensor, rowScale: Tensor?, scale: Double, into target: Tensor? = nil
    ) -> Tensor {
        let gradient = target ?? Tensor(uninitialized: arguments.logits.shape, arguments.logits.dtype)
        var native = nativeArguments(arguments)
        let status = csimd_nll_backward(&native, logSumExp.pointer, rowScale?.pointer, scale, gradient.pointer)
        expectSuccess(status, "crossEntropy gradient")
        return gradient
    }

    private static func nativeArguments(_ arguments: NLLArguments) -> csimd_nll_args {
        let (rows, columns) = rowsAndColumns(arguments.logits)
        return csimd_nll_args(
            type: arguments.logits.dtype.csimd, rows: rows, columns: columns,
            logits: UnsafeRawPointer(arguments.logits.pointer),
            targets: UnsafePointer(arguments.targets.pointer.assumingMemoryBound(to: Int64.self)),
            class_weights: arguments.classWeights.map {
                UnsafePointer($0.pointer.assumingMemoryBound(to: Float.self))
            },
            ignore_index: Int64(arguments.ignoreIndex), label_smoothing: arguments.labelSmoothing)
    }

    private static func rowsAndColumns(_ x: Tensor) -> (Int, Int) {
        assert(x.isContiguous)
        let columns = x.shape.last ?? 1
        return (columns == 0 ? Shapes.count(Array(x.shape.dropLast())) : x.count / columns, columns)
    }
}
