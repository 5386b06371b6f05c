// Matrix products: CSIMD for float32, float16 and bfloat16 in any mix, OpenBLAS for float64.
internal import COpenBLAS
internal import CSIMD

/// What a matrix product does on its way out; the argument is the epilogue's own operand.
enum Epilogue {
    case none
    case relu
    /// Keeps the pre-activation in the given tensor.
    case gelu(Tensor?)
    /// Multiplies by the derivative at the forward result.
    case reluGradient(Tensor)
    /// Multiplies by the derivative at the pre-activation.
    case geluGradient(Tensor)

    /// The epilogue's own operand.
    var operand: Tensor? {
        switch self {
        case .none, .relu: nil
        case .gelu(let operand): operand
        case .reluGradient(let operand), .geluGradient(let operand): operand
        }
    }

    var csimd: csimd_epilogue {
        switch self {
        case .none: CSIMD_EPILOGUE_NONE
        case .relu: CSIMD_EPILOGUE_RELU
        case .gelu: CSIMD_EPILOGUE_GELU
        case .reluGradient: CSIMD_EPILOGUE_RELU_GRADIENT
        case .geluGradient: CSIMD_EPILOGUE_GELU_GRADIENT
        }
    }
}

/// A matrix as the kernels take it: row-major with a leading dimension, possibly stored transposed.
struct MatrixOperand {
    let tensor: Tensor
    let transposed: Bool
    let leadingDimension: Int

    /// The last two axes of `x`, copied first only where neither of them has unit stride.
    init(_ x: Tensor) {
        let rows = x.shape[x.rank - 2], columns = x.shape[x.rank - 1]
        let rowStride = x.strides[x.rank - 2], columnStride = x.strides[x.rank - 1]
        if (columnStride == 1 || columns <= 1) && (rowStride >= columns || rows <= 1) {
            self.init(tensor: x, transposed: false, leadingDimension: rows <= 1 ? max(columns, 1) : rowStride)
        } else if (rowStride == 1 || rows <= 1) && (columnStride >= rows || columns <= 1) {
            self.init(tensor: x, transposed: true, leadingDimension: columns <= 1 ? max(rows, 1) : columnStride)
        } else {
            self.init(tensor: x.contiguous(), transposed: false, leadingDimension: max(columns, 1))
        }
    }

    private init(tensor: Tensor, transposed: Bool, leadingDimension: Int) {
        self.tensor = tensor
        self.transposed = transposed
        self.leadingDimension = leadingDimension
    }
}

extension Kernels {
    /// c = epilogue(alpha a b + beta c + bias). Shapes: a [m, k], b [k, n], c [m, n] contiguous, bias [n].
    static func gemm(
        _ a: Tensor, _ b: Tensor, alpha: Double = 1, beta: Float = 0, bias: Tensor? = nil, epilogue: Epilogue = .none,
        into c: Tensor
    ) {
        batchedGemm(
            a, b, batch: 1, aStride: 0, bStride: 0, alpha: alpha, beta: beta, bias: bias, epilogue: epilogue, into: c)
    }

    /// `batch` products; product i takes the matrices at the last two axes of a, b and c, i strides further on.
    static func batchedGemm(
        _ a: Tensor, _ b: Tensor, batch: Int, aStride: Int, bStride: Int, alpha: Double = 1, beta: Float = 0,
        bias: Tensor? = nil, epilogue: Epilogue = .none, into c: Tensor
    ) {
        let m = a.shape[a.rank - 2], k = a.shape[a.rank - 1], n = b.shape[b.rank - 1]
        assert(b.shape[b.rank - 2] == k && c.shape.suffix(2) == [m, n] && c.isContiguous)
        let left = MatrixOperand(a), right = MatrixOperand(b)
        if c.dtype == .float64 {
            for index in 0..<batch {
                doubleGemm(
                    left, index * aStride, right, index * bStride, m, n, k, alpha, beta, into: c, index * m * n)
            }
            doubleEpilogue(epilogue, bias: bias, c)
            return
        }
        var arguments = csimd_gemm_args()
        arguments.m = m
        arguments.n = n
        arguments.k = k
        arguments.alpha = Float(alpha)
        arguments.beta = beta
        arguments.a_type = a.dtype.csimd
        arguments.b_type = b.dtype.csimd
        arguments.c_type = c.dtype.csimd
        arguments.a_transposed = left.transposed
        arguments.b_transposed = right.transposed
        arguments.lda = left.leadingDimension
        arguments.ldb = right.leadingDimension
        arguments.ldc = max(n, 1)
        if let bias { arguments.bias_type = bias.dtype.csimd }
        arguments.epilogue = epilogue.csimd
        let auxiliary = epilogue.operand
        if let auxiliary {
            assert(auxiliary.isContiguous && auxiliary.count == c.count)
            arguments.aux_type = auxiliary.dtype.csimd
            arguments.ldaux = max(n, 1)
        }
        arguments.batch = batch
        arguments.a_stride = aStride
        arguments.b_stride = bStride
        arguments.c_stride = m * n
        arguments.aux_stride = m * n
        let status = withMemory(of: left.tensor, right.tensor, bias, auxiliary, c) { a, b, bias, auxiliary, c in
            arguments.a = UnsafeRawPointer(a)
            arguments.b = UnsafeRawPointer(b)
            arguments.bias = UnsafeRawPointer(bias)
            arguments.aux = auxiliary
            arguments.c = c
            return csimd_gemm(&arguments)
        }
        expectSuccess(status, "matmul")
    }

    /// One float64 product by OpenBLAS, on one thread: its own splitting would make the bits depend on the thread count.
    private static func doubleGemm(
        _ a: MatrixOperand, _ aOffset: Int, _ b: MatrixOperand, _ bOffset: Int, _ m: Int, _ n: Int, _ k: Int,
        _ alpha: Double, _ beta: Float, into c: Tensor, _ cOffset: Int
    ) {
        if m == 0 || n == 0 { return }
        _ = singleThreadedOpenBLAS
        withMemory(of: a.tensor, b.tensor, c) { aMemory, bMemory, cMemory in
            cblas_dgemm(
                CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans,
                blasint(m), blasint(n), blasint(k), alpha, aMemory.assumingMemoryBound(to: Double.self) + aOffset,
                blasint(a.leadingDimension), bMemory.assumingMemoryBound(to: Double.self) + bOffset,
                blasint(b.leadingDimension), Double(beta), cMemory.assumingMemoryBound(to: Double.self) + cOffset,
                blasint(n))
        }
    }

    private static let singleThreadedOpenBLAS: Void = openblas_set_num_threads(1)

    private static func doubleEpilogue(_ epilogue: Epilogue, bias: Tensor?, _ c: Tensor) {
        if let bias { binary(.add, c, bias, into: c) }
        switch epilogue {
        case .none: break
        case .relu: copyBytes(from: unary(.relu, c), to: c)
        case .gelu(let auxiliary):
            if let auxiliary { copyBytes(from: c, to: auxiliary) }
            copyBytes(from: unary(.gelu, c), to: c)
        // As many elements as c has, perhaps with more axes.
        case .reluGradient(let auxiliary): binary(.reluGradient, auxiliary.reshape(c.shape), c, into: c)
        case .geluGradient(let auxiliary): binary(.geluGradient, auxiliary.reshape(c.shape), c, into: c)
        }
    }

    private static func copyBytes(from x: Tensor, to y: Tensor) {
        withMemory(of: x) { copyBytes(from: UnsafeRawBufferPointer(start: $0, count: x.byteCount), to: y) }
    }
}
