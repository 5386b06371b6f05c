// What `needletail verify` calls: kernels with all their arguments, on the row that the calling thread has chosen.
internal import CSIMD

/// Kernels as the verification calls them.
package enum VerificationKernels {
    /// y = x in another floating-point type.
    package static func converted(_ x: Tensor, to type: DType) -> Tensor {
        let y = Tensor(uninitialized: x.shape, type)
        Kernels.convert(x, to: y)
        return y
    }

    /// log-softmax, or softmax, of the rows of x [rows, columns] in its own type.
    package static func softmax(_ x: Tensor, log: Bool) -> Tensor { Kernels.softmax(x, log: log) }

    /// dx of softmax or log-softmax, from the forward result y and dy [rows, columns] of one type.
    package static func softmaxGradient(y: Tensor, dy: Tensor, log: Bool) -> Tensor {
        Kernels.softmaxGradient(y: y, dy: dy, log: log)
    }

    /// Cross-entropy of the rows: losses [rows], the gradient of `scale` times their sum by the logits, the gradient that is
    /// formed with the loss, and whether log-sum-exps and sums then have the same bits.
    ///
    /// Shapes: logits [rows, columns], targets [rows] int64, each of them a class.
    package static func nll(
        _ logits: Tensor, _ targets: Tensor, scale: Double
    ) -> (rowLosses: Tensor, gradient: Tensor, gradientWithLoss: Tensor, sumsAgree: Bool) {
        let arguments = NLLArguments(
            logits: logits, targets: targets, classWeights: nil, ignoreIndex: -100, labelSmoothing: 0)
        guard let forward = try? Kernels.nllForward(arguments, keepRowLosses: true), let losses = forward.rowLosses
        else {
            fatalError("VerificationKernels.nll: a target is not a class")
        }
        let gradient = Kernels.nllBackward(
            arguments, logSumExp: forward.logSumExp, rowScale: nil, scale: scale)
        let both = Kernels.nll(arguments, scale: scale)
        let agree =
            both.lossSum.bitPattern == forward.lossSum.bitPattern && both.weightSum == forward.weightSum
            && both.logSumExp.bytes == forward.logSumExp.bytes
        return (losses, gradient, both.gradient, agree)
    }

    /// The derivative of an elementary function by its kernel: of tanh and sigmoid from the forward result, else from x.
    package enum Derivative: String, CaseIterable, Sendable {
        case tanh, sigmoid, relu, gelu, silu, abs

        /// dy times the derivative at `a`, both of one type.
        package func callAsFunction(_ a: Tensor, _ dy: Tensor) -> Tensor {
            let operation: BinaryOperation =
                switch self {
                case .tanh: .tanhGradient
                case .sigmoid: .sigmoidGradient
                case .relu: .reluGradient
                case .gelu: .geluGradient
                case .silu: .siluGradient
                case .abs: .absGradient
                }
            return Kernels.binary(operation, a, dy)
        }
    }

    /// Ways to multiply two 16-bit matrices beside the usual one.
    package enum ProductWay: String, CaseIterable, Sendable {
        /// Widened to float32.
        case usual = ""
        /// bfloat16 by the CPU's dot product, where it has one.
        case native
        /// bfloat16 by the CPU's tiles, or their emulation.
        case amx
        /// float16 in chunks, by the CPU's float16 arithmetic or its emulation.
        case chunked
    }

    /// Whether the row multiplies so on this machine.
    package static func has(_ way: ProductWay, row: String) -> Bool {
        guard let index = KernelInfo.rows.firstIndex(where: { $0.name == row }), csimd_row_supported(index) else {
            return false
        }
        csimd_set_thread_emulation(true)
        defer { csimd_set_thread_emulation(false) }
        switch way {
        case .usual: return true
        case .native: return csimd_row_has_native_bf16(index)
        case .amx:
            defer { csimd_set_thread_bf16_gemm(-1) }
            return csimd_row_has_native_bf16(index)
                && csimd_set_thread_bf16_gemm(Int32(CSIMD_AMX.rawValue)) == CSIMD_OK
        case .chunked: return csimd_row_has_f16_chunks(index)
        }
    }

    /// Lets calls from this thread run the kernels of `row`, 16-bit products in one way, while `body` runs.
    ///
    /// The row must be able to run here, and to multiply so (``has(_:row:)``).
    package static func onRow<R>(_ row: String, _ way: ProductWay = .usual, _ body: () throws -> R) rethrows -> R {
        let choice: Int32 = [.native: 1, .amx: 2][way] ?? 0
        let outer = ProductOptions.current
        defer { outer.choose() }
        csimd_set_thread_emulation(way == .amx || way == .chunked)
        guard KernelInfo.setThreadRow(row), csimd_set_thread_bf16_gemm(choice) == CSIMD_OK || choice == 0,
            csimd_set_thread_f16_chunk(way == .chunked ? Int(CSIMD_CHUNK) : 0) == CSIMD_OK
        else { fatalError("onRow: \(row) \(way.rawValue) cannot run on this machine") }
        return try body()
    }
}

extension VerificationKernels {
    /// C = relu?(alpha op(A) op(B) + beta C + bias), of matrices in wider storage.
    package struct Product {
        /// Sizes of op(A) [m, k], op(B) [k, n], C [m, n].
        package var m: Int, n: Int, k: Int
        /// The stored matrices, their second axis as long as the leading dimension.
        package var a: Tensor, b: Tensor
        /// Whether A is stored [k, m], B [n, k].
        package var transposed: (a: Bool, b: Bool)
        /// The factors.
        package var alpha: Float, beta: Float
        /// Added to every row, [n].
        package var bias: Tensor?
        /// Whether negative results become 0.
        package var isRectified: Bool

        package init(
            m: Int, n: Int, k: Int, a: Tensor, b: Tensor, transposed: (a: Bool, b: Bool), alpha: Float = 1,
            beta: Float = 0, bias: Tensor? = nil, isRectified: Bool = false
        ) {
            (self.m, self.n, self.k, self.a, self.b) = (m, n, k, a, b)
            (self.transposed, self.alpha, self.beta) = (transposed, alpha, beta)
            (self.bias, self.isRectified) = (bias, isRectified)
        }

        /// The result over `c` [m, leading dimension], which stays as it is.
        package func callAsFunction(over c: Tensor) -> Tensor {
            let result = c.copied()
            var arguments = csimd_gemm_args()
            (arguments.m, arguments.n, arguments.k) = (m, n, k)
            (arguments.alpha, arguments.beta) = (alpha, beta)
            (arguments.a_type, arguments.b_type, arguments.c_type) = (a.dtype.csimd, b.dtype.csimd, c.dtype.csimd)
            (arguments.a_transposed, arguments.b_transposed) = transposed
            (arguments.lda, arguments.ldb, arguments.ldc) = (a.shape[1], b.shape[1], c.shape[1])
            if let bias { arguments.bias_type = bias.dtype.csimd }
            arguments.epilogue = isRectified ? CSIMD_EPILOGUE_RELU : CSIMD_EPILOGUE_NONE
            arguments.batch = 1
            let status = withMemory(of: a, b, bias, result) {
                arguments.a = UnsafeRawPointer($0)
                arguments.b = UnsafeRawPointer($1)
                arguments.bias = UnsafeRawPointer($2)
                arguments.c = $3
                return csimd_gemm(&arguments)
            }
            expectSuccess(status, "gemm")
            return result
        }
    }
}

/// Conversions of long runs of float32 bit patterns to one 16-bit type, compared with what they must give.
package final class ConversionSweep {
    private let x = Tensor(uninitialized: [8192], .float32)
    private let y: Tensor

    /// A sweep on one thread; `type` is a 16-bit type.
    package init(to type: DType) { y = Tensor(uninitialized: [8192], type) }

    /// Converts the patterns `first`, `first + step`, … up to `last`, each with the bits of `sign` added; the first one whose
    /// result has other bits than `expected`, and what it gave.
    package func firstDifference(
        from first: UInt32, through last: UInt32, step: UInt32, sign: UInt32, expected: UInt16
    ) -> (pattern: UInt32, got: UInt16)? {
        withMemory(of: x, y) {
            let patterns = $0.assumingMemoryBound(to: UInt32.self)
            let results = $1.assumingMemoryBound(to: UInt16.self)
            var left = Int((last - first) / step) + 1
            var start = first | sign
            while left > 0 {
                let count = min(left, 8192)
                for index in 0..<count { patterns[index] = start &+ UInt32(truncatingIfNeeded: index) &* step }
                expectSuccess(csimd_convert(CSIMD_F32, patterns, y.dtype.csimd, results, count), "convert")
                var difference: UInt16 = 0
                for index in 0..<count { difference |= results[index] ^ expected }
                if difference != 0 {
                    let index = (0..<count).first { results[$0] != expected } ?? 0
                    return (patterns[index], results[index])
                }
                start = start &+ UInt32(count) &* step
                left -= count
            }
            return nil
        }
    }
}
