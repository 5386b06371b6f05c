// What benchmarks call: kernels into tensors that exist already, the naive forms that they are compared with, and probes of
// the machine's limits. Nothing here is checked for speed's sake: shapes are the caller's responsibility.
internal import COpenBLAS
internal import CSIMD

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Kernels as benchmarks time them: operands and results are made beforehand.
package enum BenchmarkKernels {
    /// The product c = a b as a closure that is one C call: its arguments are made beforehand.
    ///
    /// Shapes: a [m, k] and b [k, n], either of them possibly a transposed view; c [m, n] contiguous.
    package static func gemm(_ a: Tensor, _ b: Tensor, into c: Tensor) -> () -> Void {
        let left = MatrixOperand(a), right = MatrixOperand(b)
        var arguments = csimd_gemm_args()
        (arguments.m, arguments.n, arguments.k) = (a.shape[0], b.shape[1], a.shape[1])
        arguments.alpha = 1
        (arguments.a_type, arguments.b_type, arguments.c_type) = (a.dtype.csimd, b.dtype.csimd, c.dtype.csimd)
        (arguments.a_transposed, arguments.b_transposed) = (left.transposed, right.transposed)
        (arguments.lda, arguments.ldb, arguments.ldc) = (left.leadingDimension, right.leadingDimension, b.shape[1])
        arguments.batch = 1
        return { [arguments] in
            let status = withMemory(of: left.tensor, right.tensor, c) { a, b, c in
                var arguments = arguments
                arguments.a = UnsafeRawPointer(a)
                arguments.b = UnsafeRawPointer(b)
                arguments.c = c
                return csimd_gemm(&arguments)
            }
            expectSuccess(status, "gemm")
        }
    }

    /// The same product by OpenBLAS's sgemm, in float32, on the threads of ``withOpenBLASThreads(_:_:)``.
    package static func openBLASGemm(_ a: Tensor, _ b: Tensor, into c: Tensor) -> () -> Void {
        let m = blasint(a.shape[0]), k = blasint(a.shape[1]), n = blasint(b.shape[1])
        let left = MatrixOperand(a), right = MatrixOperand(b)
        let (lda, ldb) = (blasint(left.leadingDimension), blasint(right.leadingDimension))
        let (leftForm, rightForm) = (
            left.transposed ? CblasTrans : CblasNoTrans, right.transposed ? CblasTrans : CblasNoTrans
        )
        return {
            withMemory(of: left.tensor, right.tensor, c) { a, b, c in
                cblas_sgemm(
                    CblasRowMajor, leftForm, rightForm, m, n, k, 1, a.assumingMemoryBound(to: Float.self), lda,
                    b.assumingMemoryBound(to: Float.self), ldb, 0, c.assumingMemoryBound(to: Float.self), n)
            }
        }
    }

    /// Lets OpenBLAS use `count` threads while `body` runs; this package's own products want it on one.
    package static func withOpenBLASThreads<R>(_ count: Int, _ body: () throws -> R) rethrows -> R {
        openblas_set_num_threads(Int32(clamping: count))
        defer { openblas_set_num_threads(1) }
        return try body()
    }

    /// The name of the processor whose kernels OpenBLAS runs, such as `Haswell` or `SkylakeX`.
    package static var openBLASCore: String { openblas_get_corename().map { String(cString: $0) } ?? "" }

    /// y = x in the type of y, both contiguous, of the same count.
    package static func convert(_ x: Tensor, into y: Tensor) { Kernels.convert(x, to: y) }

    /// The first `byteCount` bytes of x copied over those of y, by the C library.
    package static func copy(_ x: Tensor, into y: Tensor, byteCount: Int) {
        withMemory(of: x, y) { _ = memcpy($1, $0, byteCount) }
    }

    /// Cross-entropy forward and backward in its fused form, as in a training step, which knows the seed: the mean loss, and its
    /// gradient by the logits.
    ///
    /// Shapes: logits [rows, columns], targets [rows] int64.
    package static func nll(_ logits: Tensor, _ targets: Tensor) -> (loss: Double, gradient: Tensor) {
        let arguments = NLLArguments(
            logits: logits, targets: targets, classWeights: nil, ignoreIndex: -100, labelSmoothing: 0)
        guard let weight = try? Kernels.nllWeight(arguments) else {
            fatalError("BenchmarkKernels.nll: a target is not a class")
        }
        let result = Kernels.nll(arguments, scale: 1 / weight)
        return (result.lossSum / weight, result.gradient)
    }

    /// The same in two passes, as written down: log-softmax to memory, then the picked elements' mean; backward, the picked
    /// elements' gradient in a dense array of zeros, then log-softmax's gradient from it.
    package static func twoPassNLL(_ logits: Tensor, _ targets: Tensor) -> (loss: Double, gradient: Tensor) {
        struct Visitor: ScalarVisitor {
            let logits: Tensor, targets: Tensor
            func visit<T: TensorScalar>(_ type: T.Type) -> (loss: Double, gradient: Tensor) {
                let rows = logits.shape[0], columns = logits.shape[1]
                let logProbabilities = Kernels.softmax(logits, log: true)
                let dense = Tensor(uninitialized: logits.shape, logits.dtype), share = T(nearest: -1 / Double(rows))
                let sum = withMemory(
                    of: logProbabilities.elements(T.self), targets.elements(Int64.self), dense.elements(T.self)
                ) { values, target, gradient in
                    var sum = 0.0
                    for row in 0..<rows { sum -= values[row * columns + Int(target[row])].float64Value }
                    _ = gradient.baseAddress.map { memset($0, 0, dense.byteCount) }
                    for row in 0..<rows { gradient[row * columns + Int(target[row])] = share }
                    return sum
                }
                return (
                    sum / Double(rows), Kernels.softmaxGradient(y: logProbabilities, dy: dense, log: true)
                )
            }
        }
        return logits.dtype.accept(Visitor(logits: logits, targets: targets))
    }

    /// x *= factor in place, in one pass of its own.
    package static func scale(_ x: Tensor, by factor: Double) { Kernels.scale(x, by: factor) }

    /// The sum of at most 64 elements from all over a contiguous floating-point tensor: what makes a result count as used.
    package static func sample(_ x: Tensor) -> Double {
        struct Visitor: ScalarVisitor {
            let x: Tensor
            func visit<T: TensorScalar>(_ type: T.Type) -> Double {
                withMemory(of: x.elements(T.self)) { values in
                    stride(from: 0, to: values.count, by: max(1, values.count / 64)).reduce(0) {
                        $0 + values[$1].float64Value
                    }
                }
            }
        }
        return x.dtype.accept(Visitor(x: x))
    }
}

/// How ``BenchmarkKernels/bandwidth(_:of:seconds:)`` goes over a block.
package enum MemoryPattern: CaseIterable, Sendable {
    /// Reads it.
    case read
    /// Copies its first half to its second.
    case copy
    /// The same with stores past the caches.
    case stream
}

extension BenchmarkKernels {
    /// Bytes a second that the calling thread moves, going over a block of memory for about `seconds`.
    ///
    /// `block`: contiguous, of whole kibibytes; its second half is overwritten.
    package static func bandwidth(_ pattern: MemoryPattern, of block: Tensor, seconds: Double) -> Double {
        let native: csimd_memory_pattern =
            switch pattern {
            case .read: CSIMD_MEMORY_READ
            case .copy: CSIMD_MEMORY_COPY
            case .stream: CSIMD_MEMORY_STREAM
            }
        var rate = 0.0
        let status = withMemory(of: block) {
            csimd_measure_bandwidth(native, block.byteCount, $0, seconds, &rate)
        }
        expectSuccess(status, "bandwidth")
        return rate
    }
}
