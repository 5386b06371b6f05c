import CSIMD
import Testing

/// Every element of a product against Double, over shapes, layouts, types, factors and epilogues, on every row.
@Suite struct GemmTests {
    static let types = [CSIMD_F32, CSIMD_F16, CSIMD_BF16]

    /// One below, at and above the heights 6, 12, 14, 28 and widths 8, 16, 32 of the tiles, and primes over two tiles.
    @Test func everyTileEdge() {
        for (index, m) in [1, 2, 5, 6, 7, 11, 12, 13, 14, 15, 27, 28, 29, 37].enumerated() {
            for (step, n) in [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 67].enumerated() {
                let k = [1, 3, 16, 19, 37][(index + step) % 5]
                for layout in 0..<4 {
                    for type in [CSIMD_F32, CSIMD_BF16] {
                        GemmProblem(
                            m: m, n: n, k: k, types: (type, type, CSIMD_F32),
                            transposed: (layout & 1 != 0, layout & 2 != 0), padding: step % 2 * 3
                        ).check()
                    }
                }
            }
        }
    }

    /// Lengths around the vectors and pairs that transposition moves, and sums of more than one block of k.
    @Test func everyLengthOfSums() {
        for k in [2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 67, 512, 513, 1024, 1025, 2100] {
            for layout in 0..<4 {
                for (m, b, c) in [
                    (3, CSIMD_F16, CSIMD_F32), (3, CSIMD_F16, CSIMD_BF16), (18, CSIMD_BF16, CSIMD_F32),
                    (18, CSIMD_BF16, CSIMD_BF16),
                ] {
                    GemmProblem(
                        m: m, n: 17, k: k, types: (CSIMD_BF16, b, c), transposed: (layout & 1 != 0, layout & 2 != 0),
                        beta: layout == 1 ? 1 : 0, padding: 1
                    ).check()
                }
            }
        }
    }

    @Test func moreThanOneBlockOfRowsAndColumns() {
        for layout in 0..<4 {
            let transposed = (layout & 1 != 0, layout & 2 != 0)
            for type in [CSIMD_F32, CSIMD_BF16] {
                let types = (type, type, CSIMD_F32)
                GemmProblem(m: 307, n: 33, k: 5, types: types, transposed: transposed).check()
                GemmProblem(m: 5, n: 1063, k: 6, types: types, transposed: transposed).check()
                GemmProblem(m: 17, n: 1063, k: 30, types: types, transposed: transposed).check()
            }
        }
    }

    /// The kernels that read B where it lies: every number of rows, columns around their groups, lengths around their vectors.
    @Test func fewRows() {
        for m in 1...17 {
            for (n, k) in [(1, 256), (2, 257), (26, 271), (33, 272), (133, 64), (131, 65)] {
                let index = (m + n) % 3
                for b in Set([Self.types[index].rawValue, CSIMD_BF16.rawValue]).sorted() {
                    GemmProblem(
                        m: m, n: n, k: k,
                        types: (CSIMD_BF16, csimd_type(rawValue: b), index == 1 ? CSIMD_F32 : CSIMD_F16),
                        transposed: (m % 2 == 0 && k < 256, k >= 256), beta: index == 1 ? 1 : 0,
                        biasType: index == 2 ? CSIMD_F32 : nil, padding: index
                    ).check()
                }
            }
        }
    }

    /// Dot products over several blocks of k. Columns a multiple of 4 KiB apart: in pairs, vectors of sums wait between blocks of
    /// 2,048, 256 columns at a time, and for no more than 1,024 terms a lane; one row has 8 blocks at once. Others: each block alone.
    @Test func longDotProducts() {
        for (m, n, k) in [
            (1, 9, 4096), (3, 261, 4096), (5, 70, 6144), (8, 40, 2048), (16, 13, 4096), (9, 3, 18_432), (2, 5, 34_816),
            (1, 7, 34_816), (6, 75, 2100), (16, 20, 4133),
        ] {
            for (index, type) in Self.types.enumerated() {
                for exchanged in [false, true] {
                    let problem = GemmProblem(
                        m: exchanged ? n : m, n: exchanged ? m : n, k: k,
                        types: (type, type, index == 1 ? type : CSIMD_F32), transposed: (false, true),
                        beta: index == 0 ? 0.5 : 0, biasType: index == 2 ? CSIMD_F32 : nil)
                    problem.check()
                    let operands = problem.make()
                    defer { operands.release() }
                    forEachRow { row in
                        withThreads(1) { #expect(operands.run() == CSIMD_OK) }
                        let alone = operands.c.doubles
                        if problem.beta != 0 { return }
                        for threads: Int32 in [2, 5] {
                            withThreads(threads) { #expect(operands.run() == CSIMD_OK) }
                            #expect(operands.c.doubles == alone, "\(row) \((m, n, k)) \(type) \(threads) threads")
                        }
                    }
                }
            }
        }
    }

    /// Products of few columns whose operands are both contiguous along k, computed with the operands exchanged: every number of
    /// columns around the limit, rows around their groups and around the 1,024 that are turned round at a time.
    @Test func fewColumns() {
        for n in 1...13 {
            for (m, k) in [(17, 128), (18, 257), (64, 256), (131, 127), (1030, 129), (25, 1100)] {
                let index = (m + n) % 3
                for b in Set([Self.types[index].rawValue, CSIMD_BF16.rawValue]).sorted() {
                    GemmProblem(
                        m: m, n: n, k: k,
                        types: (CSIMD_BF16, csimd_type(rawValue: b), index == 1 ? CSIMD_F32 : CSIMD_F16),
                        transposed: (false, true), beta: index == 1 ? 1 : 0, biasType: index == 2 ? CSIMD_F32 : nil,
                        epilogue: index == 0 ? CSIMD_EPILOGUE_RELU : CSIMD_EPILOGUE_NONE, padding: index
                    ).check()
                }
            }
        }
    }

    /// The same edges in more than one block of k, where A and B are packed.
    @Test func everyTileEdgeOfPackedBlocks() {
        for (index, m) in [5, 6, 7, 12, 13, 14, 15, 28, 29].enumerated() {
            for (step, n) in [1, 8, 9, 16, 17, 32, 33].enumerated() {
                let layout = (index + step) % 4, type = Self.types[(index + 2 * step) % 3]
                GemmProblem(
                    m: m, n: n, k: 1025 + step, types: (type, Self.types[step % 3], Self.types[index % 3]),
                    transposed: (layout & 1 != 0, layout & 2 != 0), beta: [0, 1, 0.5][step % 3],
                    biasType: index % 4 == 1 ? type : nil, padding: index % 2
                ).check()
            }
        }
    }

    /// Both sides of what csimd_gemm_is_small allows: rows 4 and 512, 8,192 elements of B under few rows, 128 rows
    /// and 2,048 and 4,096 elements of a 16-bit A, sums of 16 and of one block of k, 300,000 products, 128 columns.
    @Test func smallProducts() {
        let shapes = [
            (8, 8, 8), (16, 16, 16), (33, 17, 9), (32, 32, 32), (64, 10, 256), (64, 256, 10), (256, 10, 64),
            (3, 64, 128), (3, 65, 128), (4, 65, 128), (2, 1, 16), (1, 20, 17), (512, 3, 5), (513, 3, 5),
            (64, 5, 32), (65, 5, 32), (64, 7, 64), (65, 7, 64), (128, 2, 33), (129, 2, 33),
            (15, 3, 512), (15, 3, 513), (15, 3, 1024), (15, 3, 1025), (18, 128, 20), (18, 129, 20),
            (29, 100, 103), (30, 100, 100),
        ]
        for (step, (m, n, k)) in shapes.enumerated() {
            for layout in 0..<4 {
                for (index, type) in Self.types.enumerated() {
                    let other = Self.types[(index + step) % 3], c = Self.types[(index + layout) % 3]
                    GemmProblem(
                        m: m, n: n, k: k, types: (type, other, c), transposed: (layout & 1 != 0, layout & 2 != 0),
                        beta: [0, 1, 0.5][(step + layout) % 3], biasType: index == 1 ? other : nil,
                        epilogue: layout == 2 ? CSIMD_EPILOGUE_RELU : CSIMD_EPILOGUE_NONE, padding: index
                    ).check()
                }
            }
        }
        // Rows of A 2 KiB apart are copied, since they share two sets of L1.
        GemmProblem(m: 20, n: 33, k: 12, padding: 500).check()
    }

    /// A part of a product taken as a small product of its own has the bits that it has in the large one.
    @Test func smallProductsHaveTheBitsOfLargeOnes() {
        for layout in 0..<4 {
            for type in Self.types {
                let operands = GemmProblem(
                    m: 600, n: 37, k: 100, types: (type, type, CSIMD_F32),
                    transposed: (layout & 1 != 0, layout & 2 != 0)
                ).make()
                defer { operands.release() }
                forEachGemm { row in
                    #expect(operands.run() == CSIMD_OK)
                    let large = operands.c.buffer.array
                    for m in [15, 40] {
                        var args = operands.arguments
                        args.m = m
                        operands.c.restore([UInt8](repeating: 0, count: large.count))
                        #expect(csimd_gemm(&args) == CSIMD_OK)
                        let same = operands.c.buffer.array.prefix(m * 37 * 4) == large.prefix(m * 37 * 4)
                        #expect(same, "\(row) layout \(layout) rows \(m) type \(type.rawValue)")
                    }
                }
            }
        }
    }

    @Test func everyMixOfTypes() {
        for a in Self.types {
            for b in Self.types {
                for c in Self.types {
                    for layout in 0..<4 {
                        GemmProblem(
                            m: 15, n: 37, k: 35, types: (a, b, c), transposed: (layout & 1 != 0, layout & 2 != 0),
                            beta: 0.5, biasType: Self.types[layout % 3], padding: 2
                        ).check()
                    }
                }
            }
        }
    }

    @Test func everyAlphaAndBeta() {
        for alpha: Float in [0, 1, -0.75, 0x1p-130] {  // the last makes results subnormal
            for beta: Float in [0, 1, 1.5] {
                for c in Self.types {
                    for k in [0, 33] {
                        for bias in [nil, CSIMD_F32] {
                            GemmProblem(
                                m: 15, n: 33, k: k, types: (CSIMD_BF16, CSIMD_BF16, c), alpha: alpha, beta: beta,
                                biasType: bias, padding: 1
                            ).check()
                        }
                    }
                }
            }
        }
    }

    @Test func everyEpilogue() {
        for epilogue in [
            CSIMD_EPILOGUE_RELU, CSIMD_EPILOGUE_GELU, CSIMD_EPILOGUE_RELU_GRADIENT, CSIMD_EPILOGUE_GELU_GRADIENT,
        ] {
            for c in Self.types {
                for aux in [nil] + Self.types {
                    let reads = epilogue == CSIMD_EPILOGUE_RELU_GRADIENT || epilogue == CSIMD_EPILOGUE_GELU_GRADIENT
                    if epilogue == CSIMD_EPILOGUE_RELU ? aux != nil : reads && aux == nil { continue }
                    for n in [10, 32, 45] {
                        for a in [CSIMD_F32, CSIMD_BF16] {
                            GemmProblem(
                                m: 17, n: n, k: 30, types: (a, CSIMD_BF16, c), transposed: (false, true),
                                beta: n == 45 ? 1 : 0, biasType: n == 10 ? nil : CSIMD_BF16, epilogue: epilogue,
                                auxType: aux, padding: 1
                            ).check()
                        }
                    }
                }
            }
        }
    }

    /// Sums of integers below 2^24 are exact in float32 in any order; the result is their one rounding. Sums of one sign
    /// beyond 2^8 and 2^11 would show a partial sum kept in 16 bits.
    @Test func integersAreExactAndRoundedOnce() {
        for c in Self.types {
            for (m, n, k) in [(15, 33, 700), (18, 33, 1501), (3, 17, 1500), (1, 40, 64)] {
                for layout in 0..<8 {
                    let problem = GemmProblem(
                        m: m, n: n, k: k, types: (CSIMD_BF16, layout < 4 ? CSIMD_F16 : CSIMD_BF16, c),
                        transposed: (layout & 1 != 0, layout & 2 != 0), draw: { Float($0.next(below: 8)) })
                    let operands = problem.make()
                    defer { operands.release() }
                    let expected = operands.expected().values.map { GemmNumber.encode(Float($0), c) }
                    forEachGemm { row in
                        #expect(operands.run() == CSIMD_OK)
                        let got = (0..<m).flatMap { i in (0..<n).map { operands.c.bits(i, $0) } }
                        #expect(got == expected, "\(row) \(problem.name)")
                    }
                }
            }
        }
    }

    /// ||E||_F / || |A||B| ||_F: 1 u for random signs, 6 u for positive numbers, at k = 4096 (TRUST.md (b)). What blocks of k
    /// buy: one run of 4,096 sums would be at 15 u.
    @Test func errorsAreSmallInNormOverLongSums() {
        for (positive, limit) in [(false, 1.0), (true, 6.0)] {
            for (transposed, type) in [
                (false, CSIMD_F32), (true, CSIMD_F32), (false, CSIMD_BF16), (true, CSIMD_BF16),
            ] {
                let operands = GemmProblem(
                    m: 18, n: 33, k: 4096, types: (type, type, CSIMD_F32), transposed: (false, transposed),
                    draw: { positive ? abs($0.nextSigned()) : $0.nextSigned() }
                ).make()
                defer { operands.release() }
                let expected = operands.expected()
                let scale = Double(4099) * 0x1p-24 / (1 - Double(4099) * 0x1p-24)
                // expected().bounds is gamma |A||B| and the rounding to float32; |A||B| is what matters to three digits.
                let size = expected.bounds.reduce(0) { $0 + ($1 / scale) * ($1 / scale) }.squareRoot()
                forEachGemm { row in
                    #expect(operands.run() == CSIMD_OK)
                    let error = zip(operands.c.doubles, expected.values)
                        .reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
                    let ok = error <= limit * 0x1p-24 * size
                    #expect(ok, "\(row) positive \(positive): \(error / size / 0x1p-24) u")
                }
            }
        }
    }
}
