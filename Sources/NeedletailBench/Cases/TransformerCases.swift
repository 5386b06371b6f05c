// What transformers spend their time on besides products: attention, and writing token by token.
import NeedletailNN
import NeedletailTensor

/// Causal attention of one row of tokens, forward and backward, beside products and a softmax with the scores in memory.
///
/// Shape: tokens, heads, size of a head. Half of the scores count: two products forward, five backward.
func attentionCases(_ shape: BenchmarkShape, _ types: [DType], _ data: inout RandomData) -> CaseGroup {
    let (tokens, heads, size) = (shape.sizes[0], shape.sizes[1], shape.sizes[2])
    var group = CaseGroup(layout: "forward+backward", size: .product(m: tokens, n: heads, k: size))
    let sees = Tensor.arange(tokens).reshape([tokens, 1]) .>= Tensor.arange(tokens).reshape([1, tokens])
    for type in types {
        let (q, k, v) = (
            data.uniform([1, heads, tokens, size], type), data.uniform([1, heads, tokens, size], type),
            data.uniform([1, heads, tokens, size], type)
        )
        let dy = data.uniform([1, heads, tokens, size], type)
        func contestant(_ name: String, _ attention: @escaping (Tensor, Tensor, Tensor) -> Tensor) -> Contestant {
            let result = Kept<[Tensor]>()
            return Contestant(
                name,
                run: {
                    let inputs = [q, k, v].map { $0.trackingGradient() }
                    let loss = (attention(inputs[0], inputs[1], inputs[2]) * dy).sum()
                    result.value = gradients(of: loss, withRespectTo: inputs)
                }, sample: { result.value?.reduce(0) { $0 + BenchmarkKernels.sample($1) } ?? 0 })
        }
        let elements = Double(q.count), pairs = Double(tokens) * Double(tokens) / 2 * Double(heads)
        group.add(
            type.rawValue,
            // Read: q, k, v forward and backward, result and its gradient. Written: the result and three gradients.
            Work(
                operations: 7 * 2 * pairs * Double(size), bytes: 12 * elements * Double(type.byteCount),
                workingSet: 8 * q.byteCount, unit: .gigaflops),
            contestant("fused") { scaledDotProductAttention($0, $1, $2, isCausal: true) },
            baseline: contestant("separate operations") { q, k, v in
                let scores = q.matmul(k.transposed()) * (1 / Double(size).squareRoot())
                return Tensor.where(sees, scores, Tensor(-1e4, dtype: type)).softmax().matmul(v)
            })
    }
    return group
}

/// Tokens that a GPT writes one by one, beside reading its weights as often.
///
/// Shape: layers, width, vocabulary, with heads of 64; 12x768x50257 is GPT-2's of 124 M parameters. All weights of the blocks and
/// of the head are read for each token: bytes count those.
func generationCases(_ shape: BenchmarkShape, _ types: [DType], _ data: inout RandomData) -> CaseGroup {
    let (layers, width, vocabulary) = (shape.sizes[0], shape.sizes[1], shape.sizes[2])
    let tokens = 4
    var configuration = GPTConfiguration(
        vocabulary: vocabulary, context: 64, layers: layers, heads: max(1, width / 64), width: width)
    configuration.dropout = 0
    var group = CaseGroup(layout: "\(tokens) tokens", size: .product(m: layers, n: width, k: vocabulary))
    for type in types {
        var generator = SeededGenerator(seed: UInt64.random(in: 0 ... .max))
        let model = GPT(configuration, using: &generator)
        for parameter in model.parameters() { parameter.setTypes(storage: type, compute: type) }
        let read = model.parameters().reduce(0) { $0 + $1.shape.reduce(1, *) } - configuration.context * width
        let weights = data.uniform([read], type)
        var options = SamplingOptions()
        options.temperature = 0
        let (written, isFinite) = (Kept<Int>(), Kept<Bool>())
        group.add(
            type.rawValue,
            Work(
                operations: 2 * Double(tokens * read), bytes: Double(tokens * read * type.byteCount),
                workingSet: read * type.byteCount, unit: .gigabytes),
            Contestant(
                "generate",
                run: {
                    var generator = SeededGenerator(seed: 0)
                    model.generate(after: [1], count: tokens, options: options, using: &generator) { token in
                        written.value = token
                        return true
                    }
                }, sample: { Double(1 + (written.value ?? 0)) }),
            baseline: Contestant(
                "reading the weights",
                run: { for _ in 0..<tokens { isFinite.value = weights.allFinite() } },
                sample: { isFinite.value == true ? 1 : 0 }))
    }
    return group
}
