// A linear layer with cross-entropy after it, a chunk of rows at a time: the logits of all rows never exist together.

/// When ``linearCrossEntropy(_:weight:bias:_:classWeights:ignoreIndex:labelSmoothing:reduction:emptyMean:gradients:)``
/// computes its gradients.
public enum GradientTiming: String, Sendable {
    /// With the loss, while a chunk's logits are there: three products of N · in · C in all. The gradients wait for backward
    /// in float32, that of the weight in the parameter's own memory where it has no gradient at that time.
    case withLoss
    /// In backward, from logits computed again: four products, and nothing waits. Gradients of parameters are added to what
    /// they have by the products themselves.
    case inBackward
}

/// Cross-entropy of x Wᵀ + b, as ``crossEntropy(_:_:classWeights:ignoreIndex:labelSmoothing:reduction:emptyMean:)`` of
/// ``linear(_:weight:bias:activation:)``, without holding all logits: for the heads of language models, whose classes are many.
///
/// The rows are taken in chunks of up to 512 whose logits fit into 48 MiB, in the weight's type; their gradient overwrites them. It
/// is scaled by a power of two that brings it to about 2¹², where float16 keeps probabilities down to 2⁻³⁶, and divided by
/// it afterwards: a loss scale neither saves nor harms anything here. `reduction: .none` always computes `.inBackward`.
///
/// In a trainer, `ignoreIndex` and `classWeights` ask for an override of `TrainingModule.lossWeight(of:)`: the number of
/// targets that are not `ignoreIndex`, or the sum of their class weights, as `crossEntropy` says.
///
/// Shapes: x […, in], weight [C, in], bias [C], targets […], class weights [C].
/// Precision: as the two operations: logits and their gradients are rounded to the weight's type, sums are float32, the loss is
/// float32 (float64 for float64).
/// Gradients: with G = (p - target) · weight / Σ weight: dX = G W, dW = Gᵀ X, db = Σ G.
/// - Throws: ``TargetError`` for a target outside the classes, ``LossArgumentError``, ``ShapeError``.
public func linearCrossEntropy(
    _ x: Tensor, weight: Tensor, bias: Tensor? = nil, _ targets: Tensor, classWeights: Tensor? = nil,
    ignoreIndex: Int = -100, labelSmoothing: Double = 0, reduction: Reduction = .mean,
    emptyMean: EmptyMean = .notANumber, gradients: GradientTiming = .withLoss
) throws -> Tensor {
    guard labelSmoothing >= 0 && labelSmoothing <= 1 else {
        throw LossArgumentError(description: "labelSmoothing is \(labelSmoothing), expected a value in [0, 1]")
    }
    guard weight.rank == 2, x.rank >= 1, x.shape[x.rank - 1] == weight.shape[1] else {
        throw ShapeError(
            found: x.shape, expected: Array(targets.shape) + [weight.shape.last ?? 0],
            message: "linearCrossEntropy: input for a weight of shape \(weight.shape)")
    }
    let classCount = weight.shape[0]
    for (vector, name) in [(bias, "bias"), (classWeights, "class weights")] {
        guard let vector, vector.shape != [classCount] else { continue }
        throw ShapeError(found: vector.shape, expected: [classCount], message: "linearCrossEntropy: \(name)")
    }
    guard targets.shape == Array(x.shape.dropLast()) else {
        throw ShapeError(
            found: targets.shape, expected: Array(x.shape.dropLast()),
            message: "linearCrossEntropy: targets for an input of shape \(x.shape)")
    }
    guard !targets.dtype.isFloatingPoint && targets.dtype != .bool else {
        throw LossArgumentError(description: "targets are \(targets.dtype), expected int32, int64 or uint8")
    }
    let x = x.cast(to: weight.dtype)
    let bias = bias.map { ($0.dtype == .float64) == (weight.dtype == .float64) ? $0 : $0.cast(to: weight.dtype) }
    let head = try LinearCrossEntropy(
        x: x.detached().contiguous().reshape([targets.count, weight.shape[1]]),
        weight: weight.detached().contiguous(), bias: bias?.detached().contiguous(),
        targets: targets.detached().cast(to: .int64).contiguous().reshape([targets.count]),
        classWeights: classWeights?.detached().cast(to: .float32).contiguous(), ignoreIndex: ignoreIndex,
        labelSmoothing: labelSmoothing)

    let nodes = [x.node, weight.node, bias?.node]
    let isRecording = GradientMode.isRecording && nodes.contains { $0 != nil }
    let countsNothing = reduction == .mean && head.weightSum == 0
    let divisor = reduction == .mean ? head.weightSum : 1
    let hasNoGradient = countsNothing || head.chunks.isEmpty
    let waits = gradients == .withLoss && reduction != .none && !hasNoGradient
    let power = head.gradientPower(1 / divisor)
    var waiting = isRecording && waits ? head.room(for: nodes) : nil
    let forward = head.forward(keepRowLosses: reduction == .none, scale: power / divisor, gradients: waiting)

    let result: Tensor
    if let losses = forward.rowLosses {
        result = losses.reshape(targets.shape)
    } else {
        let value = countsNothing ? (emptyMean == .zero ? 0 : Double.nan) : forward.loss / divisor
        result = Tensor(value, dtype: weight.dtype.accumulationType)
    }
    let inputShape = x.shape
    let loss = result.recorded("linearCrossEntropy", [x, weight] + (bias.map { [$0] } ?? [])) { dy in
        let found: LinearCrossEntropy.Gradients
        if hasNoGradient {
            found = head.zeros(for: nodes)
        } else if waits {
            // A second backward through the same graph finds nothing waiting and sums once more.
            let unscaled = waiting ?? head.room(for: nodes)
            if waiting == nil {
                head.accumulate(forward.logSumExp, scale: power / divisor, into: unscaled)
            }
            waiting = nil
            found = head.deliver(unscaled, factor: dy.item() / power, to: nodes)
        } else if reduction == .none {
            let rowScale = dy.contiguous().reshape([targets.count])
            let power = head.gradientPower(rowScale.abs().max().item())
            found = head.backward(forward.logSumExp, rowScale: rowScale, scale: power, factor: 1 / power, to: nodes)
        } else {
            found = head.backward(
                forward.logSumExp, rowScale: nil, scale: power / divisor, factor: dy.item() / power, to: nodes)
        }
        let all = [found.x?.reshape(inputShape), found.weight, found.bias]
        return Array(all.prefix(bias == nil ? 2 : 3))
    }
    return reduction == .mean ? loss.notedMean(weight: head.weightSum, emptyMean) : loss
}

/// The head over rows x [N, in] with targets [N], all of them checked.
private struct LinearCrossEntropy {
    let x: Tensor
    let weight: Tensor
    let bias: Tensor?
    let targets: Tensor
    let classWeights: Tensor?
    let ignoreIndex: Int
    let labelSmoothing: Double
    /// Σ w[target] over the rows that are not ignored.
    let weightSum: Double
    /// Ranges of rows whose logits are held together; equal within one row.
    let chunks: [Range<Int>]

    /// At most this many rows and, from 16 rows on, bytes of logits a chunk. With fewer rows the gradient of the weight, which
    /// each chunk reads and writes, costs more; with more the logits take more memory.
    private static let chunkRows = 512, chunkBytes = 48 << 20

    init(
        x: Tensor, weight: Tensor, bias: Tensor?, targets: Tensor, classWeights: Tensor?, ignoreIndex: Int,
        labelSmoothing: Double
    ) throws {
        (self.weight, self.bias, self.targets) = (weight, bias, targets)
        (self.classWeights, self.ignoreIndex, self.labelSmoothing) = (classWeights, ignoreIndex, labelSmoothing)
        let classCount = weight.shape[0], rows = x.shape[0]
        let weights: [Double]? = classWeights?.scalars()
        var sum = 0.0
        var counts = [Bool](repeating: false, count: rows)
        for (row, target) in targets.scalars(as: Int64.self).enumerated() where target != Int64(ignoreIndex) {
            guard target >= 0 && target < Int64(classCount) else {
                throw TargetError(row: row, value: Int(target), classCount: classCount)
            }
            let weight = weights?[Int(target)] ?? 1
            sum += weight
            counts[row] = weight != 0 || labelSmoothing > 0
        }
        weightSum = sum
        self.x = Self.hiding(counts, in: x)
        let fitting = Self.chunkBytes / max(1, classCount * weight.dtype.byteCount)
        let most = min(Self.chunkRows, max(16, fitting))
        let count = (rows + most - 1) / most
        chunks = (0..<count).map { rows * $0 / count..<rows * ($0 + 1) / count }
    }

    /// x, with zeros in the rows that do not count where any element is infinite or NaN: their gradients are 0, but 0 times such
    /// an element would be NaN in the weight's.
    private static func hiding(_ counts: [Bool], in x: Tensor) -> Tensor {
        if counts.allSatisfy({ $0 }) || finiteCheck(x).firstNonFinite == nil { return x }
        return withoutObserver {
            Tensor.where(Tensor(counts).reshape([counts.count, 1]), x, Tensor(0, dtype: x.dtype))
        }
    }

    /// Sums over the rows, as far as they are wanted, in the accumulation type.
    struct Gradients {
        var x: Tensor?
        var weight: Tensor?
        var bias: Tensor?
    }

    /// 2ᵉ such that the logits' gradients, times it, are below 2¹³ and the largest of them as a rule above 2¹¹.
    /// `magnitude`: what a row's gradient is multiplied by, class weights aside.
    func gradientPower(_ magnitude: Double) -> Double {
        let largest = magnitude * (classWeights?.abs().max().item() ?? 1)
        guard largest.isFinite && largest > 0 else { return 1 }
        return Double(sign: .plus, exponent: max(-100, min(100, 12 - Int(largest.exponent))), significand: 1)
    }

    /// Loss and log-sum-exps of all rows; with `gradients`, the sums of `scale` times the rows' gradients into them.
    func forward(keepRowLosses: Bool, scale: Double, gradients: Gradients?) -> (
        loss: Double, rowLosses: Tensor?, logSumExp: [Tensor]
    ) {
        var loss = 0.0
        var losses: [Tensor] = [], logSumExp: [Tensor] = []
        for (index, rows) in chunks.enumerated() {
            let arguments = logits(of: rows)
            guard let sums = try? Kernels.nllForward(arguments, keepRowLosses: keepRowLosses) else {
                fatalError("linearCrossEntropy: a target that was a class is none any more")
            }
            loss += sums.lossSum
            if let rowLosses = sums.rowLosses { losses.append(rowLosses) }
            logSumExp.append(sums.logSumExp)
            guard let gradients else { continue }
            let dz = Kernels.nllBackward(
                arguments, logSumExp: sums.logSumExp, rowScale: nil, scale: scale, into: arguments.logits)
            add(dz, of: rows, factor: 1, isFirst: index == 0, to: gradients)
        }
        let empty = Tensor.zeros([0], dtype: weight.dtype.accumulationType)
        return (loss, keepRowLosses ? Tensor.concatenate([empty] + losses, axis: 0) : nil, logSumExp)
    }

    /// The sums of `scale` (times a row's own) times the rows' gradients, from logits computed again.
    func accumulate(
        _ logSumExp: [Tensor], rowScale: Tensor? = nil, scale: Double, factor: Double = 1, into gradients: Gradients,
        addsToWeight: Bool = false, addsToBias: Bool = false
    ) {
        for (index, rows) in chunks.enumerated() {
            let arguments = logits(of: rows)
            let dz = Kernels.nllBackward(
                arguments, logSumExp: logSumExp[index], rowScale: rowScale?.slice(axis: 0, rows), scale: scale,
                into: arguments.logits)
            add(
                dz, of: rows, factor: factor, isFirst: index == 0, to: gradients, addsToWeight: addsToWeight,
                addsToBias: addsToBias)
        }
    }

    /// x Wᵀ + b of some rows with their targets.
    private func logits(of rows: Range<Int>) -> NLLArguments {
        let logits = Tensor(uninitialized: [rows.count, weight.shape[0]], weight.dtype)
        Kernels.gemm(x.slice(axis: 0, rows), weight.transposed(), bias: bias, into: logits)
        return NLLArguments(
            logits: logits, targets: targets.slice(axis: 0, rows), classWeights: classWeights, ignoreIndex: ignoreIndex,
            labelSmoothing: labelSmoothing)
    }

    /// dX = factor dZ W for these rows; dW += factor dZᵀ X and db += factor Σ dZ, the first chunk's without reading where
    /// nothing is to be added to.
    private func add(
        _ dz: Tensor, of rows: Range<Int>, factor: Double, isFirst: Bool, to gradients: Gradients,
        addsToWeight: Bool = false, addsToBias: Bool = false
    ) {
        if let dx = gradients.x { Kernels.gemm(dz, weight, alpha: factor, into: dx.slice(axis: 0, rows)) }
        if let dw = gradients.weight {
            let beta: Float = isFirst && !addsToWeight ? 0 : 1
            Kernels.gemm(dz.transposed(), x.slice(axis: 0, rows), alpha: factor, beta: beta, into: dw)
        }
        if let db = gradients.bias {
            Kernels.reduce(
                dz, outer: 1, count: rows.count, inner: db.count, scale: factor, accumulate: !isFirst || addsToBias,
                to: db)
        }
    }
}

// Where gradients are written and how they are passed on. Nodes: those of input, weight and bias.
extension LinearCrossEntropy {
    /// Memory for the gradients that are wanted; the weight's is its parameter's, where that has no gradient at this time.
    func room(for nodes: [GradientNode?]) -> Gradients {
        let type = weight.dtype.accumulationType
        return Gradients(
            x: nodes[0].map { _ in Tensor(uninitialized: x.shape, type) },
            weight: nodes[1].map { ownLeaf($0)?.lend() ?? Tensor(uninitialized: weight.shape, type) },
            bias: nodes[2].map { _ in Tensor(uninitialized: [weight.shape[0]], type) })
    }

    func zeros(for nodes: [GradientNode?]) -> Gradients {
        Gradients(
            x: nodes[0].map { _ in Tensor.zeros(x.shape, dtype: weight.dtype) },
            weight: nodes[1].map { _ in Tensor.zeros(weight.shape, dtype: weight.dtype) },
            bias: nodes[2].map { _ in Tensor.zeros([weight.shape[0]], dtype: bias?.dtype ?? weight.dtype) })
    }

    /// `factor` times the sums: parameters keep them, what is left is to be passed on, in the weight's type.
    func deliver(_ gradients: Gradients, factor: Double, to nodes: [GradientNode?]) -> Gradients {
        for sum in [gradients.x, gradients.weight, gradients.bias] {
            if let sum, factor != 1 { Kernels.scale(sum, by: factor) }
        }
        func left(_ sum: Tensor?, _ node: GradientNode?, _ type: DType) -> Tensor? {
            guard let sum else { return nil }
            guard let leaf = ownLeaf(node) else { return sum.cast(to: type) }
            leaf.take(sum)
            return nil
        }
        return Gradients(
            x: gradients.x?.cast(to: weight.dtype), weight: left(gradients.weight, nodes[1], weight.dtype),
            bias: left(gradients.bias, nodes[2], bias?.dtype ?? weight.dtype))
    }

    /// The gradients from logits computed again, `factor` in the products: added to what parameters have.
    func backward(
        _ logSumExp: [Tensor], rowScale: Tensor?, scale: Double, factor: Double, to nodes: [GradientNode?]
    ) -> Gradients {
        let type = weight.dtype.accumulationType
        var room = Gradients(x: nodes[0].map { _ in Tensor(uninitialized: x.shape, weight.dtype) })
        func target(_ node: GradientNode?, _ shape: [Int]) -> (Tensor?, Bool) {
            guard let node else { return (nil, false) }
            guard let leaf = ownLeaf(node) else { return (Tensor(uninitialized: shape, type), false) }
            let target = leaf.target()
            return (target.buffer, target.accumulate)
        }
        let (dw, addsToWeight) = target(nodes[1], weight.shape)
        let (db, addsToBias) = target(nodes[2], [weight.shape[0]])
        (room.weight, room.bias) = (dw, db)
        accumulate(
            logSumExp, rowScale: rowScale, scale: scale, factor: factor, into: room, addsToWeight: addsToWeight,
            addsToBias: addsToBias)
        return Gradients(
            x: room.x, weight: ownLeaf(nodes[1]) == nil ? dw?.cast(to: weight.dtype) : nil,
            bias: ownLeaf(nodes[2]) == nil ? db?.cast(to: bias?.dtype ?? weight.dtype) : nil)
    }

    /// The node as a leaf that accumulates in the type of the sums.
    private func ownLeaf(_ node: GradientNode?) -> LeafNode? {
        guard let leaf = node as? LeafNode, leaf.dtype == weight.dtype.accumulationType else { return nil }
        return leaf
    }
}
