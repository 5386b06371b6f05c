// The memory of one GemmProblem, the call, and the comparison.
import CSIMD
import Glibc

struct GemmOperands {
    let problem: GemmProblem
    let a, b, c: GemmMatrix
    let bias, aux: GemmMatrix?

    func release() {
        for matrix in [a, b, c] + [bias, aux].compactMap({ $0 }) { matrix.buffer.release() }
    }

    func snapshot() -> [[UInt8]] { ([a, b, c] + [bias, aux].compactMap { $0 }).map(\.buffer.array) }

    func restore(_ bytes: [[UInt8]]) {
        for (matrix, saved) in zip([a, b, c] + [bias, aux].compactMap({ $0 }), bytes) { matrix.restore(saved) }
    }

    var arguments: csimd_gemm_args {
        var args = csimd_gemm_args()
        args.m = problem.m
        args.n = problem.n
        args.k = problem.k
        args.alpha = problem.alpha
        args.beta = problem.beta
        args.a_type = a.type
        args.b_type = b.type
        args.c_type = c.type
        args.a_transposed = problem.transposed.a
        args.b_transposed = problem.transposed.b
        args.a = UnsafeRawPointer(a.buffer.pointer)
        args.lda = a.stride
        args.b = UnsafeRawPointer(b.buffer.pointer)
        args.ldb = b.stride
        args.c = UnsafeMutableRawPointer(c.buffer.pointer)
        args.ldc = c.stride
        args.epilogue = problem.epilogue
        args.batch = 1
        if let bias {
            args.bias = UnsafeRawPointer(bias.buffer.pointer)
            args.bias_type = bias.type
        }
        if let aux {
            args.aux = UnsafeMutableRawPointer(aux.buffer.pointer)
            args.aux_type = aux.type
            args.ldaux = aux.stride
        }
        return args
    }

    /// Whether a native bf16 kernel may compute the product: what the calling thread's row and choice would do.
    var mayBeNative: Bool {
        a.type == CSIMD_BF16 && b.type == CSIMD_BF16 && csimd_active_bf16_gemm() != CSIMD_WIDEN
    }

    func run() -> csimd_status {
        var args = arguments
        return csimd_gemm(&args)
    }

    /// z = alpha A B + beta C + bias in Double, and |z^ - z| <= gamma_(k+3) (|alpha| |A| |B| + |beta| |C| + |bias|) + (k + 3) 2^-149:
    /// a float32 sum of k products in any order errs by gamma_k; alpha, beta and bias add one rounding each.
    /// Then the epilogue f: |f'| <= 1.13 for GELU (1 for ReLU), and GELU and its slope are computed within 8 u of
    /// max(|f|, |z|) (4 ulps, support/vector_math_body.h); last the rounding to C's type, of a number that is off by the bound.
    func expected() -> GemmExpectation {
        let problem = self.problem
        let (m, n, k) = (problem.m, problem.n, problem.alpha == 0 ? 0 : problem.k)
        let left = a.doubles, right = b.doubles
        let old = problem.beta == 0 ? [] : c.doubles
        let shift = bias?.doubles ?? [], saved = aux?.doubles ?? []
        let (rowA, columnA) = problem.transposed.a ? (1, m) : (problem.k, 1)
        let (rowB, columnB) = problem.transposed.b ? (1, problem.k) : (n, 1)
        let u = 0x1p-24
        let gamma = Double(k + 3) * u / (1 - Double(k + 3) * u)
        var result = GemmExpectation(values: [], bounds: [], aux: [], auxBounds: [])
        for i in 0..<m {
            for j in 0..<n {
                var sum = 0.0, size = 0.0
                left.withUnsafeBufferPointer { left in
                    right.withUnsafeBufferPointer { right in
                        for p in 0..<k {
                            let product = left[i * rowA + p * columnA] * right[p * rowB + j * columnB]
                            sum += product
                            size += abs(product)
                        }
                    }
                }
                var z = Double(problem.alpha) * sum
                size *= abs(Double(problem.alpha))
                if problem.beta != 0 {
                    z += Double(problem.beta) * old[i * n + j]
                    size += abs(Double(problem.beta) * old[i * n + j])
                }
                if bias != nil {
                    z += shift[j]
                    size += abs(shift[j])
                }
                var bound = gamma * size + Double(k + 3) * 0x1p-149
                if problem.epilogue == CSIMD_EPILOGUE_GELU, let aux {
                    result.aux.append(z)
                    result.auxBounds.append(Self.rounded(bound, of: z, to: aux.type))
                }
                let at = saved.isEmpty ? 0 : saved[i * n + j]
                let f = Self.apply(problem.epilogue, z, at)
                if problem.epilogue == CSIMD_EPILOGUE_GELU || problem.epilogue == CSIMD_EPILOGUE_GELU_GRADIENT {
                    bound = 1.13 * bound + 8 * u * (abs(z) + bound)
                }
                result.values.append(f)
                result.bounds.append(Self.rounded(bound, of: f, to: c.type))
            }
        }
        return result
    }

    private static func rounded(_ bound: Double, of value: Double, to type: csimd_type) -> Double {
        bound + GemmNumber.roundoff(type) * (abs(value) + bound) + GemmNumber.underflow(type)
    }

    private static func apply(_ epilogue: csimd_epilogue, _ z: Double, _ aux: Double) -> Double {
        func cumulative(_ x: Double) -> Double { 0.5 * erfc(-x * 0.5.squareRoot()) }
        switch epilogue {
        case CSIMD_EPILOGUE_RELU: return z < 0 ? 0 : z
        case CSIMD_EPILOGUE_GELU: return z * cumulative(z)
        case CSIMD_EPILOGUE_RELU_GRADIENT: return aux > 0 ? z : 0
        case CSIMD_EPILOGUE_GELU_GRADIENT:
            return z * (cumulative(aux) + aux * exp(-0.5 * aux * aux) / (2 * Double.pi).squareRoot())
        default: return z
        }
    }

    /// The first thing that is wrong after a run, or nil.
    func failure(against expected: GemmExpectation, before: [[UInt8]]) -> String? {
        if a.buffer.array != before[0] || b.buffer.array != before[1] { return "an input was written" }
        if !c.paddingIsIntact { return "the padding of C was written" }
        if let aux {
            if !aux.paddingIsIntact { return "the padding of aux was written" }
            if problem.epilogue != CSIMD_EPILOGUE_GELU && aux.buffer.array != before.last { return "aux was written" }
        }
        // Flushed partial sums (docs/numerics.md), after alpha and an epilogue's slope of at most 1.13.
        let flushed = mayBeNative ? Double(problem.k + 2) * 0x1p-126 * abs(Double(problem.alpha)) * 1.13 : 0
        if let found = Self.difference(c, expected.values, expected.bounds, flushed) { return "C\(found)" }
        if let aux, !expected.aux.isEmpty,
            let found = Self.difference(aux, expected.aux, expected.auxBounds, flushed)
        {
            return "aux\(found)"
        }
        return nil
    }

    private static func difference(
        _ got: GemmMatrix, _ values: [Double], _ bounds: [Double], _ flushed: Double
    ) -> String? {
        for i in 0..<got.rows {
            for j in 0..<got.width {
                let index = i * got.width + j
                let error = abs(Double(got[i, j]) - values[index])
                let ok = error <= bounds[index] + flushed
                if !ok {
                    return "[\(i), \(j)] = \(got[i, j]), expected \(values[index]), error \(error) > \(bounds[index])"
                }
            }
        }
        return nil
    }
}
