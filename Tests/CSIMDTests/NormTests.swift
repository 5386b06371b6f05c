// Norms of the finite check: powers, sums and maxima on every row, against plain loops in Double.
import CSIMD
import Foundation
import Testing

@Suite struct NormTests {
    static let norms = [CSIMD_NORM_1, CSIMD_NORM_2, CSIMD_NORM_3, CSIMD_NORM_INFINITY]

    /// What the check gives: the power sum, and the first index that is not finite.
    private func check(_ x: TypedBuffer, _ norm: csimd_norm, from start: Int = 0) -> (sum: Double, first: Int) {
        var sum = -1.0
        var first = -1
        let elements = x.pointer + start * TypedBuffer.size(of: x.type)
        #expect(csimd_finite_check(x.type, norm, x.count - start, elements, &sum, &first) == CSIMD_OK)
        return (sum, first)
    }

    private func power(_ norm: csimd_norm, _ x: Double) -> Double {
        switch norm {
        case CSIMD_NORM_2: x * x
        case CSIMD_NORM_3: abs(x) * abs(x) * abs(x)
        default: abs(x)
        }
    }

    /// In Double, with Neumaier's compensation, so that the reference is not the less exact of the two.
    private func exact(_ norm: csimd_norm, _ values: some Sequence<Double>) -> Double {
        if norm == CSIMD_NORM_INFINITY { return values.reduce(0) { max($0, abs($1)) } }
        var sum = 0.0
        var lost = 0.0
        for value in values {
            let term = power(norm, value)
            let next = sum + term
            lost += sum >= term ? (sum - next) + term : (term - next) + sum
            sum = next
        }
        return sum + lost
    }

    /// Any order of summation of n positive terms, each with two roundings, is within (n + 4) 2^-53 of the sum: the header's
    /// bound, to which Double's loop adds its own two roundings a term. A maximum is exact.
    @Test(arguments: norms)
    func everyLengthTypeAndRow(_ norm: csimd_norm) {
        for type in TypedBuffer.allTypes {
            let arena = BufferArena()
            defer { arena.release() }
            var random = TestRandom(5)
            let x = arena.make(type, (0..<131).map { _ in random.normal() })
            let values = x.values
            forEachRow { row in
                for start in 0...131 {
                    let (sum, first) = check(x, norm, from: start)
                    let expected = exact(norm, values[start...])
                    let bound = norm == CSIMD_NORM_INFINITY ? 0 : Double(131 - start + 6) * 0x1p-53 * expected
                    let ok = abs(sum - expected) <= bound && first == 131 - start
                    #expect(ok, "\(row) norm \(norm.rawValue) type \(type.rawValue) from \(start): \(sum), \(expected)")
                }
            }
        }
    }

    /// 4 M equal values, values whose cubes and squares overflow float32, and the least subnormals: all within 2e-6, which
    /// sums in float32 miss by three orders of magnitude.
    @Test(arguments: [Float(0.1), 1e20, 3.4e38, .leastNonzeroMagnitude])
    func manyEqualValues(_ value: Float) {
        let count = 4 << 20
        let x = [Float](repeating: value, count: count)
        forEachRow { row in
            for norm in Self.norms {
                var sum = 0.0
                var first = 0
                #expect(csimd_finite_check(CSIMD_F32, norm, count, x, &sum, &first) == CSIMD_OK)
                let one = power(norm, Double(value))
                let expected = norm == CSIMD_NORM_INFINITY ? one : one * Double(count)
                let ok = abs(sum - expected) <= 2e-6 * expected && sum.isFinite && first == count
                #expect(ok, "\(row) norm \(norm.rawValue): \(sum), expected \(expected)")
            }
        }
    }

    /// A NaN makes the sum NaN, also the maximum, also beside an infinity; an infinity makes it infinite.
    @Test func nothingHidesANonFiniteValue() {
        for type in TypedBuffer.allTypes {
            let arena = BufferArena()
            defer { arena.release() }
            let x = arena.make(type, (0..<70).map { Double($0 % 7) - 3 })
            forEachRow { row in
                for norm in Self.norms {
                    for count in [1, 8, 15, 16, 17, 33, 70] {
                        let start = 70 - count
                        for position in start..<70 {
                            let kept = x[position]
                            x[position] = -.infinity
                            let infinite = check(x, norm, from: start)
                            x[position] = .nan
                            let alone = check(x, norm, from: start)
                            let last = x[69]
                            x[69] = position == 69 ? .nan : .infinity
                            let beside = check(x, norm, from: start)
                            x[69] = last
                            x[position] = kept
                            let ok =
                                infinite.sum == .infinity && infinite.first == position - start && alone.sum.isNaN
                                && alone.first == position - start && beside.sum.isNaN
                            #expect(
                                ok, "\(row) norm \(norm.rawValue) type \(type.rawValue) \(position - start) of \(count)"
                            )
                        }
                    }
                }
            }
        }
    }

    @Test func threadsChangeNoBit() {
        let x = (0..<1_200_011).map { Float($0 &* 7919 % 20_011) / 997 - 9 }
        forEachRow { row in
            for norm in Self.norms {
                let sums = [Int32(1), 2, 4].map { threads in
                    withThreads(threads) {
                        var sum = 0.0
                        var first = 0
                        #expect(csimd_finite_check(CSIMD_F32, norm, x.count, x, &sum, &first) == CSIMD_OK)
                        return sum.bitPattern
                    }
                }
                #expect(sums[0] == sums[1] && sums[0] == sums[2], "\(row) norm \(norm.rawValue)")
            }
        }
    }

    @Test func refusesOtherNorms() {
        var sum = 5.0
        var first = 5
        let status = csimd_finite_check(CSIMD_F32, csimd_norm(4), 1, [Float(1)], &sum, &first)
        #expect(status == CSIMD_INVALID_ARGUMENT && sum == 5 && first == 5)
    }
}
