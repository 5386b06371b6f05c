// Cross-entropy, alone and with the linear layer before it: fused, beside the operations one by one.
import NeedletailTensor

/// Holds what a call made, so that it can be sampled after it.
final class Kept<Value> {
    var value: Value?
}

/// Loss and its gradient by the logits. Bytes: the logits read forward and backward, the gradient written.
func nllCases(_ shape: BenchmarkShape, _ types: [DType], _ data: inout RandomData) -> CaseGroup {
    let (rows, classes) = (shape.sizes[0], shape.sizes[1])
    var group = CaseGroup(layout: "forward+backward", size: .matrix(rows: rows, columns: classes))
    let targets = data.targets(rows, classes: classes)
    for type in types {
        let logits = data.uniform([rows, classes], type)
        func contestant(_ name: String, _ nll: @escaping (Tensor, Tensor) -> (loss: Double, gradient: Tensor))
            -> Contestant
        {
            let result = Kept<(loss: Double, gradient: Tensor)>()
            return Contestant(
                name,
                run: {
                    result.value = nil  // its block is the next result's
                    result.value = nll(logits, targets)
                },
                sample: { result.value.map { $0.loss + BenchmarkKernels.sample($0.gradient) } ?? 0 })
        }
        let elements = Double(rows * classes)
        group.add(
            type.rawValue,
            // Forward: maximum, difference, exp, sum; backward: difference, exp, product, target.
            Work(
                operations: 8 * elements, bytes: 3 * elements * Double(type.byteCount) + 8 * Double(rows),
                workingSet: 2 * logits.byteCount, unit: .gigabytes),
            contestant("fused", BenchmarkKernels.nll), baseline: contestant("two passes", BenchmarkKernels.twoPassNLL))
    }
    return group
}

/// Logits = x Wᵀ, their cross-entropy, and the gradients by x and W.
///
/// Shapes: x [rows, inputs], W [classes, inputs] with a float32 master. Three products of rows · classes · inputs.
func linearNLLCases(_ shape: BenchmarkShape, _ types: [DType], _ data: inout RandomData) -> CaseGroup {
    let (rows, classes, inputs) = (shape.sizes[0], shape.sizes[1], shape.sizes[2])
    var group = CaseGroup(layout: "forward+backward", size: .product(m: rows, n: classes, k: inputs))
    let targets = data.targets(rows, classes: classes)
    for type in types {
        let x = data.uniform([rows, inputs], type)
        let values = data.uniform([classes, inputs])
        func contestant(_ name: String, _ loss: @escaping (Tensor, Tensor) -> Tensor) -> Contestant {
            let weight = Parameter(values)
            weight.setTypes(storage: .float32, compute: type)
            return Contestant(
                name,
                run: {
                    weight.zeroGradient()
                    loss(x.trackingGradient(), weight.value).backward()
                }, sample: { weight.gradient.map(BenchmarkKernels.sample) ?? 0 })
        }
        let outer = Double(rows * inputs + classes * inputs), logits = Double(rows * classes)
        group.add(
            type.rawValue,
            // Read: x and W, twice. Written: both gradients, that of W in float32.
            Work(
                operations: 6 * logits * Double(inputs),
                bytes: Double(type.byteCount) * (2 * outer + Double(rows * inputs)) + 4 * Double(classes * inputs),
                workingSet: Int(Double(type.byteCount) * (2 * outer + 2 * logits)), unit: .gigaflops),
            contestant("fused") { x, w in meanLoss { try linearCrossEntropy(x, weight: w, targets) } },
            baseline: contestant("separate operations") { x, w in
                meanLoss { try nllLoss(x.matmul(w.transposed()).logSoftmax(), targets) }
            })
    }
    return group
}

/// The loss of targets that are classes.
func meanLoss(_ body: () throws -> Tensor) -> Tensor {
    do { return try body() } catch { fatalError("benchmark: \(error)") }
}
