import CSIMD
import Testing

/// What the header promises besides the sum: special values, refusals, threads, batches.
@Suite struct GemmContractTests {
    @Test func anyThreadCountGivesTheSameBits() {
        for (m, n, k) in [
            (64, 128, 784), (131, 67, 300), (300, 40, 1500), (1, 700, 700), (10, 256, 64), (700, 3, 256),
            (20, 16, 4000), (16, 16, 16), (33, 17, 9), (64, 64, 64), (64, 10, 256),
        ] {
            for layout in 0..<4 {
                for (b, c, epilogue) in [
                    (CSIMD_F16, CSIMD_F32, CSIMD_EPILOGUE_NONE), (CSIMD_F16, CSIMD_BF16, CSIMD_EPILOGUE_GELU),
                    (CSIMD_BF16, CSIMD_F32, CSIMD_EPILOGUE_NONE), (CSIMD_BF16, CSIMD_BF16, CSIMD_EPILOGUE_GELU),
                ] {
                    let problem = GemmProblem(
                        m: m, n: n, k: k, types: (CSIMD_BF16, b, c),
                        transposed: (layout & 1 != 0, layout & 2 != 0), epilogue: epilogue)
                    let operands = problem.make()
                    defer { operands.release() }
                    forEachGemm { row in
                        if row == "ref" { return }
                        var first: [UInt8]?
                        for threads: Int32 in [1, 2, 3, 8] {
                            withThreads(threads) { #expect(operands.run() == CSIMD_OK) }
                            let bytes = operands.c.buffer.array
                            #expect(bytes == first ?? bytes, "row \(row) threads \(threads) \(problem.name)")
                            first = bytes
                        }
                    }
                }
            }
        }
    }

    /// A NaN or an infinity at (i, p) of A poisons row i of C and leaves every other bit alone; at (p, j) of B column j.
    @Test func specialValuesPoisonExactlyTheirRowOrColumn() {
        let n = 41
        for layout in 0..<12 {
            let (m, k) = [(15, 35), (3, 35), (15, 1100)][layout / 4]  // small, small of few rows, in packed blocks
            for type in GemmTests.types {
                let transposed = (a: layout & 1 != 0, b: layout & 2 != 0)
                let operands = GemmProblem(m: m, n: n, k: k, types: (type, type, type), transposed: transposed).make()
                defer { operands.release() }
                forEachGemm { row in
                    #expect(operands.run() == CSIMD_OK)
                    let clean = operands.c.buffer.array
                    for special: Float in [.nan, .infinity] {
                        for (i, j, p) in [(0, 0, 0), (m - 1, 40, 34), (m - 2, 32, 17), (m / 2, 31, 32)] {
                            for inA in [true, false] {
                                let (line, place) =
                                    inA
                                    ? (transposed.a ? (p, i) : (i, p)) : (transposed.b ? (j, p) : (p, j))
                                let matrix = inA ? operands.a : operands.b
                                let old = matrix[line, place]
                                matrix[line, place] = special
                                #expect(operands.run() == CSIMD_OK)
                                matrix[line, place] = old
                                let size = GemmNumber.bytes(type)
                                let got = operands.c.buffer.array
                                var wrong = 0
                                for r in 0..<m {
                                    for s in 0..<n {
                                        let bytes = (r * n + s) * size..<(r * n + s + 1) * size
                                        let poisoned = inA ? r == i : s == j
                                        if poisoned ? operands.c[r, s].isFinite : got[bytes] != clean[bytes] {
                                            wrong += 1
                                        }
                                    }
                                }
                                #expect(wrong == 0, "\(row) layout \(layout) \(special) at \((i, j, p)) in A: \(inA)")
                            }
                        }
                    }
                }
            }
        }
    }

    @Test func roundingOverflowsNaNAndSubnormals() {
        // Factor times 1, in float32, is the number that the result is the rounding of.
        let cases: [(Float, csimd_type, UInt32)] = [
            (65519, CSIMD_F16, 0x7BFF), (65520, CSIMD_F16, 0x7C00), (-65520, CSIMD_F16, 0xFC00),
            (0x1p-25, CSIMD_F16, 0), (0x1.000002p-25, CSIMD_F16, 1), (0x1p-24, CSIMD_F16, 1),
            (Float(bitPattern: 0x7F7F_7FFF), CSIMD_BF16, 0x7F7F), (Float(bitPattern: 0x7F7F_8000), CSIMD_BF16, 0x7F80),
            (1.00390625, CSIMD_BF16, 0x3F80), (1.01171875, CSIMD_BF16, 0x3F82),
            (Float(bitPattern: 0x0001_0000), CSIMD_BF16, 1), (Float(bitPattern: 0x0000_8001), CSIMD_BF16, 1),
            (Float(bitPattern: 0x0000_8000), CSIMD_BF16, 0), (Float(bitPattern: 1), CSIMD_F32, 1),
            (Float(bitPattern: 0x8000_0001), CSIMD_F32, 0x8000_0001),
        ]
        for (value, type, bits) in cases {
            for (m, n) in [(1, 1), (15, 33)] {
                var problem = GemmProblem(m: m, n: n, k: 1, types: (CSIMD_F32, CSIMD_F32, type))
                for epilogue in [CSIMD_EPILOGUE_NONE, CSIMD_EPILOGUE_RELU] {
                    problem.epilogue = epilogue
                    let operands = problem.make()
                    defer { operands.release() }
                    for i in 0..<m { operands.a[i, 0] = value }
                    for j in 0..<n { operands.b[0, j] = 1 }
                    forEachGemm { row in
                        #expect(operands.run() == CSIMD_OK)
                        let expected = epilogue == CSIMD_EPILOGUE_RELU && value < 0 ? 0 : bits
                        #expect(operands.c.bits(m - 1, n - 1) == expected, "\(row) \(value)")
                    }
                }
            }
        }
    }

    @Test func epiloguesKeepNaN() {
        for type in GemmTests.types {
            for epilogue in [CSIMD_EPILOGUE_NONE, CSIMD_EPILOGUE_RELU, CSIMD_EPILOGUE_GELU] {
                let operands = GemmProblem(m: 2, n: 17, k: 3, types: (type, type, type), epilogue: epilogue).make()
                defer { operands.release() }
                operands.a[1, 2] = .nan
                forEachGemm { row in
                    #expect(operands.run() == CSIMD_OK)
                    for j in 0..<17 {
                        #expect(operands.c[1, j].isNaN && operands.c[0, j].isFinite, "\(row) \(epilogue.rawValue)")
                    }
                }
            }
        }
    }

    /// k = 0 and alpha = 0 read neither A nor B and leave exactly beta C, the sign of a zero included.
    @Test func withoutProductsOnlyBetaCIsLeft() {
        for (k, alpha): (Int, Float) in [(0, 1), (4, 0)] {
            for type in GemmTests.types {
                let operands = GemmProblem(m: 7, n: 19, k: k, types: (type, type, type), alpha: alpha, beta: 1).make()
                defer { operands.release() }
                operands.c[0, 0] = -0.0
                let before = operands.c.buffer.array
                forEachGemm { row in
                    var args = operands.arguments
                    args.a = nil
                    args.b = nil
                    #expect(csimd_gemm(&args) == CSIMD_OK)
                    #expect(operands.c.buffer.array == before, "\(row) k \(k) alpha \(alpha)")
                    args.beta = 0
                    #expect(csimd_gemm(&args) == CSIMD_OK)
                    #expect(operands.c.buffer.array.allSatisfy { $0 == 0 }, "\(row) k \(k) alpha \(alpha)")
                    operands.c.restore(before)
                }
            }
        }
    }

    @Test func emptyResultsAndRefusalsWriteNothing() {
        let operands = GemmProblem(m: 5, n: 7, k: 3, beta: 1, epilogue: CSIMD_EPILOGUE_GELU, auxType: CSIMD_F32).make()
        defer { operands.release() }
        let before = operands.snapshot()
        let changes: [(String, csimd_status, (inout csimd_gemm_args) -> Void)] = [
            ("m 0", CSIMD_OK, { $0.m = 0 }), ("n 0", CSIMD_OK, { $0.n = 0 }),
            ("lda", CSIMD_INVALID_ARGUMENT, { $0.lda = 2 }), ("ldb", CSIMD_INVALID_ARGUMENT, { $0.ldb = 6 }),
            ("ldc", CSIMD_INVALID_ARGUMENT, { $0.ldc = 6 }), ("ldaux", CSIMD_INVALID_ARGUMENT, { $0.ldaux = 6 }),
            ("lda transposed", CSIMD_INVALID_ARGUMENT, { $0.a_transposed = true }),
            ("f64", CSIMD_INVALID_ARGUMENT, { $0.b_type = CSIMD_F64 }),
            ("epilogue", CSIMD_INVALID_ARGUMENT, { $0.epilogue = csimd_epilogue(rawValue: 5) }),
            ("batch 0", CSIMD_INVALID_ARGUMENT, { $0.batch = 0 }),
            ("shared C", CSIMD_INVALID_ARGUMENT, { $0.batch = 2 }),
            ("no A", CSIMD_INVALID_ARGUMENT, { $0.a = nil }), ("no C", CSIMD_INVALID_ARGUMENT, { $0.c = nil }),
            ("m too large", CSIMD_INVALID_ARGUMENT, { $0.m = .max / 2 }),
            (
                "no aux", CSIMD_INVALID_ARGUMENT,
                {
                    $0.epilogue = CSIMD_EPILOGUE_RELU_GRADIENT
                    $0.aux = nil
                }
            ),
        ]
        for (name, status, change) in changes {
            forEachGemm { row in
                var args = operands.arguments
                change(&args)
                #expect(csimd_gemm(&args) == status, "\(row) \(name)")
                #expect(operands.snapshot() == before, "\(row) \(name)")
            }
        }
    }

    /// Each product of a batch has the bits that it has alone; strides larger than a matrix, and 0 for a shared operand.
    /// More threads than products cut each of them.
    @Test(arguments: [(5, 9, 21, 12), (2, 64, 64, 60), (3, 70, 90, 80)])
    func batchesAreTheirProducts(batch: Int, m: Int, n: Int, k: Int) {
        let (aStride, cStride) = (m * k + 7, m * n + 11)
        let a = GemmMatrix(CSIMD_BF16, 1, (batch - 1) * aStride + m * k) { _, j in Float(j % 37) * 0.125 - 2 }
        let b = GemmMatrix(CSIMD_F32, 1, n * k) { _, j in Float(j % 29) * 0.1 - 1 }
        let c = GemmMatrix(CSIMD_F16, 1, (batch - 1) * cStride + m * n) { _, _ in 7 }
        let aux = GemmMatrix(CSIMD_F32, 1, batch * m * n) { _, _ in 7 }
        defer { for matrix in [a, b, c, aux] { matrix.buffer.release() } }
        var args = csimd_gemm_args()
        (args.m, args.n, args.k, args.alpha) = (m, n, k, 1)
        (args.a_type, args.b_type, args.c_type, args.aux_type) = (a.type, b.type, c.type, aux.type)
        (args.lda, args.ldb, args.ldc, args.ldaux) = (k, n, n, n)
        args.a = UnsafeRawPointer(a.buffer.pointer)
        args.b = UnsafeRawPointer(b.buffer.pointer)
        args.c = UnsafeMutableRawPointer(c.buffer.pointer)
        args.aux = UnsafeMutableRawPointer(aux.buffer.pointer)
        args.epilogue = CSIMD_EPILOGUE_GELU
        (args.batch, args.a_stride, args.b_stride, args.c_stride, args.aux_stride) = (batch, aStride, 0, cStride, m * n)
        let fresh = [c.buffer.array, aux.buffer.array]
        forEachGemm { row in
            for index in 0..<batch {
                var one = args
                one.batch = 1
                one.a = args.a + index * aStride * 2
                one.c = args.c + index * cStride * 2
                one.aux = args.aux + index * m * n * 4
                #expect(csimd_gemm(&one) == CSIMD_OK)
            }
            let alone = [c.buffer.array, aux.buffer.array]
            for threads: Int32 in [1, 3, 8] {
                c.restore(fresh[0])
                aux.restore(fresh[1])
                withThreads(threads) { #expect(csimd_gemm(&args) == CSIMD_OK) }
                #expect([c.buffer.array, aux.buffer.array] == alone, "\(row) threads \(threads)")
            }
            #expect(c[0, m * n] == 7, "\(row): the gap between two results was written")
        }
    }
}
