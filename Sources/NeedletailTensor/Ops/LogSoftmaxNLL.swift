// Cross-entropy: log-softmax and negative log-likelihood, fused for hard targets.

/// How the losses of the rows become the result.
public enum Reduction: String, Sendable {
    /// Weighted mean: Σ loss / Σ weight over the rows that are not ignored.
    case mean
    /// Σ loss.
    case sum
    /// One loss a row.
    case none
}

/// What the mean of no rows is (an empty batch, or every target ignored).
public enum EmptyMean: String, Sendable {
    /// NaN, which the trainer skips and counts.
    case notANumber
    /// 0, with zero gradients.
    case zero
}

/// A class index outside the classes.
public struct TargetError: Error, CustomStringConvertible, Equatable {
    /// Which target, in row-major order.
    public let row: Int
    /// What it is.
    public let value: Int
    /// How many classes there are.
    public let classCount: Int

    /// Target `row` is `value`, where classes are 0..<classCount.
    public init(row: Int, value: Int, classCount: Int) {
        self.row = row
        self.value = value
        self.classCount = classCount
    }

    /// The row, what was found and what was expected.
    public var description: String {
        "target \(row) is \(value), expected a class in 0..<\(classCount) (or the ignored index)"
    }
}

/// An option of a loss that does not fit.
public struct LossArgumentError: Error, CustomStringConvertible, Equatable {
    /// What was found and what was expected.
    public let description: String
}

/// Cross-entropy of logits: the mean (or sum) of -log softmax(logits)[target].
///
/// With p = softmax(logits), class weights w (1 without), smoothing e and C classes, a row with target t has the loss
/// (1 - e) · w[t] · (-log p[t]) + (e / C) · Σ_c w[c] · (-log p[c]); the mean divides by Σ w[t]. Rows whose target is
/// `ignoreIndex` count for nothing. Targets of the logits' shape and a floating-point type are probabilities q:
/// the loss is -Σ_c w[c] q[c] log p[c], its mean over rows, and q = 0 contributes 0 even where log p is -∞.
/// With smoothing every class with w[c] ≠ 0 has a share: a logit of -∞ at any of them makes the loss +∞, and the gradient
/// stays finite.
///
/// A trainer weights batches by `TrainingModule.lossWeight(of:)`, which counts the targets that are not -100. Override it
/// where `ignoreIndex` or `classWeights` is given: return the number of targets that are not `ignoreIndex`, or Σ w[t] over
/// them, which is what the mean divides by. Otherwise accumulation windows are weighted wrongly. A mean in which nothing counts
/// the trainer knows without it, and leaves the batch out.
///
/// Shapes: (C)/(), (N, C)/(N), (N, C, d…)/(N, d…).
/// Precision: float32 for 16-bit logits (float64 for float64): rows in float32, sums over rows in float64 in a fixed order.
/// Gradients: (p - target) · weight / Σ weight, rounded once to the logits' type.
/// - Throws: ``TargetError`` for a target outside the classes, ``LossArgumentError``, ``ShapeError``.
public func crossEntropy(
    _ logits: Tensor, _ targets: Tensor, classWeights: Tensor? = nil, ignoreIndex: Int = -100,
    labelSmoothing: Double = 0, reduction: Reduction = .mean, emptyMean: EmptyMean = .notANumber
) throws -> Tensor {
    guard labelSmoothing >= 0 && labelSmoothing <= 1 else {
        throw LossArgumentError(description: "labelSmoothing is \(labelSmoothing), expected a value in [0, 1]")
    }
    let weights = try checkedClassWeights(classWeights, logits)
    if targets.dtype.isFloatingPoint && targets.shape == logits.shape {
        return softCrossEntropy(logits, targets, weights, labelSmoothing, reduction, emptyMean)
    }
    let (rows, flatTargets, rowShape) = try classRows(logits, targets)
    let plain = rows.detached()
    let arguments = NLLArguments(
        logits: plain, targets: flatTargets, classWeights: weights, ignoreIndex: ignoreIndex,
        labelSmoothing: labelSmoothing)
    // A float16 gradient waits only where its scale is known: which of its values are subnormal depends on that.
    let isExact = logits.dtype != .float16 || GradientMode.current.expectedSeed != nil
    let canWait = isExact && reduction != .none && labelSmoothing == 0
    if canWait && GradientMode.isRecording && rows.node != nil {
        return try lossWithGradient(arguments, rows, isMean: reduction == .mean, emptyMean)
    }
    let forward = try Kernels.nllForward(arguments, keepRowLosses: reduction == .none)
    let type = logits.dtype.accumulationType
    if reduction == .none, let losses = forward.rowLosses {
        return losses.recorded("crossEntropy", rows) { dy in
            let rowScale = dy.contiguous()
            return [Kernels.nllBackward(arguments, logSumExp: forward.logSumExp, rowScale: rowScale, scale: 1)]
        }.reshape(rowShape)
    }
    let divisor = reduction == .sum ? 1 : forward.weightSum
    let isEmpty = reduction == .mean && forward.weightSum == 0
    let mean = isEmpty ? (emptyMean == .zero ? 0 : Double.nan) : forward.lossSum / divisor
    let result = Tensor(mean, dtype: type).recorded("crossEntropy", rows) { dy in
        let scale = isEmpty ? 0 : dy.item() / divisor
        return [Kernels.nllBackward(arguments, logSumExp: forward.logSumExp, rowScale: nil, scale: scale)]
    }
    return reduction == .mean ? result.notedMean(weight: forward.weightSum, emptyMean) : result
}

/// Loss and gradient in one reading of the logits. The gradient is that of the seed that is expected, else of 1. If backward
/// comes with another seed it multiplies by their ratio if that is a power of two, which is exact but for results below 2⁻¹²⁶;
/// else, and in float16, it forms the gradient again from the logits.
private func lossWithGradient(
    _ arguments: NLLArguments, _ rows: Tensor, isMean: Bool, _ emptyMean: EmptyMean
) throws -> Tensor {
    let weight = try Kernels.nllWeight(arguments)
    let isEmpty = isMean && weight == 0
    let divisor = isMean ? weight : 1
    let seed = GradientMode.current.expectedSeed ?? 1
    let expected = rows.dtype == .float64 ? seed : Double(Float(seed))  // as it arrives
    let found = Kernels.nll(arguments, scale: isEmpty ? 0 : expected / divisor)
    let value = isEmpty ? (emptyMean == .zero ? 0 : Double.nan) : found.lossSum / divisor
    var waiting: Tensor? = found.gradient
    let logSumExp = found.logSumExp
    let result = Tensor(value, dtype: rows.dtype.accumulationType).recorded("crossEntropy", rows) { dy in
        let factor = isEmpty ? 1 : dy.item() / expected
        let isPowerOfTwo = factor.isFinite && factor.significand == 1 && factor.sign == .plus
        if let gradient = waiting, factor == 1 || (isPowerOfTwo && arguments.logits.dtype != .float16) {
            waiting = nil
            if factor != 1 { Kernels.scale(gradient, by: factor) }
            return [gradient]
        }
        let scale = isEmpty ? 0 : dy.item() / divisor
        return [Kernels.nllBackward(arguments, logSumExp: logSumExp, rowScale: nil, scale: scale)]
    }
    return isMean ? result.notedMean(weight: weight, emptyMean) : result
}

/// Negative log-likelihood of log-probabilities: the mean (or sum) of -w[t] · logProbabilities[t].
///
/// Shapes, options, errors and reductions are those of ``crossEntropy(_:_:classWeights:ignoreIndex:labelSmoothing:reduction:emptyMean:)``,
/// which is faster and more exact where there are logits. In a trainer, `ignoreIndex` and `classWeights` ask for the same
/// override of `TrainingModule.lossWeight(of:)`.
public func nllLoss(
    _ logProbabilities: Tensor, _ targets: Tensor, classWeights: Tensor? = nil, ignoreIndex: Int = -100,
    reduction: Reduction = .mean, emptyMean: EmptyMean = .notANumber
) throws -> Tensor {
    let weights = try checkedClassWeights(classWeights, logProbabilities)
    let (rows, flatTargets, rowShape) = try classRows(logProbabilities, targets)
    let classCount = rows.shape[1]
    let values: [Int64] = flatTargets.scalars()
    for (row, value) in values.enumerated() where value != Int64(ignoreIndex) {
        guard value >= 0 && value < Int64(classCount) else {
            throw TargetError(row: row, value: Int(value), classCount: classCount)
        }
    }
    let type = rows.dtype.accumulationType
    let weightOfClass: [Double] = weights?.scalars() ?? []
    let rowWeights = values.map { value in
        value == Int64(ignoreIndex) ? 0 : weights == nil ? 1 : weightOfClass[Int(value)]
    }
    let safe = Tensor(values.map { $0 == Int64(ignoreIndex) ? 0 : $0 }, shape: [values.count, 1])
    let isCounted = Tensor(rowWeights.map { $0 != 0 })
    let picked: Tensor
    if classCount == 0 {
        picked = Tensor.zeros([values.count], dtype: type)
    } else {
        picked = rows.gather(axis: 1, indices: safe).squeezed(at: 1).cast(to: type)
    }
    let weighted = picked * Tensor(rowWeights).cast(to: type) * -1
    let losses = Tensor.where(isCounted, weighted, Tensor(0, dtype: type))
    return reduce(losses, rowShape, weightSum: rowWeights.reduce(0, +), reduction, emptyMean)
}

/// -Σ_c w[c] q[c] log p[c] with q smoothed towards 1 / C; the mean is over rows.
private func softCrossEntropy(
    _ logits: Tensor, _ targets: Tensor, _ weights: Tensor?, _ smoothing: Double, _ reduction: Reduction,
    _ emptyMean: EmptyMean
) -> Tensor {
    let classAxis = logits.rank == 1 ? 0 : 1
    let type = logits.dtype.accumulationType
    let logProbabilities = logits.cast(to: type).logSoftmax(axis: classAxis)
    var probabilities = targets.detached().cast(to: type)
    let classCount = Double(logits.shape[classAxis])
    if smoothing > 0 { probabilities = probabilities * (1 - smoothing) + smoothing / classCount }
    if let weights {
        var shape = [Int](repeating: 1, count: logits.rank)
        shape[classAxis] = weights.count
        probabilities = probabilities * weights.cast(to: type).reshape(shape)
    }
    // 0 · -∞ is NaN forward and backward: the terms without probability are cut out before the product.
    let counted = probabilities .!= 0
    let finite = Tensor.where(counted, logProbabilities, Tensor(0, dtype: type))
    let losses = (finite * probabilities).sum(axes: [classAxis]) * -1
    return reduce(losses.flattened(), losses.shape, weightSum: Double(losses.count), reduction, emptyMean)
}

private func reduce(
    _ losses: Tensor, _ rowShape: [Int], weightSum: Double, _ reduction: Reduction, _ emptyMean: EmptyMean
) -> Tensor {
    switch reduction {
    case .none: return losses.reshape(rowShape)
    case .sum: return losses.sum()
    case .mean:
        let sum = losses.sum()
        let mean = weightSum == 0 ? sum * 0 + (emptyMean == .zero ? 0 : Double.nan) : sum / weightSum
        return mean.notedMean(weight: weightSum, emptyMean)
    }
}

/// Logits as [rows, C] with the class axis last, targets as [rows] int64, and the shape of the rows.
private func classRows(_ logits: Tensor, _ targets: Tensor) throws -> (Tensor, Tensor, [Int]) {
    guard logits.rank >= 1 else {
        throw ShapeError(
            found: logits.shape, expected: [-1, -1], message: "crossEntropy: the logits need a class axis")
    }
    let classAxis = logits.rank == 1 ? 0 : 1
    var rowShape = logits.shape
    rowShape.remove(at: classAxis)
    guard targets.shape == rowShape else {
        throw ShapeError(
            found: targets.shape, expected: rowShape,
            message: "crossEntropy: targets for logits of shape \(logits.shape)")
    }
    guard !targets.dtype.isFloatingPoint && targets.dtype != .bool else {
        throw LossArgumentError(
            description:
                "targets are \(targets.dtype), expected int32, int64 or uint8 (or probabilities of the logits' shape)")
    }
    var order = Array(logits.shape.indices)
    order.append(order.remove(at: classAxis))
    let rows = logits.permuted(order).reshape([rowShape.reduce(1, *), logits.shape[classAxis]])
    return (rows.contiguous(), targets.cast(to: .int64).contiguous().reshape([rows.shape[0]]), rowShape)
}

private func checkedClassWeights(_ weights: Tensor?, _ logits: Tensor) throws -> Tensor? {
    guard let weights else { return nil }
    let classCount = logits.rank == 0 ? 0 : logits.shape[logits.rank == 1 ? 0 : 1]
    guard weights.shape == [classCount] else {
        throw ShapeError(found: weights.shape, expected: [classCount], message: "crossEntropy: class weights")
    }
    return weights.detached().cast(to: .float32).contiguous()
}
