// The same bits for any number of threads.
import NeedletailTensor

struct ThreadChecks {
    let ledger: VerificationLedger
    let kernels: [ProductKernel]

    private struct Work {
        let name: String
        let run: () -> [Tensor]
        var isNative = false
    }

    /// Work of every family, large enough to be shared among threads, on 1, 2, 3, 5 and 8 of them.
    func everyFamily(_ generator: inout SeededGenerator) {
        let work = products(&generator) + rows(&generator) + arrays(&generator)
        let chosen = threadCount
        defer { setThreadCount(chosen) }
        // Emulated instructions would take minutes for work that is worth several threads.
        for kernel in kernels where kernel.way == .usual || kernel.way == .native {
            for work in work where kernel.way == .usual || work.isNative {
                setThreadCount(1)
                let alone = kernel.run { work.run() }.map(\.bytes)
                for threads in [2, 3, 5, 8] {
                    setThreadCount(threads)
                    let together = kernel.run { work.run() }.map(\.bytes)
                    let different = zip(alone, together).reduce(0) { $0 + zip($1.0, $1.1).filter { $0 != $1 }.count }
                    ledger.record(
                        kernel.label, "threads: \(work.name)", in: "different bytes",
                        Comparison(cases: alone.reduce(0) { $0 + $1.count }, error: Double(different), limit: 0)
                    ) { "\(threads) threads" }
                }
            }
        }
    }

    private func products(_ generator: inout SeededGenerator) -> [Work] {
        var products: [VerificationKernels.Product] = []
        for (m, n, k) in [(96, 130, 300), (2, 700, 900), (300, 40, 1500), (64, 256, 784)] {
            for type in [DType.float32, .float16, .bfloat16] {
                let transposed = (a: m == 300, b: m == 64)
                func draw(_ rows: Int, _ columns: Int) -> Tensor {
                    .uniform([rows, columns], in: -1..<1, dtype: type, using: &generator)
                }
                products.append(
                    .init(
                        m: m, n: n, k: k, a: transposed.a ? draw(k, m) : draw(m, k),
                        b: transposed.b ? draw(n, k) : draw(k, n), transposed: transposed))
            }
        }
        func work(_ name: String, isNative: Bool, _ products: [VerificationKernels.Product]) -> Work {
            Work(
                name: name,
                run: {
                    products.flatMap { product in
                        [DType.float32, product.a.dtype].map {
                            product(over: Tensor.zeros([product.m, product.n], dtype: $0))
                        }
                    }
                }, isNative: isNative)
        }
        let narrow = products.filter { $0.a.dtype == .bfloat16 }
        return [
            work("gemm", isNative: false, products.filter { $0.a.dtype != .bfloat16 }),
            work("gemm bfloat16", isNative: true, narrow),
        ]
    }

    private func rows(_ generator: inout SeededGenerator) -> [Work] {
        let logits = [DType.float32, .bfloat16].map {
            Tensor.normal([257, 300], deviation: 3, dtype: $0, using: &generator)
        }
        let targets = Tensor((0..<257).map { Int64($0 % 300) })
        return [
            Work(name: "softmax, log-softmax") {
                logits.flatMap { x in [true, false].map { VerificationKernels.softmax(x, log: $0) } }
            },
            Work(name: "nll and its gradient") {
                logits.flatMap { x in
                    let nll = VerificationKernels.nll(x, targets, scale: 1.0 / 257)
                    return [nll.rowLosses, nll.gradient, nll.gradientWithLoss]
                }
            },
            Work(name: "sums, norms") {
                logits.flatMap { x in
                    let norm = powerSum(of: x, order: .three)
                    return [x.sum(axes: [0]), x.sum(axes: [1]), x.sum(), x.max(axes: [1]), Tensor([norm.powerSum])]
                }
            },
        ]
    }

    private func arrays(_ generator: inout SeededGenerator) -> [Work] {
        let x = Tensor.normal([150_001], using: &generator)
        let start = Tensor.normal([150_001], using: &generator)
        return [
            Work(name: "convert, gelu, add") {
                let narrow = VerificationKernels.converted(x, to: .bfloat16)
                return [narrow, x.gelu(), x + start, narrow * narrow]
            },
            Work(name: "AdamW with a shadow") {
                let parameter = Parameter(start)
                parameter.setTypes(storage: .float32, compute: .bfloat16)
                (parameter.value.cast(to: .float32) * x).sum().backward()
                let states = (0..<2).map { _ in Tensor.full(start.shape, 0.5) }
                _ = adamUpdate(
                    parameter, firstMoment: states[0], secondMoment: states[1], maxSecondMoment: nil,
                    learningRate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, decoupled: true,
                    maximize: false, step: 3, pass: UpdatePass())
                return states + [parameter.master, parameter.value.detached()]
            },
        ]
    }
}
