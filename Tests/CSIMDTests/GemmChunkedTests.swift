import CSIMD
import Testing

/// Products of two f16 matrices summed in float16 chunks: by the reference, and by the AVX512_FP16 kernel, its instruction emulated
/// where the CPU has none.
@Suite struct GemmChunkedTests {
    /// Runs `body` on each row that has such kernels.
    private func forEachChunked(_ body: (_ row: String) -> Void) {
        csimd_set_thread_emulation(true)
        defer { csimd_set_thread_emulation(false) }
        forEachRow { row in
            guard csimd_set_thread_f16_chunk(Int(CSIMD_CHUNK)) == CSIMD_OK else { return }
            defer { csimd_set_thread_f16_chunk(0) }
            body(row)
        }
    }

    /// a b + sum rounded to float16 once, in whole numbers: a float16 value is a multiple of 2^-24 below 2^16, a product one of
    /// 2^-48 below 2^32. 60 bits and one that says whether any other is set round to float16 as the whole does.
    private func fused(_ a: Float16, _ b: Float16, _ sum: Float16) -> Float16 {
        guard a.isFinite, b.isFinite, sum.isFinite else { return Float16(Float(a) * Float(b) + Float(sum)) }
        func units(_ x: Float16) -> Int128 { Int128(Double(x) * 0x1p24) }
        let exact = units(a) * units(b) + units(sum) << 24
        if exact == 0 {
            let product = Float(a) * Float(b)  // the sign of a zero is that of the sum of two
            return Float16(product + Float(sum))
        }
        var magnitude = exact.magnitude, exponent = -48
        while magnitude >= 1 << 52 {
            magnitude = magnitude >> 1 | magnitude & 1
            exponent += 1
        }
        let value = Double(sign: .plus, exponent: exponent, significand: Double(magnitude))
        return Float16(exact < 0 ? -value : value)
    }

    /// The definition: chunks from 0 in order of p, folded in float32, in blocks of at most 1,024 of k; the reference adds up all
    /// chunks in float64.
    private func emulate(_ operands: GemmOperands, isReference: Bool) -> [Float] {
        let problem = operands.problem
        let k = problem.k, blocks = isReference ? 1 : (k + 1023) / 1024
        let depth = blocks == 1 ? k : ((k + blocks - 1) / blocks + 31) / 32 * 32
        func a(_ i: Int, _ p: Int) -> Float { problem.transposed.a ? operands.a[p, i] : operands.a[i, p] }
        func b(_ p: Int, _ j: Int) -> Float { problem.transposed.b ? operands.b[j, p] : operands.b[p, j] }
        var result: [Float] = []
        for i in 0..<problem.m {
            for j in 0..<problem.n {
                var total: Float = 0, exact = 0.0
                for block in stride(from: 0, to: k, by: depth) {
                    let end = min(k, block + depth)
                    var sum: Float = 0
                    for first in stride(from: block, to: end, by: 32) {
                        var chunk: Float16 = 0
                        for p in first..<min(end, first + 32) {
                            chunk = fused(Float16(a(i, p)), Float16(b(p, j)), chunk)
                        }
                        sum = first == block ? Float(chunk) : sum + Float(chunk)
                        exact += Double(chunk)
                    }
                    total = block == 0 ? sum : total + sum
                }
                result.append(isReference ? Float(exact) : total)
            }
        }
        return result
    }

    /// Numbers of every size: products from the subnormals of float16 to sums that overflow.
    private static func anySize(_ random: inout GemmRandom) -> Float {
        let sign = random.next(below: 2) == 0 ? FloatingPointSign.plus : .minus
        return Float(
            sign: sign, exponent: random.next(below: 30) - 20, significand: 1 + Float(random.next(below: 1024)) / 1024)
    }

    /// Infinity is met at the top of `anySize`: equal bits, or both NaN.
    private func isSame(_ x: Float, _ y: Float) -> Bool { x.bitPattern == y.bitPattern || (x.isNaN && y.isNaN) }

    @Test func hasTheBitsOfItsDefinition() {
        let draws: [(inout GemmRandom) -> Float] = [{ $0.nextSigned() }, Self.anySize]
        for (m, n, k) in [(17, 33, 64), (29, 16, 37), (43, 67, 1), (20, 129, 32), (31, 65, 33), (18, 70, 1027)] {
            for layout in 0..<4 {
                for (kind, draw) in draws.enumerated() {
                    let operands = GemmProblem(
                        m: m, n: n, k: k, types: (CSIMD_F16, CSIMD_F16, CSIMD_F32),
                        transposed: (layout & 1 != 0, layout & 2 != 0), padding: layout, seed: UInt64(kind), draw: draw
                    ).make()
                    defer { operands.release() }
                    forEachChunked { row in
                        let expected = emulate(operands, isReference: row == "ref")
                        for threads: Int32 in [1, 3] {
                            withThreads(threads) { #expect(operands.run() == CSIMD_OK) }
                            let wrong = (0..<m * n).filter { !isSame(operands.c[$0 / n, $0 % n], expected[$0]) }
                            #expect(
                                wrong.isEmpty,
                                "\(row) \((m, n, k)) layout \(layout) draw \(kind) threads \(threads) at \(wrong.prefix(3))"
                            )
                            #expect(operands.c.paddingIsIntact)
                        }
                    }
                }
            }
        }
    }

    /// With u = 2^-11: a chunk of up to 32 multiply-adds errs by gamma_32 of its products' magnitudes, gamma_32 = 32 u / (1 - 32 u)
    /// = 1 / 63, and by 2^-25 for each step that falls below the normal numbers of float16, which the later steps carry on with
    /// factors (1 + u)^32 < 64 / 63; float32 adds up k / 32 chunks and up to three blocks, gamma_(k / 32 + 3) in its own roundoff. So
    /// |c^ - c| <= (1 / 63 + gamma (64 / 63)) |A||B| + k 2^-25 (64 / 63) (1 + gamma).
    @Test func errorsAreWithinTheBound() {
        for (k, positive) in [(1, false), (32, false), (100, true), (1000, false), (2100, true)] {
            for layout in 0..<4 {
                let (m, n) = (23, 37)
                let operands = GemmProblem(
                    m: m, n: n, k: k, types: (CSIMD_F16, CSIMD_F16, CSIMD_F32),
                    transposed: (layout & 1 != 0, layout & 2 != 0),
                    draw: { positive ? abs($0.nextSigned()) : $0.nextSigned() }
                ).make()
                defer { operands.release() }
                let exact = operands.expected()
                let left = operands.a.doubles, right = operands.b.doubles
                let gamma = Double(k / 32 + 3) * 0x1p-24 / (1 - Double(k / 32 + 3) * 0x1p-24)
                forEachChunked { row in
                    #expect(operands.run() == CSIMD_OK)
                    for i in 0..<m {
                        for j in 0..<n {
                            var size = 0.0
                            for p in 0..<k {
                                let x = left[problem(layout, 1) ? p * m + i : i * k + p]
                                size += abs(x * right[problem(layout, 2) ? j * k + p : p * n + j])
                            }
                            let bound =
                                (1.0 / 63 + gamma * 64 / 63) * size + Double(k) * 0x1p-25 * 64 / 63 * (1 + gamma)
                            let error = abs(Double(operands.c[i, j]) - exact.values[i * n + j])
                            let ok = error <= bound
                            #expect(ok, "\(row) k \(k) layout \(layout) at \((i, j)): \(error) > \(bound)")
                        }
                    }
                }
            }
        }
        func problem(_ layout: Int, _ bit: Int) -> Bool { layout & bit != 0 }
    }

    /// 4,096 ones: 2,048 if all were summed in float16, where 2,048 + 1 is 2,048.
    @Test func longSumsAreFloat32() {
        let operands = GemmProblem(
            m: 17, n: 40, k: 4096, types: (CSIMD_F16, CSIMD_F16, CSIMD_F32), draw: { _ in 1 }
        ).make()
        defer { operands.release() }
        forEachChunked { row in
            #expect(operands.run() == CSIMD_OK)
            #expect(operands.c.doubles.allSatisfy { $0 == 4096 }, "\(row)")
        }
    }

    /// 32 products of 2,047 are 65,504, the largest float16; of 2,048 they are infinite in a chunk, but not with float32 sums,
    /// which is what 16 rows keep.
    @Test func chunksOverflowAndFewRowsDoNot() {
        for (value, rows, expected) in [(Float(2047), 17, 65504.0), (2048, 17, .infinity), (2048, 16, 65536)] {
            let operands = GemmProblem(
                m: rows, n: 33, k: 32, types: (CSIMD_F16, CSIMD_F16, CSIMD_F32), draw: { _ in 1 }
            ).make()
            defer { operands.release() }
            for p in 0..<32 { for j in 0..<33 { operands.b[p, j] = value } }
            forEachChunked { row in
                #expect(operands.run() == CSIMD_OK)
                let isExpected = operands.c.doubles.allSatisfy { $0 == expected }
                #expect(isExpected, "\(row) \(value), \(rows) rows: \(operands.c[0, 0])")
            }
        }
    }

    /// alpha, beta, bias, epilogues and the result's type are the finishing pass's, as ever: integers are exact.
    @Test func theFinishingPassIsTheUsualOne() {
        for type in [CSIMD_F32, CSIMD_F16, CSIMD_BF16] {
            for (beta, epilogue) in [(Float(0), CSIMD_EPILOGUE_RELU), (2, CSIMD_EPILOGUE_NONE)] {
                var problem = GemmProblem(m: 45, n: 71, k: 50, types: (CSIMD_F16, CSIMD_F16, type))
                (problem.alpha, problem.beta, problem.epilogue, problem.biasType) = (0.5, beta, epilogue, CSIMD_F16)
                problem.draw = { Float($0.next(below: 9) - 4) }
                let operands = problem.make()
                defer { operands.release() }
                let expected = operands.expected(), before = operands.snapshot()
                forEachChunked { row in
                    operands.restore(before)
                    #expect(operands.run() == CSIMD_OK)
                    if let failure = operands.failure(against: expected, before: before) {
                        Issue.record("\(row) \(problem.name): \(failure)")
                    }
                }
            }
        }
    }

    @Test func isRefusedWhereThereIsNoKernelForIt() {
        defer {
            csimd_set_thread_row(-1)
            csimd_set_thread_f16_chunk(0)
        }
        #expect(csimd_f16_chunk() == 0)
        forEachRow { row in
            let has = csimd_row_has_f16_chunks(csimd_active_row())
            #expect(row != "ref" || has)
            #expect(row != "avx2" || !has)
            #expect(csimd_set_thread_f16_chunk(Int(CSIMD_CHUNK)) == (has ? CSIMD_OK : CSIMD_INVALID_ARGUMENT))
            #expect(csimd_f16_chunk() == (has ? Int(CSIMD_CHUNK) : 0))
            for products in [1, 16, 31, 33, 64] {
                #expect(csimd_set_thread_f16_chunk(products) == CSIMD_INVALID_ARGUMENT)
            }
            #expect(csimd_set_thread_f16_chunk(0) == CSIMD_OK)
        }
    }
}
