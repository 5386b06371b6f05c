// Matrix products against float64: within the bound of their summation, bit-exact on integers, small in norm.
import NeedletailTensor

/// A way to multiply that this machine has.
struct ProductKernel {
    let row: String
    let way: VerificationKernels.ProductWay
    var label: String { way == .usual ? row : row + " " + way.rawValue }

    /// The type of both operands that go this way; nil for any.
    var type: DType? { [.native: .bfloat16, .amx: .bfloat16, .chunked: .float16][way] }

    func multiplies(_ a: DType, _ b: DType) -> Bool { type == nil || a == type && b == type }

    /// Whether the instruction takes what is below 2^-126 as zero.
    var flushes: Bool { way == .native || way == .amx }

    func run<R>(_ body: () -> R) -> R { VerificationKernels.onRow(row, way, body) }
}

/// Operands of one product and its result in float64.
struct ProductCase {
    var product: VerificationKernels.Product
    var c: Tensor
    /// alpha op(A) op(B) + beta C + bias, row-major [m, n], before the epilogue.
    var exact: [Double]
    /// The sum of the magnitudes of all terms of each element.
    var magnitudes: [Double]

    init(_ product: VerificationKernels.Product, over c: Tensor) {
        self.product = product
        self.c = c
        let (m, n, k) = (product.m, product.n, product.k)
        let a = Self.dense(product.a, k == 0 || m == 0 ? (0, 0) : (m, k), product.transposed.a)
        let b = Self.dense(product.b, k == 0 || n == 0 ? (0, 0) : (k, n), product.transposed.b)
        let old = Self.dense(c, (m, n), false)
        let bias = product.bias?.scalars(as: Double.self)
        let (alpha, beta) = (Double(product.alpha), Double(product.beta))
        exact = [Double](repeating: 0, count: m * n)
        magnitudes = exact
        // Products of float32 values are exact in float64, whose sums lose 2^-53 of what float32's may lose 2^-24 of.
        for i in 0..<m {
            var sums = [Double](repeating: 0, count: n), sizes = sums
            for p in 0..<k {
                let factor = a[i * k + p]
                for j in 0..<n {
                    let term = factor * b[p * n + j]
                    sums[j] += term
                    sizes[j] += abs(term)
                }
            }
            for j in 0..<n {
                let previous = beta == 0 ? 0 : beta * old[i * n + j], shift = bias?[j] ?? 0
                exact[i * n + j] = alpha * sums[j] + previous + shift
                magnitudes[i * n + j] = abs(alpha) * sizes[j] + abs(previous) + abs(shift)
            }
        }
    }

    /// The first rows and columns of stored elements, of their transpose where asked for.
    private static func dense(_ x: Tensor, _ size: (rows: Int, columns: Int), _ transposed: Bool) -> [Double] {
        let stored = x.scalars(as: Double.self), width = x.shape[1]
        return (0..<size.rows).flatMap { row in
            (0..<size.columns).map { stored[transposed ? $0 * width + row : row * width + $0] }
        }
    }

    var description: String {
        let form = (product.transposed.a ? "T" : "N") + (product.transposed.b ? "T" : "N")
        return "\(product.m)x\(product.n)x\(product.k) \(form) \(product.a.dtype) \(product.b.dtype) -> \(c.dtype)"
            + (product.alpha == 1 ? "" : " alpha \(product.alpha)") + (product.beta == 0 ? "" : " beta \(product.beta)")
            + (product.bias == nil ? "" : " bias") + (product.isRectified ? " relu" : "")
    }
}

struct ProductChecks {
    let ledger: VerificationLedger
    let kernels: [ProductKernel]

    private static let u = 0x1p-24
    private static let types: [DType] = [.float32, .float16, .bfloat16]

    /// Random products of random shapes; elements within the bound, and the padding of C untouched.
    ///
    /// One element is a sum of k products, in runs of at most b = 1,024 in one register (512 on avx2), the runs added up: at
    /// most b + k / b - 1 roundings, three more for alpha, beta and bias. With n of them, |c^ - c| <= gamma_n Σ |terms|,
    /// gamma_n = n u / (1 - n u). Results below float32's normal numbers lose at most 2^-149 a step; a native step takes
    /// anything below 2^-126 as zero. Chunks of 32 products in float16 err by 1 / 63 of their magnitudes and by 2^-25 a product,
    /// and k / 32 of them are added up (docs/numerics.md). A 16-bit result is the rounding of a value within the bound.
    func random(_ count: Int, _ generator: inout SeededGenerator) {
        for index in 0..<count {
            let type = Self.types[index % 3]
            let test = randomCase(index, type, &generator)
            let k = test.product.k
            let steps = Double(min(k, 1024) + (k + 1023) / 1024 + 3)
            let gamma = steps * Self.u / (1 - steps * Self.u)
            // Emulated instructions take a thousand times as long.
            let isSmall = test.product.m * test.product.n * k < 400_000
            for kernel in kernels where kernel.multiplies(type, test.product.b.dtype) {
                if (kernel.way == .amx || kernel.way == .chunked) && !isSmall { continue }
                let result = kernel.run { test.product(over: test.c) }
                var share = gamma, tiny = (steps + 2) * (kernel.flushes ? 0x1p-126 : 0x1p-149)
                if kernel.way == .chunked {
                    let folds = (Double(k) / 32 + Double(k) / 1024 + 5) * Self.u, fold = folds / (1 - folds)
                    share = 1.0 / 63 + fold * 64 / 63
                    tiny += abs(Double(test.product.alpha)) * Double(k) * 0x1p-25 * 64 / 63 * (1 + fold)
                }
                compare(result, test, kernel, "gemm \(type)") { share * $0 + tiny }
            }
        }
    }

    /// Integers whose sums stay below 2^24 are exact in any order, those of 32 products below 2^11 in chunks too; in 16 bits they
    /// are rounded once. Scaled by powers of two
    /// that make the results subnormal in float32, or the operands in bfloat16, they stay exact.
    func integers(_ count: Int, _ generator: inout SeededGenerator) {
        for index in 0..<count {
            let type = Self.types[index % 3]
            let (m, n) = (1 + generator.nextInteger(below: 40), 1 + generator.nextInteger(below: 70))
            let k = [17, 64, 300, 1025, 2600][index / 3 % 5] + generator.nextInteger(below: 8)
            // One sign exposes sums kept in 16 bits; sums stay below 50 * 2,608 < 2^24.
            let isSigned = index % 2 == 0
            var (left, right) = (1.0, 1.0)
            // Results are multiples of 2^-148; A, or B, is subnormal.
            if index % 4 == 3 && type != .float16 { (left, right) = (0x1p-80, 0x1p-68) }
            if index % 4 == 1 && type == .bfloat16 {
                (left, right) = index % 8 == 1 ? (0x1p-133, 0x1p120) : (0x1p120, 0x1p-133)
            }
            func draw(_ rows: Int, _ columns: Int, _ scale: Double) -> Tensor {
                let values = (0..<rows * columns).map { _ in
                    scale * Double(generator.nextInteger(below: 8) - (isSigned ? 4 : 0))
                }
                return VerificationKernels.converted(Tensor(values, shape: [rows, columns]), to: type)
            }
            let transposed = (a: index & 4 != 0, b: index & 8 != 0)
            let a = transposed.a ? draw(k, m, left) : draw(m, k, left)
            let b = transposed.b ? draw(n, k, right) : draw(k, n, right)
            let c = Tensor.full([m, n], .nan, dtype: index % 5 == 4 ? type : .float32)
            let test = ProductCase(.init(m: m, n: n, k: k, a: a, b: b, transposed: transposed), over: c)
            for kernel in kernels where kernel.multiplies(type, type) && (!kernel.flushes || left * right > 0x1p-100) {
                let result = kernel.run { test.product(over: c) }
                compare(result, test, kernel, "gemm \(type) integers", exactly: true) { _ in 0 }
            }
        }
    }

    /// ||E||_F / || |A||B| ||_F at k = 4096: at most 1 u for random signs, 6 u for positive numbers, where the bound of one
    /// element allows hundreds.
    func norms(_ generator: inout SeededGenerator) {
        for type in Self.types {
            for isPositive in [false, true] {
                let range = isPositive ? 0.0..<1.0 : -1.0..<1.0
                let (m, n, k) = (18, 40, 4096)
                let a = Tensor.uniform([m, k], in: range, dtype: type, using: &generator)
                let b = Tensor.uniform([n, k], in: range, dtype: type, using: &generator)
                let test = ProductCase(
                    .init(m: m, n: n, k: k, a: a, b: b, transposed: (false, true)), over: .zeros([m, n]))
                let size = test.magnitudes.reduce(0) { $0 + $1 * $1 }.squareRoot()
                for kernel in kernels where kernel.multiplies(type, type) && kernel.way != .chunked {
                    let got = kernel.run { test.product(over: test.c) }.scalars(as: Double.self)
                    let error = zip(got, test.exact).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
                    ledger.record(
                        kernel.label, "gemm \(type) norm, \(isPositive ? "positive" : "random signs")", in: "u",
                        Comparison(cases: m * n, error: error / size / Self.u, limit: isPositive ? 6 : 1)
                    ) { test.description }
                }
            }
        }
    }

    /// float64 products (OpenBLAS's, called on each row): integers below 2^53 are exact, and |c^ - c| <= 2 gamma_(k + 3) Σ |terms|
    /// with u = 2^-53, one gamma for the product and one for the sums that it is compared with.
    func wide(_ count: Int, rows kernelRows: [String], _ generator: inout SeededGenerator) {
        for index in 0..<count {
            let (m, n) = (1 + generator.nextInteger(below: 40), 1 + generator.nextInteger(below: 60))
            let k = [7, 64, 300, 1100][index / 2 % 4] + generator.nextInteger(below: 8), isExact = index % 2 == 0
            // Products below 2^40, sums of at most 1,107 of them below 2^51.
            func draw(_ rows: Int, _ columns: Int) -> Tensor {
                Tensor(
                    (0..<rows * columns).map { _ in
                        isExact ? Double(generator.nextInteger(below: 1 << 21) - 1 << 20) : generator.nextNormal()
                    }, shape: [rows, columns])
            }
            let transposed = (a: index & 4 != 0, b: index & 8 != 0)
            let a = transposed.a ? draw(k, m) : draw(m, k), b = transposed.b ? draw(n, k) : draw(k, n)
            let test = ProductCase(
                .init(m: m, n: n, k: k, a: a, b: b, transposed: transposed), over: .zeros([m, n], dtype: .float64))
            let gamma = 2 * Double(k + 3) * 0x1p-53
            for row in kernelRows {
                let kernel = ProductKernel(row: row, way: .usual)
                let result = kernel.run {
                    (transposed.a ? a.transposed() : a).matmul(transposed.b ? b.transposed() : b)
                }
                compare(result, test, kernel, "gemm float64" + (isExact ? " integers" : ""), exactly: isExact) {
                    gamma * $0
                }
            }
        }
    }

    private func randomCase(_ index: Int, _ type: DType, _ generator: inout SeededGenerator) -> ProductCase {
        func below(_ bound: Int) -> Int { generator.nextInteger(below: bound) }
        let (m, n, k): (Int, Int, Int) =
            switch index / 3 % 5 {
            case 0: (1 + below(70), 1 + below(70), 1 + below(70))
            case 1: (1 + below(17), 1 + below(300), 1 + below(700))
            case 2: (1 + below(40), 1 + below(40), 1025 + below(2200))
            case 3: (1 + below(330), 1 + below(40), 1 + below(200))
            default: (64, 10 + below(128), 128 + below(200))
            }
        let other = index % 4 == 3 ? Self.types[below(3)] : type
        let padding = below(3) == 0 ? 0 : below(9)
        let transposed = (a: below(2) == 1, b: below(2) == 1)
        func draw(_ rows: Int, _ columns: Int, _ type: DType) -> Tensor {
            .uniform([rows, columns + padding], in: -2..<2, dtype: type, using: &generator)
        }
        let a = transposed.a ? draw(k, m, type) : draw(m, k, type)
        let b = transposed.b ? draw(n, k, other) : draw(k, n, other)
        let product = VerificationKernels.Product(
            m: m, n: n, k: k, a: a, b: b, transposed: transposed, alpha: below(3) == 0 ? -0.75 : 1,
            beta: [0, 1, 0.5][below(3)], bias: below(3) == 0 ? draw(1, n, type).reshape([n + padding]) : nil,
            isRectified: below(4) == 0)
        return ProductCase(product, over: draw(m, n, below(2) == 0 ? .float32 : type))
    }

    /// Records the worst element in units of its bound (of wrong results where they have to be exact).
    private func compare(
        _ result: Tensor, _ test: ProductCase, _ kernel: ProductKernel, _ check: String, exactly: Bool = false,
        bound: (Double) -> Double
    ) {
        let (m, n, width) = (test.product.m, test.product.n, test.c.shape[1])
        let type = test.c.dtype
        let got = result.scalars(as: Double.self), before = test.c.scalars(as: Double.self)
        var worst = Comparison(error: 0, limit: exactly ? 0 : 1), at = 0
        for i in 0..<m {
            for j in 0..<width {
                let value = got[i * width + j]
                var error: Double
                if j >= n {
                    error = value == before[i * width + j] ? 0 : .infinity
                } else {
                    let exact = test.exact[i * n + j]
                    let target = test.product.isRectified ? max(exact, 0) : exact
                    let excess = RoundingTable.distance(from: target, toWhatRoundsTo: value, type)
                    error = exactly || excess == 0 ? excess : excess / bound(test.magnitudes[i * n + j])
                }
                let comparison = Comparison(error: error, limit: worst.limit)
                if comparison.isWorse(than: worst) { (worst, at) = (comparison, i * width + j) }
            }
        }
        worst.cases = m * width
        ledger.record(kernel.label, check, in: exactly ? "distance" : "of the bound", worst) {
            let (i, j) = (at / width, at % width)
            let expected = j < n ? test.exact[i * n + j] : before[at]
            return "\(test.description) [\(i), \(j)]"
                + (worst.isWithin ? "" : ": \(got[at]), expected \(expected)")
        }
    }
}
