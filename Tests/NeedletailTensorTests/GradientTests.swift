import NeedletailTensor
import Testing

/// Every operation with a gradient: a new operation adds its line here.
private let targets = Tensor([2, 0, 3] as [Int64])
private let cases: [GradientCase] = [
    GradientCase("add, broadcast", [[2, 3], [3]]) { $0[0] + $0[1] },
    GradientCase("subtract, broadcast", [[2, 1, 3], [4, 1]]) { $0[0] - $0[1] },
    GradientCase("multiply, broadcast", [[2, 3], [2, 1]]) { $0[0] * $0[1] },
    GradientCase("multiply by itself", [[3]]) { $0[0] * $0[0] },
    GradientCase("divide, broadcast", [[2, 3], [3]], 0.5..<2) { $0[0] / $0[1] },
    GradientCase("maximum", [[3, 4], [4]]) { Tensor.maximum($0[0], $0[1]) },
    GradientCase("minimum", [[3, 4], [3, 1]]) { Tensor.minimum($0[0], $0[1]) },
    GradientCase("negate", [[3]]) { -$0[0] },
    GradientCase("scalars", [[3]], 0.5..<2) { 2 - (3 * $0[0] + 1) / 4 + 1 / $0[0] },
    GradientCase("where", [[3, 2], [2]]) { Tensor.where(Tensor([true, false]), $0[0], $0[1]) },
    GradientCase("exp", [[5]]) { $0[0].exp() },
    GradientCase("log", [[5]], 0.5..<3) { $0[0].log() },
    GradientCase("sqrt", [[5]], 0.5..<3) { $0[0].sqrt() },
    GradientCase("tanh", [[5]]) { $0[0].tanh() },
    GradientCase("sigmoid", [[5]]) { $0[0].sigmoid() },
    GradientCase("relu", [[7]]) { $0[0].relu() },
    GradientCase("gelu", [[7]]) { $0[0].gelu() },
    GradientCase("silu", [[7]]) { $0[0].silu() },
    GradientCase("abs", [[7]]) { $0[0].abs() },
    GradientCase("pow 3", [[5]]) { $0[0].pow(3) },
    GradientCase("pow 0.5", [[5]], 0.5..<3) { $0[0].pow(0.5) },
    GradientCase("pow 0", [[5]]) { $0[0].pow(0) },
    GradientCase("clamp", [[9]]) { $0[0].clamp(min: -1, max: 0.5) },
    GradientCase("sum", [[2, 3, 4]]) { $0[0].sum() },
    GradientCase("sum, inner axis", [[2, 3, 4]]) { $0[0].sum(axes: [2]) },
    GradientCase("sum, outer axes kept", [[2, 3, 4]]) { $0[0].sum(axes: [0, 2], keepDimensions: true) },
    GradientCase("mean", [[2, 3, 4]]) { $0[0].mean(axes: [1]) },
    GradientCase("max, all", [[2, 3]]) { $0[0].max() },
    GradientCase("max, axes", [[2, 3, 4]]) { $0[0].max(axes: [0, 1]) },
    GradientCase("variance", [[3, 5]]) { $0[0].variance(axes: [1]) },
    GradientCase("variance, all", [[3, 5]]) { $0[0].variance(correction: 0) },
    GradientCase("matmul", [[3, 4], [4, 2]]) { $0[0].matmul($0[1]) },
    GradientCase("matmul, transposed views", [[4, 3], [2, 4]]) { $0[0].transposed().matmul($0[1].transposed()) },
    GradientCase("matmul, batched", [[2, 3, 4], [2, 4, 2]]) { $0[0].matmul($0[1]) },
    GradientCase("matmul, broadcast batch", [[2, 1, 3, 4], [3, 4, 2]]) { $0[0].matmul($0[1]) },
    GradientCase("matmul, shared right", [[2, 3, 4], [4, 2]]) { $0[0].matmul($0[1]) },
    GradientCase("matmul, vectors", [[4], [4]]) { $0[0].matmul($0[1]) },
    GradientCase("matmul, vector left", [[4], [4, 3]]) { $0[0].matmul($0[1]) },
    GradientCase("matmul, vector right", [[3, 4], [4]]) { $0[0].matmul($0[1]) },
    GradientCase("linear", [[3, 4], [2, 4], [2]]) { linear($0[0], weight: $0[1], bias: $0[2]) },
    GradientCase("linear, three axes", [[2, 3, 4], [2, 4]]) { linear($0[0], weight: $0[1]) },
    GradientCase("linear, relu", [[3, 4], [5, 4], [5]]) {
        linear($0[0], weight: $0[1], bias: $0[2], activation: .relu)
    },
    GradientCase("linear, gelu", [[3, 4], [5, 4], [5]]) {
        linear($0[0], weight: $0[1], bias: $0[2], activation: .gelu)
    },
    GradientCase("two layers, relu taken over", [[3, 4], [5, 4], [2, 5]]) {
        linear(linear($0[0], weight: $0[1], activation: .relu), weight: $0[2])
    },
    GradientCase("two layers, gelu taken over", [[3, 4], [5, 4], [2, 5]]) {
        linear(linear($0[0], weight: $0[1]).gelu(), weight: $0[2])
    },
    GradientCase("activation with two consumers", [[3, 4], [5, 4], [2, 5]]) {
        let hidden = linear($0[0], weight: $0[1], activation: .gelu)
        return linear(hidden, weight: $0[2]).sum(axes: [1]) + hidden.sum(axes: [1])
    },
    GradientCase("reshape", [[2, 6]]) { $0[0].reshape([3, -1]) },
    GradientCase("reshape of a view", [[2, 6]]) { $0[0].transposed().reshape([4, 3]) },
    GradientCase("permuted", [[2, 3, 4]]) { $0[0].permuted([2, 0, 1]) },
    GradientCase("slice", [[4, 3]]) { $0[0].slice(axis: 0, 1..<3) * $0[0].slice(axis: 0, 2..<4) },
    GradientCase("subscripts", [[4, 3]]) { $0[0][-1] * $0[0][0..<2] },
    GradientCase("broadcast", [[3, 1]]) { $0[0].broadcast(to: [2, 3, 4]) },
    GradientCase("expanded and squeezed", [[3, 1]]) { $0[0].squeezed(at: 1).expandedDimension(at: 0) },
    GradientCase("concatenate", [[2, 3], [2, 1]]) { Tensor.concatenate($0, axis: 1) },
    GradientCase("stack", [[2, 3], [2, 3]]) { Tensor.stack($0, axis: 1) },
    GradientCase("gather", [[3, 4]]) {
        $0[0].gather(axis: 1, indices: Tensor([0, 0, 3, 1, 2, 1] as [Int32], shape: [3, 2]))
    },
    GradientCase("softmax", [[3, 4]]) { $0[0].softmax() },
    GradientCase("softmax, axis 0", [[3, 4]]) { $0[0].softmax(axis: 0) },
    GradientCase("log-softmax", [[3, 4]]) { $0[0].logSoftmax() },
    GradientCase("log-softmax, axis 0", [[3, 4]]) { $0[0].logSoftmax(axis: 0) },
    GradientCase("NLL", [[3, 4]]) { try nllLoss($0[0], targets) },
    GradientCase("NLL, weights and ignored row", [[3, 4]]) {
        try nllLoss($0[0], targets, classWeights: Tensor([1, 2, 3, 4] as [Float]), ignoreIndex: 0)
    },
    GradientCase("cross-entropy", [[3, 4]]) { try crossEntropy($0[0], targets) },
    GradientCase("cross-entropy, sum", [[3, 4]]) { try crossEntropy($0[0], targets, reduction: .sum) },
    GradientCase("cross-entropy, rows", [[3, 4]]) { try crossEntropy($0[0], targets, reduction: .none) },
    GradientCase("cross-entropy, options", [[3, 4]]) {
        try crossEntropy(
            $0[0], targets, classWeights: Tensor([0.5, 2, 1, 3] as [Float]), ignoreIndex: 0, labelSmoothing: 0.2)
    },
    GradientCase("cross-entropy, pixels", [[2, 3, 2]]) {
        try crossEntropy($0[0], Tensor([0, 1, 2, 2] as [UInt8], shape: [2, 2]))
    },
    GradientCase("cross-entropy, probabilities", [[2, 3]]) {
        let q = Tensor([0.5, 0.5, 0, 0.1, 0.2, 0.7] as [Double], shape: [2, 3])
        return try crossEntropy($0[0], q, classWeights: Tensor([1, 2, 3] as [Float]), labelSmoothing: 0.1)
    },
    GradientCase("linear and cross-entropy", [[3, 2], [4, 2], [4]]) {
        try linearCrossEntropy($0[0], weight: $0[1], bias: $0[2], targets)
    },
    GradientCase("linear and cross-entropy, sum in backward", [[3, 2], [4, 2]]) {
        try linearCrossEntropy($0[0], weight: $0[1], targets, reduction: .sum, gradients: .inBackward)
    },
    GradientCase("linear and cross-entropy, rows", [[3, 2], [4, 2], [4]]) {
        try linearCrossEntropy($0[0], weight: $0[1], bias: $0[2], targets, reduction: .none)
    },
    GradientCase("linear and cross-entropy, options", [[1, 3, 2], [4, 2], [4]]) {
        try linearCrossEntropy(
            $0[0], weight: $0[1], bias: $0[2], targets.reshape([1, 3]),
            classWeights: Tensor([0.5, 2, 1, 3] as [Float]), ignoreIndex: 0, labelSmoothing: 0.2)
    },
    GradientCase("layer norm", [[2, 3, 5], [5], [5]]) { layerNorm($0[0], weight: $0[1], bias: $0[2]) },
    GradientCase("layer norm without parameters", [[3, 5]]) { layerNorm($0[0]) },
    GradientCase("RMS norm", [[3, 5], [5]]) { rmsNorm($0[0], weight: $0[1]) },
    GradientCase("embedding", [[4, 3]]) { embedding($0[0], Tensor([2, 0, 2, 3, 2, 1] as [Int64], shape: [2, 3])) },
    GradientCase("embedding that is also the head", [[4, 3]]) {
        linear(embedding($0[0], Tensor([2, 0, 2] as [Int64])), weight: $0[0])
    },
    GradientCase("SwiGLU", [[3, 4], [3, 4]]) { swiGLU(gate: $0[0], $0[1]) },
    GradientCase("SwiGLU of one tensor", [[6]]) { swiGLU(gate: $0[0], $0[0]) },
    GradientCase("feed-forward with GELU", [[2, 3, 4], [5, 4], [5], [3, 5], [3]]) {
        geluFeedForward($0[0], innerWeight: $0[1], innerBias: $0[2], outputWeight: $0[3], outputBias: $0[4])
    },
    GradientCase("feed-forward without biases", [[3, 4], [5, 4], [3, 5]]) {
        geluFeedForward($0[0], innerWeight: $0[1], innerBias: nil, outputWeight: $0[2], outputBias: nil)
    },
    GradientCase("GELU by tanh", [[7]]) { $0[0].geluTanh() },
    GradientCase("rotary positions", [[2, 3, 8]]) {
        rotaryPositions($0[0], RotaryAngles(headSize: 4, positions: 5), first: 2)
    },
    GradientCase("rotary positions of a slice", [[2, 3, 6]]) {
        rotaryPositions($0[0].slice(axis: 2, 1..<5), RotaryAngles(headSize: 2, positions: 3))
    },
    GradientCase("attention", [[2, 2, 3, 4], [2, 2, 5, 4], [2, 2, 5, 4]]) {
        scaledDotProductAttention($0[0], $0[1], $0[2])
    },
    GradientCase("attention, causal, shared heads", [[1, 4, 3, 2], [1, 2, 5, 2], [1, 2, 5, 2]]) {
        scaledDotProductAttention($0[0], $0[1], $0[2], isCausal: true, scale: 0.7)
    },
    GradientCase("attention, mask", [[2, 1, 3, 2], [2, 1, 3, 2], [2, 1, 3, 2]]) {
        let mask = Tensor([true, false, true, false, true, true], shape: [2, 3])
        return scaledDotProductAttention($0[0], $0[1], $0[2], mask: mask, isCausal: true)
    },
    GradientCase("self-attention", [[2, 4, 12]]) { selfAttention(qkv: $0[0], heads: 2, isCausal: true) },
    GradientCase("self-attention, shared heads", [[1, 3, 8]]) { selfAttention(qkv: $0[0], heads: 2, keyHeads: 1) },
    GradientCase("dropout", [[20]]) {
        var generator = SeededGenerator(seed: 3)
        return dropout($0[0], probability: 0.4, using: &generator)
    },
]

@Suite struct GradientTests {
    @Test(arguments: cases) func centralDifferences(_ testCase: GradientCase) throws { try checkGradients(testCase) }

    /// Sums over a whole tensor and back through a cast: float32 holds these integers exactly, so equality is exact.
    @Test(arguments: [DType.float32, .float16, .bfloat16]) func castPassesTheGradientBack(_ dtype: DType) {
        let x = Tensor([1, 2, 3] as [Double]).trackingGradient()
        let gradient = gradients(of: (x.cast(to: dtype) * 2).sum(), withRespectTo: [x])[0]
        #expect(gradient.dtype == .float64)
        #expect(gradient.scalars(as: Double.self) == [2, 2, 2])
    }

    /// A two-layer network on small integers: every product and sum is exact in float32 and in the 16-bit types, so the
    /// gradients must equal those in float64 exactly, whichever kernels ran.
    @Test(arguments: [DType.float32, .float16, .bfloat16]) func networkOnIntegersIsExact(_ dtype: DType) {
        func run(_ dtype: DType) -> [[Double]] {
            var generator = SeededGenerator(seed: 5)
            func integers(_ shape: [Int]) -> Tensor {
                Tensor(
                    (0..<shape.reduce(1, *)).map { _ in Double(Int.random(in: -1...1, using: &generator)) },
                    shape: shape
                ).cast(to: dtype).trackingGradient()
            }
            let inputs = [integers([9, 17]), integers([12, 17]), integers([12]), integers([5, 12]), integers([5])]
            let hidden = linear(inputs[0], weight: inputs[1], bias: inputs[2], activation: .relu)
            let y = linear(hidden, weight: inputs[3], bias: inputs[4])
            return gradients(of: y.sum(), withRespectTo: inputs).map { $0.scalars() }
        }
        #expect(run(dtype) == run(.float64))
    }
}
