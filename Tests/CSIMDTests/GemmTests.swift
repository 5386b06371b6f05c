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
                    GemmProblem(
                        m: m, n: n, k: k, transposed: (layout & 1 != 0, layout & 2 != 0), padding: step % 2 * 3
                    ).check()
                }
            }
        }
    }

    /// Lengths around the vectors and pairs that transposition moves, and sums of more than one block of k.
    @Test func everyLengthOfSums() {
        for k in [2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 67, 512, 513, 1024, 1025, 2100] {
            for layout in 0..<4 {
                for c in [CSIMD_F32, CSIMD_BF16] {
                    GemmProblem(
                        m: 3, n: 17, k: k, types: (CSIMD_BF16, CSIMD_F16, c),
                        transposed: (layout & 1 != 0, layout & 2 != 0), beta: layout == 1 ? 1 : 0, padding: 1
                    ).check()
                }
            }
        }
    }

    @Test func moreThanOneBlockOfRowsAndColumns() {
        for layout in 0..<4 {
            let transposed = (layout & 1 != 0, layout & 2 != 0)
            GemmProblem(m: 307, n: 33, k: 5, transposed: transposed).check()
            GemmProblem(m: 5, n: 1063, k: 6, transposed: transposed).check()
        }
    }

    /// The kernels that read B where it lies: every number of rows, columns around their groups, lengths around their vectors.
    @Test func fewRows() {
        for m in 1...17 {
            for (n, k) in [(1, 256), (2, 257), (26, 271), (33, 272), (133, 64), (131, 65)] {
                let index = (m + n) % 3
                GemmProblem(
                    m: m, n: n, k: k, types: (CSIMD_BF16, Self.types[index], index == 1 ? CSIMD_F32 : CSIMD_F16),
                    transposed: (m % 2 == 0 && k < 256, k >= 256), beta: index == 1 ? 1 : 0,
                    biasType: index == 2 ? CSIMD_F32 : nil, padding: index
                ).check()
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
        for alpha: Float in [0, 1, -0.75] {
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
                        GemmProblem(
                            m: 17, n: n, k: 30, types: (CSIMD_F32, CSIMD_BF16, c), transposed: (false, true),
                            beta: n == 45 ? 1 : 0, biasType: n == 10 ? nil : CSIMD_BF16, epilogue: epilogue,
                            auxType: aux, padding: 1
                        ).check()
                    }
                }
            }
        }
    }

    /// Sums of integers below 2^24 are exact in float32 in any order; the result is their one rounding. Sums of one sign
    /// beyond 2^8 and 2^11 would show a partial sum kept in 16 bits.
    @Test func integersAreExactAndRoundedOnce() {
        for c in Self.types {
            for (m, n, k) in [(15, 33, 700), (3, 17, 1500), (1, 40, 64)] {
                for layout in 0..<4 {
                    let problem = GemmProblem(
                        m: m, n: n, k: k, types: (CSIMD_BF16, CSIMD_F16, c),
                        transposed: (layout & 1 != 0, layout & 2 != 0), draw: { Float($0.next(below: 8)) })
                    let operands = problem.make()
                    defer { operands.release() }
                    let expected = operands.expected().values.map { GemmNumber.encode(Float($0), c) }
                    forEachRow { row in
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
            for transposed in [false, true] {
                let operands = GemmProblem(
                    m: 18, n: 33, k: 4096, transposed: (false, transposed),
                    draw: { positive ? abs($0.nextSigned()) : $0.nextSigned() }
                ).make()
                defer { operands.release() }
                let expected = operands.expected()
                let scale = Double(4099) * 0x1p-24 / (1 - Double(4099) * 0x1p-24)
                // expected().bounds is gamma |A||B| and the rounding to float32; |A||B| is what matters to three digits.
                let size = expected.bounds.reduce(0) { $0 + ($1 / scale) * ($1 / scale) }.squareRoot()
                forEachRow { row in
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
