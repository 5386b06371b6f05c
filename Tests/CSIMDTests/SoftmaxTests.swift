import CSIMD
import Foundation
import Testing

/// softmax and log-softmax of one row in Double.
struct RowReference {
    let maximum: Double
    let logSum: Double

    init(_ x: ArraySlice<Double>) {
        let largest = x.max() ?? -.infinity
        maximum = largest
        // With the roundings added up beside the sum (Neumaier): float64 kernels are compared with it too.
        var sum = 0.0, lost = 0.0
        for value in x {
            let term = exp(value - largest), next = sum + term
            lost += sum >= term ? (sum - next) + term : (term - next) + sum
            sum = next
        }
        logSum = log(sum + lost)
    }

    func logProbability(_ x: Double) -> Double { (x - maximum) - logSum }
}

/// TRUST.md's bound on a log-probability y: 8 u from the sum and from exp, log C u for more terms, 2.5 u |y| for the roundings of
/// x - m, of log s and of y (each u times at most |y|, half an ulp each).
func logProbabilityBound(_ type: csimd_type, columns: Int, _ y: Double) -> Double {
    arithmeticRoundoff(type) * (8 + log(Double(columns)) + 2.5 * abs(y))
}

/// What logits look like in the tests: ordinary ones, large ones, the largest there are, and one that outweighs many.
enum LogitKind: CaseIterable {
    case normal, large, extreme, dominated

    func make(_ count: Int, type: csimd_type, _ random: inout TestRandom) -> [Double] {
        let largest = type == CSIMD_F16 ? 65504 : 3.38e38
        return (0..<count).map { index in
            switch self {
            case .normal: 3 * random.normal()
            case .large: 1e4 * (2 * random.uniform() - 1)
            case .extreme: random.uniform() < 0.5 ? -largest : largest
            case .dominated: index % 101 == 7 ? 15 : -0.6 + 0.01 * random.uniform()
            }
        }
    }
}

let smallColumnCounts = Array(1...130)

@Suite struct SoftmaxTests {
    /// Runs one case on every row of kernels; `check` gets the row's name, index, the logit as stored, its exact log-probability and
    /// the results of log-softmax and softmax.
    private func compare(
        _ type: csimd_type, rows: Int, columns: Int, _ logits: [Double],
        check: (_ where: String, _ index: Int, _ y: Double, _ logSoftmax: Double, _ softmax: Double) -> Void
    ) {
        let arena = BufferArena()
        defer { arena.release() }
        let x = arena.make(type, logits)
        let stored = x.values
        let expected = (0..<rows).flatMap { row in
            let values = stored[row * columns..<(row + 1) * columns]
            let reference = RowReference(values)
            return values.map(reference.logProbability)
        }
        let logSoftmax = arena.make(type, count: x.count), softmax = arena.make(type, count: x.count)
        forEachRow { kernels in
            #expect(csimd_log_softmax(type, rows, columns, x.pointer, logSoftmax.pointer) == CSIMD_OK)
            #expect(csimd_softmax(type, rows, columns, x.pointer, softmax.pointer) == CSIMD_OK)
            for index in 0..<x.count {
                check(
                    "\(kernels) type \(type.rawValue) [\(rows), \(columns)] at \(index)", index, expected[index],
                    logSoftmax[index], softmax[index])
            }
        }
    }

    private func expectWithinBounds(_ type: csimd_type, rows: Int, columns: Int, _ logits: [Double]) {
        compare(type, rows: rows, columns: columns, logits) { place, _, y, logSoftmax, softmax in
            let bound = logProbabilityBound(type, columns: columns, y)
            let largest = type == CSIMD_F64 ? Double.greatestFiniteMagnitude : Double(Float.greatestFiniteMagnitude)
            if abs(y) > (type == CSIMD_F16 ? 65504 : largest / 2) {
                // Near and beyond the largest finite value the result may be -infinity.
                let ok = logSoftmax <= -0.49 * (type == CSIMD_F16 ? 65504 : largest)
                #expect(ok, "log-softmax \(place): expected \(y), got \(logSoftmax)")
            } else {
                let ok = abs(logSoftmax - y) <= bound + storageRounding(type, abs(y) + bound) && logSoftmax <= 0
                #expect(ok, "log-softmax \(place): expected \(y), got \(logSoftmax)")
            }
            // p = exp(y): the bound on y is relative to p; 4 u more for exp (2 ulps); subnormal results of exp have 2^-149 each.
            let p = exp(y)
            let error = p * (bound + 4 * arithmeticRoundoff(type))
            let ok = abs(softmax - p) <= error + storageRounding(type, p + error) + 0x1p-148
            #expect(ok, "softmax \(place): expected \(p), got \(softmax)")
        }
    }

    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func resultsAreWithinTheBoundForEveryColumnCount(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        var random = TestRandom(1)
        for columns in smallColumnCounts {
            let kind = LogitKind.allCases[columns % 4]
            expectWithinBounds(type, rows: 3, columns: columns, kind.make(3 * columns, type: type, &random))
        }
        for kind in LogitKind.allCases {
            expectWithinBounds(type, rows: 2, columns: 513, kind.make(2 * 513, type: type, &random))
            expectWithinBounds(type, rows: 1, columns: 1000, kind.make(1000, type: type, &random))
        }
        expectWithinBounds(type, rows: 1, columns: 50257, LogitKind.normal.make(50257, type: type, &random))
    }

    @Test func rowCountsFromNoneToSeveralBlocks() {
        var random = TestRandom(2)
        for rows in [0, 1, 3, 17, 64, 65, 130] {
            for columns in [0, 1, 10, 33] {
                let logits = LogitKind.normal.make(rows * columns, type: CSIMD_F32, &random)
                expectWithinBounds(CSIMD_F32, rows: rows, columns: columns, logits)
            }
        }
    }

    @Test func probabilitiesSumToOne() {
        var random = TestRandom(3)
        for columns in [2, 10, 513, 1000, 50257] {
            var sums: [String: Double] = [:]
            let logits = LogitKind.normal.make(columns, type: CSIMD_F32, &random)
            compare(CSIMD_F32, rows: 1, columns: columns, logits) { place, _, _, y, _ in
                sums[String(place.prefix(while: { $0 != " " })), default: 0] += exp(y)
            }
            for (kernels, sum) in sums {
                let ok = abs(sum - 1) <= 5e-6  // TRUST.md
                #expect(ok, "\(kernels), \(columns) columns: sum of exp(y) is \(sum)")
            }
        }
    }

    @Test func aShiftThatIsExactChangesNoBit() {
        var random = TestRandom(4)
        let arena = BufferArena()
        defer { arena.release() }
        for columns in [3, 10, 100, 700] {
            // Multiples of 2^-10 below 8: x + 1024 is exact in float32.
            let logits = (0..<columns).map { _ in Double(Int(random.bits() % 16384) - 8192) * 0x1p-10 }
            let x = arena.make(CSIMD_F32, logits), shifted = arena.make(CSIMD_F32, logits.map { $0 + 1024 })
            let y = arena.make(CSIMD_F32, count: columns), z = arena.make(CSIMD_F32, count: columns)
            for function in [csimd_log_softmax, csimd_softmax] {
                forEachRow { kernels in
                    _ = function(CSIMD_F32, 1, columns, x.pointer, y.pointer)
                    _ = function(CSIMD_F32, 1, columns, shifted.pointer, z.pointer)
                    #expect(y.hasSameBits(as: z), "\(kernels), \(columns) columns")
                }
            }
        }
    }

    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func specialValuesStayInTheirRow(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        let arena = BufferArena()
        defer { arena.release() }
        for columns in [2, 10, 16, 100, 600] {
            var rows = [[Double]](repeating: (0..<columns).map { sin(Double($0)) }, count: 6)
            rows[1] = [Double](repeating: -.infinity, count: columns)
            rows[2][columns - 1] = .infinity
            rows[3][columns / 2] = .nan
            rows[4][0] = -.infinity
            // An infinite prefix longer than one chunk of the vector kernels, where the row is that long.
            for column in 0..<columns - 1 { rows[5][column] = -.infinity }
            let x = arena.make(type, rows.flatMap { $0 })
            let logSoftmax = arena.make(type, count: x.count), softmax = arena.make(type, count: x.count)
            forEachRow { kernels in
                _ = csimd_log_softmax(type, rows.count, columns, x.pointer, logSoftmax.pointer)
                _ = csimd_softmax(type, rows.count, columns, x.pointer, softmax.pointer)
                for row in 0..<rows.count {
                    let range = row * columns..<(row + 1) * columns
                    let isNumber = row == 0 || row >= 4
                    #expect(range.allSatisfy { logSoftmax[$0].isNaN != isNumber }, "\(kernels) \(columns) row \(row)")
                    #expect(range.allSatisfy { softmax[$0].isNaN != isNumber }, "\(kernels) \(columns) row \(row)")
                }
                #expect(logSoftmax[4 * columns] == -.infinity && softmax[4 * columns] == 0, "\(kernels) \(columns)")
                #expect(logSoftmax[5 * columns] == -.infinity && softmax[5 * columns] == 0, "\(kernels) \(columns)")
                #expect(logSoftmax[6 * columns - 1] == 0 && softmax[6 * columns - 1] == 1, "\(kernels) \(columns)")
            }
        }
    }

    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func gradientsAreWithinTheBound(_ rawType: UInt32) {
        let type = csimd_type(rawType), u = arithmeticRoundoff(type)
        var random = TestRandom(5)
        let arena = BufferArena()
        defer { arena.release() }
        for columns in smallColumnCounts + [513, 1000] {
            let rows = 2
            let logits = LogitKind.normal.make(rows * columns, type: type, &random)
            let probabilities = (0..<rows).flatMap { row in
                let values = logits[row * columns..<(row + 1) * columns]
                let reference = RowReference(values)
                return values.map(reference.logProbability)
            }
            let y = arena.make(type, probabilities), p = arena.make(type, probabilities.map(exp))
            let dy = arena.make(type, (0..<rows * columns).map { _ in random.normal() })
            let dx = arena.make(type, count: dy.count), dz = arena.make(type, count: dy.count)
            forEachRow { kernels in
                #expect(csimd_softmax_gradient(type, rows, columns, p.pointer, dy.pointer, dx.pointer) == CSIMD_OK)
                #expect(csimd_log_softmax_gradient(type, rows, columns, y.pointer, dy.pointer, dz.pointer) == CSIMD_OK)
                for row in 0..<rows {
                    let range = row * columns..<(row + 1) * columns
                    let sum = range.reduce(0) { $0 + dy[$1] * p[$1] },
                        absolute = range.reduce(0) { $0 + abs(dy[$1] * p[$1]) }
                    let plain = range.reduce(0) { $0 + dy[$1] }, plainAbsolute = range.reduce(0) { $0 + abs(dy[$1]) }
                    for index in range {
                        // The sum: at most 10 additions in float32, then float64, then one rounding: 12 u of the absolute sum.
                        // Then a subtraction and a product.
                        let expected = p[index] * (dy[index] - sum)
                        let error = p[index] * (12 * u * absolute + 2 * u * (abs(dy[index]) + abs(sum)))
                        let ok = abs(dx[index] - expected) <= error + storageRounding(type, abs(expected) + error)
                        #expect(
                            ok, "softmax \(kernels) \(rawType) \(columns) at \(index): \(dx[index]), not \(expected)")
                        // exp within 2 ulps (4 u), the sum as above, one fused or two separate roundings.
                        let other = dy[index] - exp(y[index]) * plain
                        let otherError =
                            exp(y[index]) * (12 * u * plainAbsolute + 6 * u * abs(plain)) + 2 * u * abs(dy[index])
                        let otherOk =
                            abs(dz[index] - other) <= otherError + storageRounding(type, abs(other) + otherError)
                        #expect(
                            otherOk,
                            "log-softmax \(kernels) \(rawType) \(columns) at \(index): \(dz[index]), not \(other)")
                    }
                }
            }
        }
    }

    @Test func inPlaceAndThreadCountsChangeNoBit() {
        var random = TestRandom(6)
        let arena = BufferArena()
        defer { arena.release() }
        for type in TypedBuffer.allTypes {
            for (rows, columns) in [(3, 7), (2000, 37)] {
                let x = arena.make(type, LogitKind.normal.make(rows * columns, type: type, &random))
                let y = arena.make(type, count: x.count), dx = arena.make(type, count: x.count)
                for (forward, backward) in [
                    (csimd_softmax, csimd_softmax_gradient), (csimd_log_softmax, csimd_log_softmax_gradient),
                ] {
                    forEachRow { kernels in
                        withThreads(1) {
                            _ = forward(type, rows, columns, x.pointer, y.pointer)
                            _ = backward(type, rows, columns, y.pointer, x.pointer, dx.pointer)
                        }
                        for threads: Int32 in [1, 2, 3] {
                            let z = arena.copy(of: x), dz = arena.copy(of: x)
                            withThreads(threads) {
                                _ = forward(type, rows, columns, z.pointer, z.pointer)
                                _ = backward(type, rows, columns, y.pointer, dz.pointer, dz.pointer)
                            }
                            #expect(z.hasSameBits(as: y), "\(kernels) \(type.rawValue), \(threads) threads")
                            #expect(dz.hasSameBits(as: dx), "\(kernels) \(type.rawValue), \(threads) threads")
                        }
                    }
                }
            }
        }
    }

    @Test func badArgumentsAreRefused() {
        let arena = BufferArena()
        defer { arena.release() }
        let x = arena.make(CSIMD_F32, [1])
        #expect(csimd_softmax(csimd_type(9), 1, 1, x.pointer, x.pointer) == CSIMD_INVALID_ARGUMENT)
        #expect(csimd_softmax(CSIMD_F32, Int.max, 3, x.pointer, x.pointer) == CSIMD_INVALID_ARGUMENT)
        #expect(csimd_log_softmax(CSIMD_F32, 1, 1, nil, x.pointer) == CSIMD_INVALID_ARGUMENT)
        #expect(csimd_softmax_gradient(CSIMD_F32, 1, 1, x.pointer, nil, x.pointer) == CSIMD_INVALID_ARGUMENT)
        #expect(csimd_log_softmax_gradient(CSIMD_F32, 0, 1, nil, nil, nil) == CSIMD_OK)
        #expect(x[0] == 1)
    }
}
