// The families of benchmarks: which shapes they take, and which they measure where none is given.
import NeedletailTensor

/// A family of kernels that is measured together.
package enum BenchmarkFamily: String, CaseIterable, Sendable {
    /// Matrix products, beside OpenBLAS's sgemm.
    case gemm
    /// Cross-entropy forward and backward, fused, beside two passes.
    case nll
    /// A linear layer with cross-entropy, forward and backward, fused, beside separate operations.
    case linearNLL = "linear-nll"
    /// Finite check, unscaling, clipping, update and 16-bit copy, beside passes of their own.
    case optimizer
    /// Conversions between types, beside a copy of as many bytes.
    case convert
    /// Elementwise arithmetic, beside the same through float32.
    case elementwise
    /// A whole training step of a multilayer perceptron, beside one of separate operations.
    case step
    /// Causal attention forward and backward, beside one that stores its scores.
    case attention
    /// A GPT that writes token by token, beside reading its weights.
    case generation

    /// What the sizes of a shape are, for help and errors.
    package var sizeNames: String {
        switch self {
        case .gemm: "MxNxK"
        case .nll: "ROWSxCLASSES"
        case .linearNLL: "ROWSxCLASSESxINPUTS"
        case .optimizer, .convert, .elementwise: "COUNT"
        case .step: "BATCHxWIDTHx…xCLASSES (four numbers at least)"
        case .attention: "TOKENSxHEADSxSIZE"
        case .generation: "LAYERSxWIDTHxVOCABULARY (a width of 64 times the heads)"
        }
    }

    /// Whether the family can measure `shape`.
    package func takes(_ shape: BenchmarkShape) -> Bool {
        switch self {
        case .gemm: shape.sizes.count == 3
        case .nll: shape.sizes.count == 2
        case .linearNLL: shape.sizes.count == 3 && shape.layout == nil
        case .optimizer, .convert, .elementwise: shape.sizes.count == 1
        case .step: shape.sizes.count >= 4
        case .attention: shape.sizes.count == 3 && shape.layout == nil && shape.sizes[2] <= 512
        case .generation: shape.sizes.count == 3 && shape.layout == nil && shape.sizes[1] % 64 == 0
        }
    }

    /// A few shapes whose working sets lie in the cores' caches, in the shared cache and in memory.
    package var defaultShapes: [BenchmarkShape] {
        switch self {
        case .gemm:
            [
                BenchmarkShape([64, 64, 64]), BenchmarkShape([256, 256, 256]), BenchmarkShape([1024, 1024, 1024]),
                BenchmarkShape([64, 128, 784], .nt, label: "MLP forward"),
                BenchmarkShape([64, 10, 256], .nt, label: "MLP last layer"),
                BenchmarkShape([128, 784, 64], .tn, label: "MLP weights"),
                BenchmarkShape([1024, 3072, 768], .nt, label: "GPT-2 MLP"),
                BenchmarkShape([1, 4096, 4096], .nt, label: "one row"),
            ]
        case .nll: [BenchmarkShape([64, 10]), BenchmarkShape([1024, 1000]), BenchmarkShape([256, 50257])]
        case .linearNLL: [BenchmarkShape([64, 10, 256]), BenchmarkShape([512, 4096, 512])]
        case .optimizer: [BenchmarkShape([32_768]), BenchmarkShape([136_074]), BenchmarkShape([8_388_608])]
        case .convert, .elementwise:
            [BenchmarkShape([65_536]), BenchmarkShape([1_048_576]), BenchmarkShape([16_777_216])]
        case .step: [BenchmarkShape([64, 784, 128, 256, 10]), BenchmarkShape([512, 784, 128, 256, 10])]
        case .attention: [BenchmarkShape([256, 6, 64]), BenchmarkShape([1024, 12, 64])]
        case .generation: [BenchmarkShape([6, 384, 256]), BenchmarkShape([12, 768, 50257], label: "GPT-2, 124 M")]
        }
    }

    /// The row of the dispatch table that the family's kernels for `types` come from on the calling thread; where a type has a
    /// choice of kernels of its own (a family "gemm bf16" in the table), that one.
    package func kernelRow(types: String) -> String {
        let name: String? =
            switch self {
            case .gemm: "gemm"
            case .nll: "softmax"
            case .optimizer: "optim"
            case .convert: "convert"
            case .elementwise: "elementwise"
            case .attention: "attention"
            case .linearNLL, .step, .generation: nil
            }
        let families = KernelInfo.families
        let own = types == DType.bfloat16.rawValue ? families.first { $0.name == "\(name ?? "") bf16" } : nil
        return own?.row ?? families.first { $0.name == name }?.row ?? KernelInfo.activeRow
    }

    /// The contests of one shape: what is interleaved stands in one group. Of several operations `only` one, if it is given.
    func groups(_ shape: BenchmarkShape, types: [DType], only: String? = nil, data: inout RandomData) -> [CaseGroup] {
        switch self {
        case .gemm: [gemmCases(shape, types, &data)]
        case .nll: [nllCases(shape, types, &data)]
        case .linearNLL: [linearNLLCases(shape, types, &data)]
        case .optimizer: optimizerCases(shape, types, only, &data)
        case .convert: convertCases(shape, types, &data)
        case .elementwise: elementwiseCases(shape, types, only, &data)
        case .step: [stepCases(shape, types, &data)]
        case .attention: [attentionCases(shape, types, &data)]
        case .generation: [generationCases(shape, types, &data)]
        }
    }
}

/// What is measured of one shape in one contest.
struct CaseGroup {
    var layout: String
    var size: BenchmarkSize
    var cases: [Case] = []
    var baselines: [Contestant] = []

    /// One line of the result: a contestant, and the baseline that it is compared with by its place.
    struct Case {
        let types: String
        let work: Work
        let contestant: Contestant
        let baseline: Int
    }

    init(layout: String, size: BenchmarkSize) {
        self.layout = layout
        self.size = size
    }

    /// Adds a case with a baseline of its own, or with the group's last one.
    mutating func add(_ types: String, _ work: Work, _ contestant: Contestant, baseline: Contestant? = nil) {
        if let baseline { baselines.append(baseline) }
        cases.append(Case(types: types, work: work, contestant: contestant, baseline: baselines.count - 1))
    }
}

/// The sizes of a case, under the names that they have in JSON.
package enum BenchmarkSize: Equatable, Sendable {
    case product(m: Int, n: Int, k: Int)
    case matrix(rows: Int, columns: Int)
    case vector(count: Int)
    /// A training step: the batch, and the model's parameters.
    case step(rows: Int, count: Int)
}
