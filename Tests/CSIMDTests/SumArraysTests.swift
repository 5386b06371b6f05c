import CSIMD
import Testing

/// Sums of arrays into whole arrays and into parts of them, on every row: the bits of float32 (float64) additions in their order
/// and one rounding.
@Suite struct SumArraysTests {
    /// Sums, rows and columns of each, and what lies between the rows of the result.
    static let shapes = [(1, 1, 0), (1, 130, 0), (3, 1, 4), (7, 3, 0), (5, 19, 2), (40, 64, 9), (2, 300_001, 5)]

    @Test func sumsAreAddedInOrderAndRoundedOnce() {
        for type in TypedBuffer.allTypes {
            for yType in type == CSIMD_F16 || type == CSIMD_BF16 ? [type, CSIMD_F32] : [type] {
                for (rows, columns, gap) in Self.shapes {
                    for terms in [1, 2, 5] where terms * rows * columns < 1_500_000 {
                        check(type, yType, rows, columns, gap, terms: terms)
                    }
                }
            }
        }
    }

    func check(_ type: csimd_type, _ yType: csimd_type, _ rows: Int, _ columns: Int, _ gap: Int, terms: Int) {
        var random = TestRandom(UInt64(rows * columns + terms))
        let arena = BufferArena()
        defer { arena.release() }
        let x = (0..<terms).map { _ in arena.make(type, (0..<rows * columns).map { _ in random.normal() }) }
        let stride = columns + gap, length = (rows - 1) * stride + columns
        let start = arena.make(yType, (0..<length).map { _ in random.normal() })
        for accumulate in [false, true] {
            let expected = arena.copy(of: start)
            for i in 0..<rows {
                for j in 0..<columns {
                    let values = x.map { $0[i * columns + j] }
                    let all = (accumulate ? [start[i * stride + j]] : []) + values
                    expected[i * stride + j] =
                        type == CSIMD_F64
                        ? all.dropFirst().reduce(all[0], +)
                        : Double(all.dropFirst().reduce(Float(all[0])) { $0 + Float($1) })
                }
            }
            forEachRow { row in
                for threads: Int32 in [1, 4] {
                    let y = arena.copy(of: start)
                    let status = withThreads(threads) {
                        csimd_sum_arrays(
                            type, terms, x.map { UnsafeRawPointer($0.pointer) }, rows, columns, accumulate, yType,
                            y.pointer, stride)
                    }
                    let label = "types \(type.rawValue) \(yType.rawValue), \(terms) of [\(rows), \(columns)] + \(gap)"
                    #expect(status == CSIMD_OK && y.hasSameBits(as: expected), "\(row) \(label), \(threads) threads")
                }
            }
        }
    }

    @Test func refusesWhatDoesNotFit() {
        var y: [Float] = [5]
        let none: [UnsafeRawPointer?] = [nil]
        #expect(csimd_sum_arrays(CSIMD_F32, 0, none, 1, 1, false, CSIMD_F32, &y, 1) == CSIMD_INVALID_ARGUMENT)
        #expect(csimd_sum_arrays(CSIMD_F64, 1, none, 1, 1, false, CSIMD_F32, &y, 1) == CSIMD_INVALID_ARGUMENT)
        #expect(csimd_sum_arrays(CSIMD_F32, 1, none, 2, 3, false, CSIMD_F32, &y, 2) == CSIMD_INVALID_ARGUMENT)
        #expect(csimd_sum_arrays(CSIMD_F32, 1, none, 0, 3, false, CSIMD_F32, &y, 3) == CSIMD_OK)
        #expect(y == [5])
    }
}
