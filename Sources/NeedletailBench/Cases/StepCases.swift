// A whole training step of a multilayer perceptron: forward, loss, backward, finite check, AdamW.
import NeedletailNN
import NeedletailOptim
import NeedletailTensor

/// One step with float32 masters, computing in each type; the loss is scaled by 1024 in float16.
///
/// Shape: batch, inputs, hidden widths, classes. Baseline: the same with bias, ReLU, log-softmax and loss as operations of
/// their own. Both make the same finite check and the same fused update.
func stepCases(_ shape: BenchmarkShape, _ types: [DType], _ data: inout RandomData) -> CaseGroup {
    let batch = shape.sizes[0], widths = Array(shape.sizes.dropFirst())
    let pairs = Array(zip(widths, widths.dropFirst()))
    let parameterCount = pairs.reduce(0) { $0 + ($1.0 + 1) * $1.1 }
    let targets = data.targets(batch, classes: widths[widths.count - 1])
    var group = CaseGroup(
        layout: widths.map(String.init).joined(separator: "-"), size: .step(rows: batch, count: parameterCount))
    let seed = UInt64.random(in: 0 ... .max)
    for type in types {
        let x = data.uniform([batch, widths[0]], type)
        func contestant(_ name: String, _ forward: @escaping ([Linear], Tensor) -> Tensor) -> Contestant {
            var generator = SeededGenerator(seed: seed)
            let layers = pairs.enumerated().map { index, pair in
                Linear(
                    pair.0, pair.1, activation: index == pairs.count - 1 ? .identity : .relu, using: &generator)
            }
            let parameters = layers.flatMap { $0.parameters() }
            for parameter in parameters { parameter.setTypes(storage: .float32, compute: type) }
            // So small a rate that thousands of steps on one batch leave the model where it is.
            let optimizer = AdamW(parameters, learningRate: 1e-9)
            let scale = type == .float16 ? 1024.0 : 1
            let result = Kept<Tensor>()
            return Contestant(
                name,
                run: {
                    optimizer.zeroGradients()
                    let loss = forward(layers, x)
                    loss.backward(seed: scale)
                    let check = optimizer.checkGradients(gradientScale: 1 / scale)
                    if check.isFinite { optimizer.step(check: check) }
                    result.value = loss.detached()
                }, sample: { result.value?.item() ?? 0 })
        }
        let products = pairs.map { Double($0.0) * Double($0.1) }
        // Forward, gradient by the weights, gradient by the input, which the first layer does not need.
        let operations = 2 * Double(batch) * (3 * products.reduce(0, +) - products[0])
        let activations = Double(batch * widths.reduce(0, +) * type.byteCount)
        // Weights: 16-bit copy read twice, gradient written and read twice, master and moments read and written.
        let weights = Double(parameterCount)
        group.add(
            type.rawValue,
            Work(
                operations: operations, bytes: 4 * activations + weights * Double(2 * type.byteCount + 4 * 9),
                workingSet: Int(2 * activations + weights * Double(16 + type.byteCount)), unit: .gigaflops),
            contestant("fused") { layers, x in
                meanLoss { try crossEntropy(layers.reduce(x) { $1($0) }, targets) }
            },
            baseline: contestant("separate operations") { layers, x in
                let logits = layers.reduce(x) { x, layer in
                    let product = x.matmul(layer.weight.value.transposed())
                    let sum = layer.bias.map { product + $0.value } ?? product
                    return layer.activation == .relu ? sum.relu() : sum
                }
                return meanLoss { try nllLoss(logits.logSoftmax(), targets) }
            })
    }
    return group
}
