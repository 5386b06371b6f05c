import CSIMD
import Testing

/// What the testers of BLAS's level 3 (sblat3) try: every form, leading dimension, alpha and beta, on each way that a product can
/// go; and what IEEE 754 says of infinities and NaN.
@Suite struct GemmLevel3Tests {
    /// m, n, k of a small product, one of few rows with B in either layout, one of one block, one of several, tall and flat ones.
    static let shapes = [
        (9, 17, 12), (3, 40, 130), (16, 90, 160), (37, 101, 95), (40, 70, 1100), (1, 300, 64), (300, 3, 9), (5, 1, 1),
    ]

    @Test(arguments: GemmTests.types.map(\.rawValue))
    func everyFormFactorAndLeadingDimension(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        for (index, (m, n, k)) in Self.shapes.enumerated() {
            for layout in 0..<4 {
                for (step, alpha) in ([0, 1, 0.7] as [Float]).enumerated() {
                    for (turn, beta) in ([0, 1, 1.3] as [Float]).enumerated() {
                        GemmProblem(
                            m: m, n: n, k: k,
                            types: (type, type, (index + step + turn) % 2 == 0 ? CSIMD_F32 : type),
                            transposed: (layout & 1 != 0, layout & 2 != 0), alpha: alpha, beta: beta,
                            padding: (layout + step + turn) % 2 * 5
                        ).check()
                    }
                }
            }
        }
    }

    /// inf × 0 is NaN in its element only, the rest of the row is an infinity of B's sign; inf - inf is NaN.
    @Test func infinitiesFollowIEEE754() {
        for (m, n, k) in Self.shapes where n > 1 && k > 1 {
            for layout in 0..<4 {
                for type in GemmTests.types {
                    let transposed = (a: layout & 1 != 0, b: layout & 2 != 0)
                    let operands = GemmProblem(
                        m: m, n: n, k: k, types: (type, type, CSIMD_F32), transposed: transposed, padding: 1,
                        draw: { $0.next(below: 2) == 0 ? -1 : 1 }
                    ).make()
                    defer { operands.release() }
                    let (i, p, zero) = (m - 1, k - 1, n / 2)
                    func setA(_ i: Int, _ p: Int, _ value: Float) {
                        operands.a[transposed.a ? p : i, transposed.a ? i : p] = value
                    }
                    func b(_ p: Int, _ j: Int) -> Float {
                        operands.b[transposed.b ? j : p, transposed.b ? p : j]
                    }
                    setA(i, p, .infinity)
                    operands.b[transposed.b ? zero : p, transposed.b ? p : zero] = 0
                    forEachGemm { row in
                        #expect(operands.run() == CSIMD_OK)
                        let wrong = (0..<n).first { j in
                            let got = operands.c[i, j]
                            return j == zero ? !got.isNaN : got != b(p, j) * .infinity
                        }
                        let others = (0..<m - 1).allSatisfy { r in (0..<n).allSatisfy { operands.c[r, $0].isFinite } }
                        #expect(wrong == nil && others, "\(row) [\(m), \(n), \(k)] layout \(layout) at \(wrong ?? -1)")
                    }
                    // A second infinity in the row, k apart: of the other sign where B's signs agree.
                    setA(i, 0, -.infinity)
                    forEachGemm { row in
                        #expect(operands.run() == CSIMD_OK)
                        let wrong = (0..<n).first { j in
                            let got = operands.c[i, j]
                            let isNaN = j == zero || b(0, j) == b(p, j)
                            return isNaN ? !got.isNaN : got != b(p, j) * .infinity
                        }
                        #expect(wrong == nil, "\(row) [\(m), \(n), \(k)] layout \(layout) at \(wrong ?? -1)")
                    }
                }
            }
        }
    }

    /// A NaN or an infinity in C spoils its own element where beta is not 0, and nothing where it is.
    @Test func whatCHoldsCountsWithBetaOnly() {
        for (m, n, k) in Self.shapes where n > 1 {
            for type in GemmTests.types {
                for special: Float in [.nan, .infinity] {
                    for beta: Float in [0, 1, -2] {
                        let operands = GemmProblem(
                            m: m, n: n, k: k, types: (type, type, type), beta: 1, padding: 2
                        ).make()
                        defer { operands.release() }
                        operands.c[m / 2, n - 1] = special
                        let before = operands.snapshot()
                        forEachGemm { row in
                            operands.restore(before)
                            var args = operands.arguments
                            args.beta = beta
                            #expect(csimd_gemm(&args) == CSIMD_OK)
                            let got = operands.c[m / 2, n - 1]
                            let ok =
                                beta == 0
                                ? got.isFinite : special.isNaN ? got.isNaN : got == beta * .infinity
                            let others = (0..<m).allSatisfy { r in
                                (0..<n).allSatisfy { (r == m / 2 && $0 == n - 1) || operands.c[r, $0].isFinite }
                            }
                            #expect(ok && others, "\(row) [\(m), \(n), \(k)] beta \(beta) over \(special): \(got)")
                        }
                    }
                }
            }
        }
    }
}
