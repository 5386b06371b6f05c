import CSIMD
import Testing

/// The native bf16 kernels, the vector instruction's and AMX's (emulated where the CPU has none): the bits that the
/// instruction's definition gives, subnormals, and the choice of the kernel.
@Suite struct GemmNativeTests {
    /// Runs `body` with each native kernel of each row that has one.
    private func forEachNative(_ body: (_ kernel: String, _ choice: csimd_bf16_gemm) -> Void) {
        csimd_set_thread_emulation(true)
        defer {
            csimd_set_thread_emulation(false)
            csimd_set_thread_bf16_gemm(-1)
        }
        forEachRow { row in
            for choice in [CSIMD_NATIVE, CSIMD_AMX] {
                let chosen = csimd_set_thread_bf16_gemm(Int32(choice.rawValue)) == CSIMD_OK
                if chosen, csimd_active_bf16_gemm() == choice {
                    body("\(row) \(choice == CSIMD_AMX ? "amx" : "native")", choice)
                }
            }
        }
    }

    /// VDPBF16PS on one lane, as Intel's and AMD's manuals define it and this CPU does it: the odd element's product is added to
    /// the sum, then the even one's, each by one fused multiply-add to nearest even; subnormal operands are zero, and so is
    /// what comes out below 2^-126.
    private func step(_ sum: Float, _ a: (Float, Float), _ b: (Float, Float)) -> Float {
        func operand(_ x: Float) -> Float { x.isSubnormal ? 0 : x }
        func added(_ x: Float, _ y: Float, _ sum: Float) -> Float {
            let z = sum.addingProduct(operand(x), operand(y))
            return z.isSubnormal ? (z < 0 ? -0.0 : 0) : z
        }
        return added(a.0, b.0, added(a.1, b.1, sum))
    }

    /// TDPBF16PS on one element of a tile, as Intel's manual defines it: 16 pairs, the even elements' products summed apart from the
    /// odd ones', each from 0 by fused multiply-adds; their sum is added to the tile. Subnormals are zero everywhere.
    private func tileStep(_ sum: Float, _ pairs: [(a: (Float, Float), b: (Float, Float))]) -> Float {
        func flushed(_ x: Float) -> Float { x.isSubnormal ? (x < 0 ? -0.0 : 0) : x }
        var even: Float = 0, odd: Float = 0
        for pair in pairs {
            even = flushed(even.addingProduct(flushed(pair.a.0), flushed(pair.b.0)))
            odd = flushed(odd.addingProduct(flushed(pair.a.1), flushed(pair.b.1)))
        }
        return flushed(sum + flushed(even + odd))
    }

    /// What the kernel computes with: pairs of k in order, an odd k filled up with zeros, blocks of at most 1,024 added up in
    /// order.
    private func emulate(_ operands: GemmOperands, _ choice: csimd_bf16_gemm) -> [Float] {
        let problem = operands.problem
        let k = problem.k, blocks = (k + 1023) / 1024
        let depth = blocks == 1 ? k : ((k + blocks - 1) / blocks + 31) / 32 * 32
        func a(_ i: Int, _ p: Int) -> Float { problem.transposed.a ? operands.a[p, i] : operands.a[i, p] }
        func b(_ p: Int, _ j: Int) -> Float { problem.transposed.b ? operands.b[j, p] : operands.b[p, j] }
        var result: [Float] = []
        for i in 0..<problem.m {
            for j in 0..<problem.n {
                var total: Float = 0
                for first in stride(from: 0, to: k, by: depth) {
                    let end = min(k, first + depth)
                    let pairs = stride(from: first, to: end, by: 2).map { p in
                        let inside = p + 1 < end
                        return (a: (a(i, p), inside ? a(i, p + 1) : 0), b: (b(p, j), inside ? b(p + 1, j) : 0))
                    }
                    var sum: Float = 0
                    if choice == CSIMD_NATIVE {
                        for pair in pairs { sum = step(sum, pair.a, pair.b) }
                    } else {
                        for q in stride(from: 0, to: pairs.count, by: 16) {
                            sum = tileStep(sum, Array(pairs[q..<min(pairs.count, q + 16)]))
                        }
                    }
                    total = first == 0 ? sum : total + sum
                }
                result.append(total)
            }
        }
        return result
    }

    /// Numbers of every size: 2^-74 to 2^53, so that products of two reach from the subnormals of float32 up.
    private static func anySize(_ random: inout GemmRandom) -> Float {
        let sign = random.next(below: 2) == 0 ? FloatingPointSign.plus : .minus
        return Float(
            sign: sign, exponent: random.next(below: 128) - 74, significand: 1 + Float(random.next(below: 128)) / 128)
    }

    /// Numbers whose products lie about 2^-126: most steps flush, and many partial sums come close to it.
    private static func tiny(_ random: inout GemmRandom) -> Float {
        let sign = random.next(below: 2) == 0 ? FloatingPointSign.plus : .minus
        return Float(
            sign: sign, exponent: random.next(below: 4) - 65, significand: 1 + Float(random.next(below: 128)) / 128)
    }

    @Test func hasTheBitsOfItsEmulation() {
        let draws: [(inout GemmRandom) -> Float] = [{ $0.nextSigned() }, Self.anySize, Self.tiny]
        for (m, n, k) in [(17, 33, 64), (29, 16, 37), (15, 67, 1), (20, 49, 1027), (18, 13, 2100)] {
            for layout in 0..<4 {
                for (kind, draw) in draws.enumerated() {
                    let operands = GemmProblem(
                        m: m, n: n, k: k, types: (CSIMD_BF16, CSIMD_BF16, CSIMD_F32),
                        transposed: (layout & 1 != 0, layout & 2 != 0), seed: UInt64(kind), draw: draw
                    ).make()
                    defer { operands.release() }
                    forEachNative { kernel, choice in
                        let expected = emulate(operands, choice)
                        #expect(operands.run() == CSIMD_OK)
                        let wrong = (0..<m * n).filter {
                            operands.c[$0 / n, $0 % n].bitPattern != expected[$0].bitPattern
                        }
                        #expect(
                            wrong.isEmpty, "\(kernel) \((m, n, k)) layout \(layout) draw \(kind) at \(wrong.prefix(3))")
                    }
                }
            }
        }
    }

    /// Every bf16 pattern times 1, each in a row of its own and each in a column of its own: nothing is flushed.
    @Test(arguments: [false, true]) func everyPatternTimesOneIsItself(inColumns: Bool) {
        let count = 65536, others = 17
        for transposed in [false, true] {
            let problem = GemmProblem(
                m: inColumns ? others : count, n: inColumns ? count : others, k: 1,
                types: (CSIMD_BF16, CSIMD_BF16, CSIMD_F32),
                transposed: (transposed && !inColumns, transposed && inColumns))
            let (aShape, bShape) =
                inColumns
                ? ((others, 1), transposed ? (count, 1) : (1, count))
                : (transposed ? (1, count) : (count, 1), (1, others))
            let make: (Bool, (Int, Int)) -> GemmMatrix = { patterned, shape in
                GemmMatrix(CSIMD_BF16, shape.0, shape.1) { i, j in
                    patterned ? Float(bitPattern: UInt32(max(i, j)) << 16) : 1
                }
            }
            let operands = GemmOperands(
                problem: problem, a: make(!inColumns, aShape), b: make(inColumns, bShape),
                c: GemmMatrix(CSIMD_F32, problem.m, problem.n) { _, _ in .nan }, bias: nil, aux: nil)
            defer { operands.release() }
            forEachNative { kernel, _ in
                #expect(operands.run() == CSIMD_OK)
                var wrong: [Int] = []
                for pattern in 0..<count {
                    let value = Float(bitPattern: UInt32(pattern) << 16)
                    for other in [0, others - 1] {
                        let got = inColumns ? operands.c[other, pattern] : operands.c[pattern, other]
                        if !(value.isNaN ? got.isNaN : got == value) { wrong.append(pattern) }
                    }
                }
                #expect(wrong.isEmpty, "\(kernel) transposed \(transposed): \(wrong.prefix(5))")
            }
        }
    }

    /// The same where B is read in place: every pattern as the last term of a dot product, the other terms being 0.
    @Test func everyPatternTimesOneIsItselfInDotProducts() {
        let count = 65536
        for (m, k) in [(1, 16), (3, 33), (8, 64), (11, 96)] {
            let operands = GemmOperands(
                problem: GemmProblem(
                    m: m, n: count, k: k, types: (CSIMD_BF16, CSIMD_BF16, CSIMD_F32), transposed: (false, true)),
                a: GemmMatrix(CSIMD_BF16, m, k) { _, p in p == k - 1 ? 1 : 0 },
                b: GemmMatrix(CSIMD_BF16, count, k) { j, p in p == k - 1 ? Float(bitPattern: UInt32(j) << 16) : 0 },
                c: GemmMatrix(CSIMD_F32, m, count) { _, _ in .nan }, bias: nil, aux: nil)
            defer { operands.release() }
            forEachNative { kernel, _ in
                #expect(operands.run() == CSIMD_OK)
                let wrong = (0..<count).filter { pattern in
                    let value = Float(bitPattern: UInt32(pattern) << 16), got = operands.c[m - 1, pattern]
                    return !(value.isNaN ? got.isNaN : got == value)
                }
                #expect(wrong.isEmpty, "\(kernel) \((m, k)): \(wrong.prefix(5))")
            }
        }
    }

    /// And with the operands exchanged, where there are few columns.
    @Test func everyPatternTimesOneIsItselfInExchangedDotProducts() {
        let count = 65536
        for (n, k) in [(1, 128), (10, 161)] {
            let operands = GemmOperands(
                problem: GemmProblem(
                    m: count, n: n, k: k, types: (CSIMD_BF16, CSIMD_BF16, CSIMD_F32), transposed: (false, true)),
                a: GemmMatrix(CSIMD_BF16, count, k) { i, p in p == k - 1 ? Float(bitPattern: UInt32(i) << 16) : 0 },
                b: GemmMatrix(CSIMD_BF16, n, k) { _, p in p == k - 1 ? 1 : 0 },
                c: GemmMatrix(CSIMD_F32, count, n) { _, _ in .nan }, bias: nil, aux: nil)
            defer { operands.release() }
            forEachNative { kernel, choice in
                if choice == CSIMD_AMX { return }  // its dot products are the vector instruction's
                #expect(operands.run() == CSIMD_OK)
                let wrong = (0..<count).filter { pattern in
                    let value = Float(bitPattern: UInt32(pattern) << 16), got = operands.c[pattern, n - 1]
                    return !(value.isNaN ? got.isNaN : got == value)
                }
                #expect(wrong.isEmpty, "\(kernel) \((n, k)): \(wrong.prefix(5))")
            }
        }
    }

    /// A subnormal in row i of A changes to the widening kernel's bits exactly row i, one in column j of B the 32 columns that
    /// are packed together (where B is read in place, that column), in whatever block of k it is, for any number of threads.
    @Test func subnormalsTakeTheWideningKernelForTheirRowOrPanel() {
        let subnormal = Float(bitPattern: 0x0023_0000), large: Float = 0x1p120
        for (m, n, k) in [(37, 75, 64), (300, 70, 131), (31, 40, 1100), (15, 700, 300), (5, 75, 1100)] {
            for layout in 0..<4 {
                let dots = layout == 2 && m <= 16
                if m <= 14 && !dots { continue }  // few rows by a B stored [k, n] widen in any case

                let transposed = (a: layout & 1 != 0, b: layout & 2 != 0)
                let operands = GemmProblem(
                    m: m, n: n, k: k, types: (CSIMD_BF16, CSIMD_BF16, CSIMD_F32), transposed: transposed
                ).make()
                defer { operands.release() }
                for (i, j, p, inA) in [
                    (m - 2, 0, k - 1, true), (min(14, m - 1), 0, 0, true), (0, n - 1, k - 1, false),
                    (0, 33, k / 2, false),
                ] {
                    // The partner, large, makes the product count.
                    let (line, place) =
                        inA ? (transposed.a ? (p, i) : (i, p)) : (transposed.b ? (j, p) : (p, j))
                    let matrix = inA ? operands.a : operands.b
                    let old = matrix[line, place], otherMatrix = inA ? operands.b : operands.a
                    let partners = (0..<(inA ? n : m)).map { q in
                        inA ? (transposed.b ? (q, p) : (p, q)) : (transposed.a ? (p, q) : (q, p))
                    }
                    let oldPartners = partners.map { otherMatrix[$0.0, $0.1] }
                    for (line, place) in partners { otherMatrix[line, place] = large }
                    forEachNative { kernel, choice in
                        #expect(operands.run() == CSIMD_OK)
                        matrix[line, place] = subnormal
                        csimd_set_thread_bf16_gemm(Int32(CSIMD_WIDEN.rawValue))
                        #expect(operands.run() == CSIMD_OK)
                        let widened = operands.c.doubles
                        csimd_set_thread_bf16_gemm(Int32(choice.rawValue))
                        matrix[line, place] = 0
                        #expect(operands.run() == CSIMD_OK)
                        let without = operands.c.doubles
                        matrix[line, place] = subnormal
                        for threads: Int32 in [1, 2, 3, 8] {
                            withThreads(threads) { #expect(operands.run() == CSIMD_OK) }
                            let got = operands.c.doubles
                            var wrong = 0, uncounted = 0
                            for r in 0..<m {
                                for s in 0..<n {
                                    let counts = inA ? r == i : s == j
                                    let touched = counts || (!inA && !dots && s / 32 == j / 32)
                                    let expected = !touched ? without : k <= 1024 && !dots ? widened : nil
                                    if let expected, got[r * n + s] != expected[r * n + s] { wrong += 1 }
                                    if counts && got[r * n + s] == without[r * n + s] { uncounted += 1 }
                                }
                            }
                            let place =
                                "\(kernel) \((m, n, k)) layout \(layout) \((i, j, p)) in A: \(inA) threads \(threads)"
                            #expect(wrong == 0, "\(place)")
                            #expect(uncounted == 0, "\(place): the subnormal did not count")
                        }
                        matrix[line, place] = old
                    }
                    for (index, (line, place)) in partners.enumerated() {
                        otherMatrix[line, place] = oldPartners[index]
                    }
                }
            }
        }
    }

    /// Within (k + 2) 2^-126, where every product of normal numbers is subnormal; the widening kernel keeps them.
    @Test func onlyPartialSumsBelowTheLeastNormalNumberAreLost() {
        for layout in 0..<4 {
            let problem = GemmProblem(
                m: 18, n: 35, k: 300, types: (CSIMD_BF16, CSIMD_BF16, CSIMD_F32),
                transposed: (layout & 1 != 0, layout & 2 != 0), draw: Self.tiny)
            problem.check()
        }
    }

    /// alpha, beta, bias, epilogue and the result's type are the finishing pass's, whatever multiplied; tiles of every height.
    @Test func theFinishingPassIsTheUsualOne() {
        for (m, n, k, type) in [(61, 45, 70, CSIMD_BF16), (33, 64, 1100, CSIMD_F32), (17, 31, 33, CSIMD_F16)] {
            for layout in 0..<4 {
                var problem = GemmProblem(
                    m: m, n: n, k: k, types: (CSIMD_BF16, CSIMD_BF16, type),
                    transposed: (layout & 1 != 0, layout & 2 != 0))
                (problem.alpha, problem.beta, problem.biasType, problem.padding) = (0.75, -2, CSIMD_F32, layout)
                problem.epilogue = CSIMD_EPILOGUE_RELU
                let operands = problem.make()
                defer { operands.release() }
                let expected = operands.expected(), before = operands.snapshot()
                forEachNative { kernel, _ in
                    for threads: Int32 in [1, 3] {
                        operands.restore(before)
                        withThreads(threads) { #expect(operands.run() == CSIMD_OK) }
                        if let failure = operands.failure(against: expected, before: before) {
                            Issue.record("\(kernel) \(problem.name): \(failure)")
                        }
                    }
                }
            }
        }
    }

    @Test func aThreadChoosesTheKernel() {
        let widen = Int32(CSIMD_WIDEN.rawValue), native = Int32(CSIMD_NATIVE.rawValue)
        let standard = (csimd_active_bf16_gemm(), csimd_bf16_gemm_reason())
        let hasNative = csimd_row_has_native_bf16(csimd_active_row())
        #expect(csimd_set_thread_bf16_gemm(native) == (hasNative ? CSIMD_OK : CSIMD_INVALID_ARGUMENT))
        #expect((csimd_active_bf16_gemm() == CSIMD_NATIVE) == hasNative)
        #expect(csimd_bf16_gemm_reason() == (hasNative ? CSIMD_BF16_BY_THREAD : CSIMD_BF16_BY_ABSENCE))
        #expect(csimd_set_thread_bf16_gemm(widen) == CSIMD_OK)
        #expect(csimd_active_bf16_gemm() == CSIMD_WIDEN)
        #expect(csimd_bf16_gemm_reason() == (hasNative ? CSIMD_BF16_BY_THREAD : CSIMD_BF16_BY_ABSENCE))
        // The reference row has none, whatever is asked for.
        #expect(csimd_set_thread_row(csimd_row_count() - 1) == CSIMD_OK)
        #expect(!csimd_row_has_native_bf16(csimd_active_row()))
        #expect(csimd_active_bf16_gemm() == CSIMD_WIDEN && csimd_bf16_gemm_reason() == CSIMD_BF16_BY_ABSENCE)
        csimd_set_thread_row(-1)
        #expect(csimd_set_thread_bf16_gemm(3) == CSIMD_INVALID_ARGUMENT)
        // AMX is never chosen unasked, and where the CPU has none not even then.
        #expect(standard.0 != CSIMD_AMX)
        let amx = (0..<csimd_special_kernel_count()).map { csimd_special_kernel_at($0) }
            .contains { String(cString: $0.name) == "bf16 amx" && $0.supported }
        #expect((csimd_set_thread_bf16_gemm(Int32(CSIMD_AMX.rawValue)) == CSIMD_OK) == amx)
        csimd_set_thread_bf16_gemm(-1)
        #expect((csimd_active_bf16_gemm(), csimd_bf16_gemm_reason()) == standard)
    }

    /// The measurements do not contradict each other: none says native by far where another says widening by far. What lies
    /// within half of the margin may fall to either side on a busy machine.
    @Test func measurementsAgree() {
        var widening = 0.0, native = 0.0
        guard csimd_measure_bf16_gemm(&widening, &native) else { return }
        var ratios: [Double] = []
        for _ in 0..<20 {
            #expect(csimd_measure_bf16_gemm(&widening, &native))
            #expect(widening > 1e6 && native > 1e6)
            ratios.append(native / widening / CSIMD_BF16_MARGIN)
        }
        ratios.sort()
        #expect(ratios[4] > 2 / 3.0 || ratios[15] < 1.5, "\(ratios)")
        if csimd_bf16_gemm_reason() == CSIMD_BF16_BY_MEASUREMENT, ratios[4] > 1.5 || ratios[15] < 2 / 3.0 {
            #expect((csimd_active_bf16_gemm() == CSIMD_NATIVE) == (ratios[4] > 1))
        }
    }
}
