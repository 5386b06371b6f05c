// Matrix products, plain and as a linear layer with bias and activation in the product's last pass.

extension Tensor {
    /// Matrix product of the last two axes; the axes before them broadcast. A vector counts as a row on the left and as a
    /// column on the right, and that axis disappears.
    ///
    /// Shapes: [… , m, k] · [… , k, n] → [… , m, n].
    /// Precision: float32 accumulation for float32, float16 and bfloat16 in any mix; one rounding to the wider type.
    /// Gradients: dA = dY Bᵀ, dB = Aᵀ dY, summed over broadcast axes.
    public func matmul(_ other: Tensor) -> Tensor {
        require(
            dtype.isFloatingPoint && other.dtype.isFloatingPoint,
            "matmul: found \(dtype) and \(other.dtype), expected floating-point types")
        if rank == 1 { return expandedDimension(at: 0).matmul(other).squeezed(at: other.rank == 1 ? 0 : -2) }
        if other.rank == 1 { return matmul(other.expandedDimension(at: 1)).squeezed(at: -1) }
        require(
            rank >= 2 && other.rank >= 2 && shape[rank - 1] == other.shape[other.rank - 2],
            "matmul: shapes \(shape) and \(other.shape) do not match: the last axis of the first and the last but one "
                + "of the second must be equal")
        let double = dtype == .float64 || other.dtype == .float64
        let a = double ? cast(to: .float64) : self
        let b = double ? other.cast(to: .float64) : other
        let y = Tensor.product(a.detached(), b.detached(), dtype: DType.promoted(a.dtype, b.dtype))
        let (plainA, plainB) = (a.detached(), b.detached())
        let needed = (a.node != nil, b.node != nil)
        return y.recorded("matmul", a, b, using: (needed.0 ? [b] : []) + (needed.1 ? [a] : [])) { dy in
            [
                needed.0
                    ? Tensor.product(dy, plainB.transposed(), dtype: plainA.dtype).summed(to: plainA.shape) : nil,
                needed.1
                    ? Tensor.product(plainA.transposed(), dy, dtype: plainB.dtype).summed(to: plainB.shape) : nil,
            ]
        }
    }

    /// The product without recording.
    private static func product(_ a: Tensor, _ b: Tensor, dtype: DType) -> Tensor {
        let m = a.shape[a.rank - 2], k = a.shape[a.rank - 1], n = b.shape[b.rank - 1]
        let batchA = Array(a.shape.dropLast(2)), batchB = Array(b.shape.dropLast(2))
        guard let batch = Shapes.broadcast(batchA, batchB) else {
            stop("matmul: shapes \(a.shape) and \(b.shape): the axes before the last two do not broadcast")
        }
        let y = Tensor(uninitialized: batch + [m, n], dtype)
        if y.count == 0 { return y }
        let count = Shapes.count(batch)
        if b.rank == 2 && count > 1 && a.isContiguous {  // one product with all rows
            Kernels.gemm(a.reshape([count * m, k]), b, into: y.reshape([count * m, n]))
            return y
        }
        func stacked(_ x: Tensor, _ own: [Int]) -> (Tensor, Int) {
            let matrix = Array(x.shape.suffix(2))
            if Shapes.count(own) == 1 { return (x.reshape(matrix), 0) }
            if own == batch, let stride = x.strideOfMatrices { return (x, stride) }
            let full = x.broadcast(to: batch + matrix).contiguous()
            return (full.reshape([count] + matrix), matrix[0] * matrix[1])
        }
        let (left, leftStride) = batchA.isEmpty ? (a, 0) : stacked(a, batchA)
        let (right, rightStride) = batchB.isEmpty ? (b, 0) : stacked(b, batchB)
        Kernels.batchedGemm(
            left, right, batch: count, aStride: leftStride, bStride: rightStride, into: y.reshape([count, m, n]))
        return y
    }

    /// The distance from each matrix of the last two axes to the next, where kernels can take them as they lie: transposed or
    /// not, the axes before them one after the other in memory. nil where they must be copied first.
    private var strideOfMatrices: Int? {
        let (rows, columns) = (shape[rank - 2], shape[rank - 1])
        let (rowStride, columnStride) = (strides[rank - 2], strides[rank - 1])
        guard (columnStride == 1 && rowStride >= columns) || (rowStride == 1 && columnStride >= rows) else {
            return nil
        }
        for axis in 0..<rank - 3 where strides[axis] != strides[axis + 1] * shape[axis + 1] { return nil }
        return strides[rank - 3]
    }
}

/// activation(x Wᵀ + b), in one pass over the result.
///
/// Shapes: x […, in], weight [out, in], bias [out], result […, out].
/// Precision: x is cast to the weight's type, accumulation is float32, the result has the weight's type.
/// Gradients: with dZ = dY · activation′: dX = dZ W in the type of x; dW = dZᵀ X and db = Σ dZ are accumulated straight into
/// float32 where weight and bias are parameters. Where x itself comes from an activation, dX is multiplied by that
/// activation's derivative before it is rounded.
public func linear(_ x: Tensor, weight: Tensor, bias: Tensor? = nil, activation: Activation = .identity) -> Tensor {
    require(
        weight.rank == 2 && x.rank >= 1 && x.shape[x.rank - 1] == weight.shape[1],
        "linear: input shape \(x.shape) and weight shape \(weight.shape): the last axis of the input must be the weight's last, "
            + "\(weight.shape.last ?? 0)")
    require(
        bias == nil || bias?.shape == [weight.shape[0]],
        "linear: bias shape \(bias?.shape ?? []) and weight shape \(weight.shape): the bias must be [\(weight.shape[0])]"
    )
    let x = x.cast(to: weight.dtype)
    // The kernels add a bias of any type but across float64's border.
    let bias = bias.map { ($0.dtype == .float64) == (weight.dtype == .float64) ? $0 : $0.cast(to: weight.dtype) }
    let plainWeight = weight.detached()
    let outputs = weight.shape[0], inputs = weight.shape[1]
    let plainInput = x.detached().reshape([x.shape.dropLast().reduce(1, *), inputs])
    let rows = plainInput.shape[0]
    let recording = GradientMode.isRecording && (x.node != nil || weight.node != nil || bias?.node != nil)

    let y = Tensor(uninitialized: [rows, outputs], weight.dtype)
    var saved = y
    var epilogue = Epilogue.none
    switch activation {
    case .identity: break
    case .relu: epilogue = .relu
    case .gelu:
        if recording { saved = Tensor(uninitialized: y.shape, y.dtype) }
        epilogue = .gelu(recording ? saved : nil)
    }
    Kernels.gemm(plainInput, plainWeight.transposed(), bias: bias?.detached().contiguous(), epilogue: epilogue, into: y)
    var result = y.reshape(Array(x.shape.dropLast()) + [outputs])
    guard recording else {
        return result.observed("linear", x, weight, bias ?? weight).activated(activation, of: result, saved: saved)
    }

    let inputOperation = x.node as? OperationNode
    let inputDerivative = inputOperation?.activationGradient
    let inputShape = x.shape
    let (inputNode, weightNode, biasNode) = (
        inputDerivative == nil ? x.node : inputOperation?.inputs[0], weight.node, bias?.node
    )
    let biasType = bias?.dtype ?? weight.dtype
    let used = UsedParameters(
        of: (inputNode == nil ? [] : [weight]) + (weightNode == nil ? [] : [x]))
    let node = OperationNode("linear", inputs: [inputNode, weightNode, biasNode], using: used) { dz in
        let dz = dz.reshape([rows, outputs])
        var dx: Tensor?
        if inputNode != nil {
            let target = Tensor(uninitialized: [rows, inputs], plainInput.dtype)
            Kernels.gemm(dz, plainWeight, epilogue: inputDerivative ?? .none, into: target)
            dx = target.reshape(inputShape)
        }
        let dw = weightNode?.deliver(plainWeight.shape, plainWeight.dtype) { buffer, accumulate in
            Kernels.gemm(dz.transposed(), plainInput, beta: accumulate ? 1 : 0, into: buffer)
        }
        let db = biasNode?.deliver([outputs], biasType) { buffer, accumulate in
            Kernels.reduce(dz, outer: 1, count: rows, inner: outputs, accumulate: accumulate, to: buffer)
        }
        return [dx, dw ?? nil, db ?? nil]
    }
    result.node = node
    return result.observed("linear", x, weight, bias ?? weight).activated(
        activation, of: result, saved: saved.reshape(result.shape))
}

extension GradientNode {
    /// Lets `body` write a gradient: into a leaf's own buffer (nothing is returned then), else into a new tensor.
    func deliver(_ shape: [Int], _ dtype: DType, _ body: (Tensor, Bool) -> Void) -> Tensor? {
        if let leaf = self as? LeafNode {
            leaf.accumulate(body)
            return nil
        }
        let target = Tensor(uninitialized: shape, dtype)
        body(target, false)
        return target
    }
}
