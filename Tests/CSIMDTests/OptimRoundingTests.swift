import CSIMD
import Foundation
import Testing

private let roundings = [CSIMD_ROUND_NEAREST, CSIMD_ROUND_STOCHASTIC, CSIMD_ROUND_KAHAN]

@Suite struct OptimRoundingTests {
    /// An update from 0 by SGD with a learning rate of 1 and the gradient -x is x itself: what is rounded is known.
    private func rounded(
        _ values: [Double], _ type: csimd_type, key: UInt64, rounding: csimd_update_rounding = CSIMD_ROUND_STOCHASTIC
    ) -> [Double] {
        let arena = BufferArena()
        defer { arena.release() }
        let options = OptimizerOptions(kind: .sgd, learningRate: 1, rounding: rounding)
        let run = OptimizerRun(arena, options, type, initial: values.map { _ in 0 })
        for i in values.indices { run.gradient[i] = -values[i] }
        #expect(run.step(1, key: key) == CSIMD_OK)
        return run.parameter.values
    }

    /// The next value of the type below and above x > 0, from the least distance of its binade.
    private func neighbours(_ x: Double, _ type: csimd_type) -> (lower: Double, upper: Double) {
        let least = type == CSIMD_F16 ? -24 : -133
        let exponent = x == 0 ? least : max(Int(x.exponent) - (type == CSIMD_F16 ? 10 : 7), least)
        let ulp = scalbn(1, exponent)
        return ((x / ulp).rounded(.down) * ulp, (x / ulp).rounded(.up) * ulp)
    }

    @Test func allRowsGiveTheSameBits() {
        for (index, variant) in OptimTests.variants.enumerated() {
            for rounding in roundings {
                for type in [CSIMD_F32, CSIMD_F16, CSIMD_BF16]
                where type != CSIMD_F32 || rounding == CSIMD_ROUND_NEAREST {
                    let arena = BufferArena()
                    defer { arena.release() }
                    var options = variant
                    options.rounding = rounding
                    var seen: [(row: String, run: OptimizerRun, lost: [Int])] = []
                    forEachRow { kernels in
                        var random = TestRandom(31)
                        let initial = (0..<77).map { _ in random.normal() * pow(10, Double(-Int(random.uniform() * 7)))
                        }
                        let run = OptimizerRun(
                            arena, options, type, initial: initial, shadow: type == CSIMD_F32 ? CSIMD_BF16 : nil)
                        var counts: [Int] = []
                        for step in 1...6 {
                            for i in 0..<77 {
                                run.gradient[i] = i % 7 == 3 ? 0 : random.normal() * 0.1 / options.gradientScale
                            }
                            var lost = -1
                            #expect(run.step(step, lost: &lost, key: 0x1234_5678_9ABC_DEF0 &* UInt64(step)) == CSIMD_OK)
                            counts.append(lost)
                        }
                        seen.append((kernels, run, counts))
                    }
                    for other in seen.dropFirst() {
                        let same = zip(other.run.state, seen[0].run.state).allSatisfy { $0.hasSameBits(as: $1) }
                        #expect(
                            same && other.lost == seen[0].lost,
                            "\(other.row) and \(seen[0].row), variant \(index), \(rounding), type \(type.rawValue)")
                    }
                }
            }
        }
    }

    /// P(up) = distance / ulp: of n = 65,536 draws, n p go up with a deviation of sqrt(n p (1 - p)); 5 of them are a chance of
    /// 6e-7 a case. In f16 subnormals the fraction is compared with 24 random bits: n 2^-24 more.
    @Test(arguments: [CSIMD_F16.rawValue, CSIMD_BF16.rawValue])
    func stochasticRoundingIsUnbiased(_ rawType: UInt32) {
        let type = csimd_type(rawValue: rawType)
        let f16 = [1, 1000, 40_000, 0x1p-14, 0x1.8p-16, 0x1p-24, 0], bf16 = [1, 1e30, 1e-30, 0x1.2p-127, 0]
        for (index, magnitude) in (type == CSIMD_F16 ? f16 : bf16).enumerated() {
            let base = neighbours(magnitude, type).lower
            let above = neighbours(base * (1 + 0x1p-20) + 0x1p-140, type).upper
            for fraction in [0.5, 0.25, 0.003, 0.9375, 1.0 / 3, 0.99] {
                let x = Double(Float(base + fraction * (above - base)))
                for sign in [1.0, -1] { forEachRow { checkShare(x, sign, base, above, type, UInt64(index), $0) } }
            }
        }
    }

    private func checkShare(
        _ x: Double, _ sign: Double, _ base: Double, _ above: Double, _ type: csimd_type, _ index: UInt64, _ row: String
    ) {
        let count = 65_536.0
        let results = rounded([Double](repeating: sign * x, count: 65_536), type, key: index << 40 | 77)
        let ups = Double(results.count { $0 == sign * above })
        let downs = Double(results.count { $0 == sign * base })
        #expect(ups + downs == count, "\(row) \(x): not a neighbour")
        let share = (x - base) / (above - base)
        let tolerance = 5 * (count * share * (1 - share)).squareRoot() + count * 0x1p-24
        let ok = abs(ups - count * share) <= tolerance
        #expect(ok, "\(row) type \(type.rawValue) \(x): \(ups) up, expected \(count * share)")
    }

    /// Halfway between neighbours each element goes up or down: neighbouring elements, keys (steps) and halves of keys agree as
    /// often as coins do, n / 2 +- 5 sqrt(n) / 2.
    @Test func randomBitsOfElementsAndKeysAreIndependent() {
        let count = 65_536
        let halves = [Double](repeating: 1 + 0x1p-8, count: count + 64)
        let keys: [UInt64] = [0, 1, 2, 1 << 32, 1 << 33, 0xFFFF_FFFF, 0xFFFF_FFFF_0000_0000]
        let draws = keys.map { rounded(halves, CSIMD_BF16, key: $0).map { $0 > 1 } }
        for a in keys.indices {
            for b in a..<keys.count {
                for offset in [0, 1, 2, 8, 16, 64] where a != b || offset > 0 {
                    let equal = (0..<count).count { draws[a][$0] == draws[b][$0 + offset] }
                    let ok = abs(Double(equal) - Double(count) / 2) <= 2.5 * Double(count).squareRoot()
                    #expect(ok, "keys \(keys[a]), \(keys[b]), offset \(offset): \(equal) of \(count) equal")
                }
            }
        }
    }

    @Test func valuesOfTheTypeAndBeyondItAreNotRandom() {
        let f16: [(Double, Double)] = [
            (0, 0), (1, 1), (-1.5, -1.5), (0x1p-24, 0x1p-24), (65504, 65504), (65519, 65504), (65520, .infinity),
            (-65519, -65504), (-1e6, -.infinity), (.infinity, .infinity),
        ]
        let bf16: [(Double, Double)] = [
            (0, 0), (1, 1), (-1.5, -1.5), (0x1p-133, 0x1p-133), (0x1.FEp127, 0x1.FEp127), (0x1.FEFFFEp127, 0x1.FEp127),
            (0x1.FFp127, .infinity), (-0x1.FFp127, -.infinity), (-.infinity, -.infinity),
        ]
        for (type, cases) in [(CSIMD_F16, f16), (CSIMD_BF16, bf16)] {
            forEachRow { kernels in
                for key in 0..<50 as Range<UInt64> {
                    // NaN at the end, so that vectors hold it beside numbers.
                    let results = rounded(cases.map(\.0) + [.nan], type, key: key)
                    #expect(results.dropLast() == cases.map(\.1)[...], "\(kernels) type \(type.rawValue)")
                    #expect(results.last!.isNaN, "\(kernels)")
                }
            }
        }
    }

    /// Bits depend on the element's index alone: not on threads, nor on where a call begins.
    @Test func threadsAndSlicesChangeNoBit() {
        let count = 40_000, cut = 12_345
        var random = TestRandom(33)
        let initial = (0..<count).map { _ in random.normal() }, gradients = (0..<count).map { _ in random.normal() }
        for rounding in roundings {
            forEachRow { kernels in
                let arena = BufferArena()
                defer { arena.release() }
                let options = OptimizerOptions(kind: .adamW, learningRate: 1e-3, weightDecay: 0.01, rounding: rounding)
                var counts: [Int] = []
                let runs = ([1, 2, 3] as [Int32]).map { threads in
                    let run = OptimizerRun(arena, options, CSIMD_BF16, initial: initial)
                    for i in 0..<count { run.gradient[i] = gradients[i] }
                    var lost = 0
                    withThreads(threads) { #expect(run.step(1, lost: &lost, key: 5) == CSIMD_OK) }
                    counts.append(lost)
                    return run
                }
                let parts = [0..<cut, cut..<count].map { range in
                    let run = OptimizerRun(arena, options, CSIMD_BF16, initial: Array(initial[range]))
                    for i in range { run.gradient[i - range.lowerBound] = gradients[i] }
                    var lost = 0
                    #expect(run.step(1, lost: &lost, key: 5, firstIndex: range.lowerBound) == CSIMD_OK)
                    return (run, lost)
                }
                for run in runs { #expect(run.parameter.hasSameBits(as: runs[0].parameter), "\(kernels) \(rounding)") }
                let joined = parts.flatMap(\.0.parameter.bytes)
                #expect(joined == runs[0].parameter.bytes, "\(kernels) \(rounding)")
                #expect(counts.allSatisfy { $0 == parts[0].1 + parts[1].1 }, "\(kernels) \(rounding) \(counts)")
            }
        }
    }

    /// Parameter and compensation together follow the exact sum of the updates. A step rounds lr g (u lr |g|), y = update + c
    /// (u |y|), and the differences in c' = y - (p' - p): p' - p is exact where |y| is above an ulp of p and 0 or one ulp where
    /// not, the last difference is within u |y| again: 4 u (lr |g| + ulp) a step is more than all of them. The parameter is the
    /// rounding of that sum to within the roundings of p + y (u |p|).
    @Test func kahanFollowsTheExactSum() {
        for type in [CSIMD_F16, CSIMD_BF16] {
            forEachRow { kernels in
                let arena = BufferArena()
                defer { arena.release() }
                var random = TestRandom(34)
                let options = OptimizerOptions(kind: .sgd, learningRate: 0x1p-7, rounding: CSIMD_ROUND_KAHAN)
                let initial = (0..<37).map { _ in random.normal() }
                let run = OptimizerRun(arena, options, type, initial: initial)
                var exact = run.parameter.values
                var bounds = exact.map { _ in 0.0 }
                for step in 1...300 {
                    for i in exact.indices {
                        run.gradient[i] = random.normal() * (i % 3 == 0 ? 1 : 0.01)
                        exact[i] -= options.learningRate * run.gradient[i]
                        let update = abs(options.learningRate * run.gradient[i])
                        bounds[i] += 4 * 0x1p-24 * (update + 2 * storageRounding(type, abs(exact[i]) + update))
                    }
                    #expect(run.step(step) == CSIMD_OK)
                    for i in exact.indices {
                        let (p, c) = (run.parameter[i], run.compensation[i])
                        let ok = abs(p + c - exact[i]) <= bounds[i]
                        #expect(
                            ok, "\(kernels) type \(type.rawValue) step \(step) at \(i): \(p) + \(c), not \(exact[i])")
                        let rounded = abs(c) <= storageRounding(type, abs(p) + abs(c)) + 2 * 0x1p-24 * abs(p)
                        #expect(rounded, "\(kernels) type \(type.rawValue): \(p) is not the rounding of \(p + c)")
                    }
                }
            }
        }
    }

    /// Counted against what can be seen: the update is not zero, and neither parameter nor compensation has moved.
    @Test(arguments: TypedBuffer.allTypes.indices)
    func lostUpdatesAreCounted(_ index: Int) {
        let type = TypedBuffer.allTypes[index]
        for rounding in roundings where rounding == CSIMD_ROUND_NEAREST || type == CSIMD_F16 || type == CSIMD_BF16 {
            for kind in [OptimizerOptions.Kind.sgd, .adam, .adamW, .rmsprop, .adagrad, .lion] {
                forEachRow { kernels in
                    let arena = BufferArena()
                    defer { arena.release() }
                    var random = TestRandom(35)
                    // At 1e-5 (SGD) updates are lost wherever the gradient is below the rounding; Adam's first ones are 1e-5.
                    let options = OptimizerOptions(
                        kind: kind, learningRate: 1e-5, weightDecay: kind == .adamW ? 0.01 : 0, rounding: rounding)
                    let run = OptimizerRun(arena, options, type, initial: (0..<203).map { _ in 0.5 + random.uniform() })
                    var total = 0
                    for step in 1...4 {
                        for i in 0..<203 {
                            let magnitude = pow(10, Double(3 - (i + 11 * step) % 30))
                            run.gradient[i] = i % 11 == 0 ? 0 : random.normal() * magnitude
                        }
                        let before = run.parameter.values, carried = run.compensation.values
                        var lost = -1
                        #expect(run.step(step, lost: &lost) == CSIMD_OK)
                        let expected = (0..<203).count {
                            // Gradient zero: Adam has no moment in these elements, AdamW still decays them.
                            (run.gradient[$0] != 0 || kind == .adamW) && run.parameter[$0] == before[$0]
                                && run.compensation[$0] == carried[$0]
                        }
                        #expect(lost == expected, "\(kernels) \(kind) \(rounding) step \(step)")
                        total += lost
                    }
                    if kind == .sgd { #expect(total > 100, "\(kernels): the test must lose updates") }
                    var none = -1
                    let empty = OptimizerRun(arena, options, type, initial: [])
                    #expect(empty.step(1, lost: &none) == CSIMD_OK && none == 0)
                }
            }
        }
    }

    @Test func badArgumentsAreRefused() {
        let arena = BufferArena()
        defer { arena.release() }
        for type in [CSIMD_F32, CSIMD_F64] {
            for rounding in roundings.dropFirst() {
                let run = OptimizerRun(arena, .init(kind: .sgd, rounding: rounding), type, initial: [1])
                #expect(run.step(1) == CSIMD_INVALID_ARGUMENT && run.parameter.values == [1])
            }
        }
        let run = OptimizerRun(arena, .init(kind: .sgd), CSIMD_BF16, initial: [1])
        var arguments = csimd_optimizer_args(
            type: CSIMD_BF16, count: 1, parameter: run.parameter.pointer,
            gradient: UnsafeRawPointer(run.gradient.pointer), gradient_scale: 1, clip_coefficient: 1, clip_value: 0,
            shadow: nil, shadow_type: CSIMD_F32, learning_rate: 1, weight_decay: 0, maximize: false,
            rounding: CSIMD_ROUND_KAHAN, random_key: 0, first_index: 0, compensation: nil, updates_lost: nil)
        #expect(csimd_sgd_step(&arguments, nil, 0, 0, false, true) == CSIMD_INVALID_ARGUMENT)
        arguments.rounding = csimd_update_rounding(rawValue: 3)
        #expect(csimd_sgd_step(&arguments, nil, 0, 0, false, true) == CSIMD_INVALID_ARGUMENT)
    }
}
