import CSIMD
import Testing

/// Comparisons, selection, integer arithmetic and reductions on every row, against loops in Swift.
@Suite struct LoopsTests {
    /// Both ends of a type's range, each with each, then random values.
    func samples<T: FixedWidthInteger>(_ type: T.Type) -> [T] {
        var random = TestRandom(5)
        let ends: [T] = [0, 1, 2, 7, .max, .min, .max - 1, .min + 1, 0 &- 1]
        let pairs = ends.flatMap { end in ends.map { _ in end } }
        return pairs + (0..<419).map { T(truncatingIfNeeded: random.bits() >> ($0 % 2 == 0 ? 0 : 59)) }
    }

    func checkArithmetic<T: FixedWidthInteger>(_ type: csimd_integer, _ a: [T]) {
        let b = a.indices.map { a[$0 < 81 ? $0 % 9 * 9 : ($0 * 7 + 3) % a.count] }
        let quotient = { (a: T, b: T) -> T in b == 0 ? 0 : a.dividedReportingOverflow(by: b).partialValue }
        let operations: [(csimd_binary_op, (T, T) -> T)] = [
            (CSIMD_ADD, (&+)), (CSIMD_SUBTRACT, (&-)), (CSIMD_MULTIPLY, (&*)), (CSIMD_DIVIDE, quotient),
            (CSIMD_MAXIMUM, { max($0, $1) }), (CSIMD_MINIMUM, { min($0, $1) }),
        ]
        for (op, formula) in operations {
            let exact = zip(a, b).map(formula)
            let expected: [T] = type == CSIMD_BOOL ? exact.map { $0 == 0 ? 0 : 1 } : exact
            forEachRow { row in
                var y = [T](repeating: 99, count: a.count)
                let status = csimd_integer_binary(op, csimd_element(type.rawValue), a.count, a, b, &y)
                #expect(status == CSIMD_OK && y == expected, "\(row) type \(type.rawValue) op \(op.rawValue)")
            }
        }
    }

    @Test func arithmeticWrapsAndDividesByZero() {
        checkArithmetic(CSIMD_I32, samples(Int32.self))
        checkArithmetic(CSIMD_I64, samples(Int64.self))
        checkArithmetic(CSIMD_U8, samples(UInt8.self))
        checkArithmetic(CSIMD_BOOL, samples(UInt8.self).map { $0 & 1 })
    }

    func checkReductions<T: FixedWidthInteger>(_ type: csimd_integer, _ x: [T]) {
        for (outer, count, inner) in [(1, 500, 1), (5, 100, 1), (3, 20, 8), (1, 9, 55), (500, 1, 1), (2, 0, 3)] {
            var sums: [Int64] = [], largest: [Int64] = [], places: [Int64] = []
            for i in 0..<outer {
                for k in 0..<inner {
                    let column = (0..<count).map { Int64(x[(i * count + $0) * inner + k]) }
                    sums.append(column.reduce(0, &+))
                    largest.append(column.max() ?? .min)
                    places.append(Int64(column.firstIndex(of: column.max() ?? 0) ?? 0))
                }
            }
            let element = csimd_element(type.rawValue), label = "type \(type.rawValue) [\(outer), \(count), \(inner)]"
            forEachRow { row in
                var sum = [Int64](repeating: 5, count: outer * inner), place = sum, most = sum
                #expect(csimd_integer_reduce(CSIMD_SUM, element, outer, count, inner, x, &sum) == CSIMD_OK)
                #expect(csimd_integer_reduce(CSIMD_MAX, element, outer, count, inner, x, &most) == CSIMD_OK)
                #expect(sum == sums && most == largest, "\(row) \(label)")
                if count == 0 { return }
                #expect(csimd_integer_argmax(element, outer, count, inner, x, &place) == CSIMD_OK)
                #expect(place == places, "\(row) argmax, \(label)")
            }
        }
    }

    @Test func reductionsAreExactInAnyLayout() {
        checkReductions(CSIMD_I32, samples(Int32.self))
        checkReductions(CSIMD_I64, samples(Int64.self))
        checkReductions(CSIMD_U8, samples(UInt8.self))
        checkReductions(CSIMD_BOOL, samples(UInt8.self).map { $0 & 1 })
    }

    /// Long arrays are shared among threads, in runs whose sums 32 bits hold.
    @Test func longSumsAreSharedAndDoNotOverflow() {
        let bytes = [UInt8](repeating: 255, count: 1_000_003)
        let wide = (0..<1_000_003).map { Int64($0) << 40 }
        forEachRow { row in
            for threads: Int32 in [1, 4] {
                withThreads(threads) {
                    var sum: Int64 = 0
                    let type = csimd_element(CSIMD_U8.rawValue), long = csimd_element(CSIMD_I64.rawValue)
                    #expect(csimd_integer_reduce(CSIMD_SUM, type, 1, bytes.count, 1, bytes, &sum) == CSIMD_OK)
                    #expect(sum == 255 * 1_000_003, "\(row), \(threads) threads")
                    #expect(csimd_integer_reduce(CSIMD_SUM, long, 1, wide.count, 1, wide, &sum) == CSIMD_OK)
                    #expect(sum == wide.reduce(0, &+), "\(row), \(threads) threads")
                    #expect(csimd_integer_reduce(CSIMD_MAX, long, 1, wide.count, 1, wide, &sum) == CSIMD_OK)
                    #expect(sum == wide.max(), "\(row), \(threads) threads")
                }
            }
        }
    }

    @Test func comparisonsFollowIEEEAndTheIntegersOrder() {
        let comparisons: [csimd_comparison] = [
            CSIMD_EQUAL, CSIMD_NOT_EQUAL, CSIMD_LESS, CSIMD_LESS_OR_EQUAL, CSIMD_GREATER, CSIMD_GREATER_OR_EQUAL,
        ]
        func check<T: BitwiseCopyable, V: Comparable>(_ element: Int32, _ a: [T], _ value: (T) -> V) {
            let b = a.indices.map { a[($0 * 31 + 7) % a.count] }
            let tests: [(V, V) -> Bool] = [(==), (!=), (<), (<=), (>), (>=)]
            for (comparison, test) in zip(comparisons, tests) {
                for repeats in [false, true] {
                    let expected: [UInt8] = a.indices.map { test(value(a[$0]), value(b[repeats ? 0 : $0])) ? 1 : 0 }
                    forEachRow { row in
                        var y = [UInt8](repeating: 7, count: a.count)
                        let status = csimd_compare(comparison, element, a.count, a, b, repeats, &y)
                        #expect(status == CSIMD_OK && y == expected, "\(row) \(comparison.rawValue) of type \(element)")
                    }
                }
            }
        }
        let patterns =
            Array(stride(from: UInt16.min, to: .max, by: 37)) + [0x8000, 0x7C00, 0xFC00, 0x7E00, 0x7F80, 0xFF80]
        check(csimd_element(CSIMD_F16.rawValue), patterns) { Float(Float16(bitPattern: $0)) }
        check(csimd_element(CSIMD_BF16.rawValue), patterns) { Float(bitPattern: UInt32($0) << 16) }
        check(csimd_element(CSIMD_F32.rawValue), ElementwiseTests.sweep) { $0 }
        check(csimd_element(CSIMD_F64.rawValue), ElementwiseTests.sweep.map { Double($0) / 3 }) { $0 }
        check(csimd_element(CSIMD_I32.rawValue), samples(Int32.self)) { $0 }
        check(csimd_element(CSIMD_I64.rawValue), samples(Int64.self)) { $0 }
        check(csimd_element(CSIMD_U8.rawValue), samples(UInt8.self)) { $0 }
    }

    @Test func selectionCopiesElementsOfEverySize() {
        let count = 200_005
        let a = (0..<count * 8).map { UInt8(truncatingIfNeeded: $0 &* 73) }, b = a.map { ~$0 }
        let condition = (0..<count).map { UInt8(($0 / 3) % 2) }
        for size in [1, 2, 4, 8] {
            let expected = (0..<count * size).map { condition[$0 / size] == 0 ? b[$0] : a[$0] }
            forEachRow { row in
                for threads: Int32 in [1, 4] {
                    withThreads(threads) {
                        var y = [UInt8](repeating: 0, count: count * size)
                        #expect(csimd_select(size, count, condition, a, b, &y) == CSIMD_OK)
                        let isRight = y == expected  // a failure is not to print a million bytes
                        #expect(isRight, "\(row), \(size) bytes, \(threads) threads")
                    }
                }
            }
        }
        var y: [UInt8] = [1]
        #expect(csimd_select(3, 1, condition, a, b, &y) == CSIMD_INVALID_ARGUMENT && y == [1])
    }
}
