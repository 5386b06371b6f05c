// Statistics of columns, and sums, of values at which float32 goes wrong, on every row of kernels.
import CSIMD
import Testing

@Suite struct HardColumnTests {
    /// Mean and variance of columns of every kind against Float80, columns side by side and one an instance. A chunk of 128 rows
    /// has at most 32 + 3 additions one after another (float64: 128), about one of its own elements; the combination is float64.
    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func momentsAreWithinTheBound(_ rawType: UInt32) {
        let type = csimd_type(rawType), limits = TypeLimits(CSIMD_F64), epsilon = 1e-5
        let kinds = HardRow.allCases
        for rows in [1, 2, 3, 7, 15, 16, 17, 127, 128, 129, 257, 1000, 4099] {
            let arena = BufferArena()
            defer { arena.release() }
            var random = TestRandom(UInt64(rows))
            let columns = kinds.map { $0.values(rows, type, &random) }
            let exact = columns.map { column in
                let farthest = column.indices.max { abs(column[$0] - column[0]) < abs(column[$1] - column[0]) }!
                return ReferenceStatistics(
                    column, type, centered: true, epsilon: epsilon, additions: type == CSIMD_F64 ? 140 : 40,
                    origins: [farthest])
            }
            let together = arena.make(type, (0..<rows).flatMap { row in columns.map { $0[row] } })
            let apart = arena.make(type, columns.flatMap { $0 })
            let twice = arena.make(type, (0..<rows).flatMap { row in (columns + columns).map { $0[row] } })
            let layouts = [(together, 1, kinds.count), (apart, kinds.count, 1), (twice, 1, 2 * kinds.count)]
            for (x, instances, channels) in layouts {
                forEachRow { kernels in
                    var first: [[Double]]?
                    for threads: Int32 in [1, 3] {
                        var found = [[Double]](
                            repeating: [Double](repeating: .nan, count: instances * channels), count: 3)
                        withThreads(threads) {
                            var (mean, correction, variance) = (found[0], found[1], found[2])
                            #expect(
                                csimd_moments(
                                    type, instances, rows, channels, x.pointer, epsilon, &mean, &correction, &variance)
                                    == CSIMD_OK)
                            found = [mean, correction, variance]
                        }
                        #expect(first == nil || first == found, "\(kernels): other bits with 3 threads")
                        first = found
                    }
                    let (mean, correction, variance) = (first![0], first![1], first![2])
                    for index in mean.indices {
                        let s = exact[index % kinds.count]
                        let label =
                            "\(kernels) type \(rawType) rows \(rows) of \(channels) \(kinds[index % kinds.count])"
                        let off = abs(Wide(mean[index]) + Wide(correction[index]) - s.mean)
                        let bound = s.meanError + s.least + (type == CSIMD_F64 ? 0 : abs(s.mean) * 0x1p-52)
                        #expect(off <= bound, "\(label): mean off by \(off)")
                        #expect(
                            limits.isNear(
                                variance[index], s.variance, within: s.varianceError + Wide(epsilon) * 0x1p-30),
                            "\(label): variance \(variance[index]), expected \(s.variance)")
                        if kinds[index % kinds.count] == .constant {
                            #expect(correction[index] == 0 && variance[index] == 0, "\(label)")
                        }
                    }
                }
            }
        }
    }

    /// A sum is finite wherever it is within the type, though float32's partial sums overflow: along rows and down columns.
    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func sumsLeaveNoRange(_ rawType: UInt32) {
        let type = csimd_type(rawType), limits = TypeLimits(type), u = arithmeticRoundoff(type)
        for count in [1, 2, 3, 64, 129, 1000, 4099] {
            let arena = BufferArena()
            defer { arena.release() }
            for kind in 0..<3 {
                let values = (0..<count).map { index -> Double in
                    switch kind {
                    case 0: limits.largest
                    case 1: index < count / 2 ? limits.largest : -limits.largest
                    default: index % 2 == 0 ? limits.largest : -limits.largest
                    }
                }
                let exact = values.reduce(Wide(0)) { $0 + Wide($1) } / Wide(count)
                let bound = Wide(limits.largest) * Wide(130 * u + limits.epsilon)
                let x = arena.make(type, values), columns = arena.make(type, values.flatMap { [$0, $0, $0] })
                forEachRow { kernels in
                    for (buffer, inner) in [(x, 1), (columns, 3)] {
                        let y = arena.make(type, count: inner)
                        #expect(
                            csimd_reduce(
                                CSIMD_SUM, type, 1, count, inner, buffer.pointer, 1 / Double(count), false, type,
                                y.pointer) == CSIMD_OK)
                        for value in y.values {
                            #expect(
                                value.isFinite && abs(Wide(value) - exact) <= bound,
                                "\(kernels) type \(rawType) mean of \(count), kind \(kind): \(value), expected \(exact)"
                            )
                        }
                    }
                }
            }
        }
    }
}
