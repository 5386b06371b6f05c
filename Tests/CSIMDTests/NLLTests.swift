import CSIMD
import Foundation
import Testing

/// One fused cross-entropy problem: operands in guarded memory, the reference in Double, and calls on whichever row is chosen.
private struct NLLCase {
    let type: csimd_type
    let rows: Int
    let columns: Int
    let logits: TypedBuffer
    let targets: [Int64]
    let weights: [Double]?
    let smoothing: Double
    let rowScale: [Double]?
    let scale: Double

    let targetPointer: UnsafeMutablePointer<Int64>
    let weightBuffer: TypedBuffer?
    let scaleBuffer: TypedBuffer?
    let rowLoss: TypedBuffer
    let logSumExp: TypedBuffer
    let gradient: TypedBuffer

    static let ignored: Int64 = -100

    init(
        _ arena: BufferArena, _ type: csimd_type, columns: Int, logits: [Double], targets: [Int64],
        weights: [Double]? = nil,
        smoothing: Float = 0, rowScale: [Double]? = nil, scale: Double = 1
    ) {
        self.type = type
        self.columns = columns
        rows = targets.count
        self.logits = arena.make(type, logits)
        self.targets = targets
        self.smoothing = Double(smoothing)
        self.scale = scale
        let result = type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32
        targetPointer = arena.make(targets: targets)
        weightBuffer = weights.map { arena.make(CSIMD_F32, $0) }
        scaleBuffer = rowScale.map { arena.make(result, $0) }
        self.weights = weightBuffer?.values
        self.rowScale = scaleBuffer?.values
        rowLoss = arena.make(result, count: rows)
        logSumExp = arena.make(result, count: rows)
        gradient = arena.make(type, count: rows * columns)
    }

    var arguments: csimd_nll_args {
        csimd_nll_args(
            type: type, rows: rows, columns: columns, logits: UnsafeRawPointer(logits.pointer), targets: targetPointer,
            class_weights: weightBuffer.map { UnsafePointer($0.pointer.assumingMemoryBound(to: Float.self)) },
            ignore_index: NLLCase.ignored, label_smoothing: smoothing)
    }

    func forward() -> (status: csimd_status, loss: Double, weight: Double, badRow: Int) {
        var arguments = arguments
        var loss = 0.125, weight = 0.25, badRow = -1
        let status = csimd_nll_forward(&arguments, rowLoss.pointer, logSumExp.pointer, &loss, &weight, &badRow)
        return (status, loss, weight, badRow)
    }

    func backward(into gradient: TypedBuffer) -> csimd_status {
        var arguments = arguments
        arguments.logits = UnsafeRawPointer(gradient.hasSameBits(as: logits) ? gradient.pointer : logits.pointer)
        return csimd_nll_backward(&arguments, logSumExp.pointer, scaleBuffer?.pointer, scale, gradient.pointer)
    }

    /// Forward and backward in one call; it knows no row scale.
    func both(into gradient: TypedBuffer) -> (status: csimd_status, loss: Double, weight: Double, badRow: Int) {
        var arguments = arguments
        arguments.logits = UnsafeRawPointer(gradient.hasSameBits(as: logits) ? gradient.pointer : logits.pointer)
        var loss = 0.125, weight = 0.25, badRow = -1
        let status = csimd_nll(
            &arguments, scale, rowLoss.pointer, logSumExp.pointer, gradient.pointer, &loss, &weight, &badRow)
        return (status, loss, weight, badRow)
    }

    func weight(_ column: Int) -> Double { weights?[column] ?? 1 }

    /// Checks both directions against Double, by two calls and by one: the same bounds, and the same bits of the losses.
    func check(_ place: String) {
        let (status, lossSum, weightSum, _) = forward()
        #expect(status == CSIMD_OK && backward(into: gradient) == CSIMD_OK, "\(place)")
        compare(place, lossSum, weightSum)
        guard rowScale == nil else { return }
        let losses = (rowLoss.bytes, logSumExp.bytes)
        let one = both(into: gradient)
        #expect(one.status == CSIMD_OK, "\(place), one call")
        let sameLoss = one.loss == lossSum || (one.loss.isNaN && lossSum.isNaN)
        let sameBits = (rowLoss.bytes, logSumExp.bytes) == losses && sameLoss && one.weight == weightSum
        #expect(sameBits, "\(place): losses of one call and of two")
        compare("\(place), one call", one.loss, one.weight)
        var arguments = arguments
        var weight = -1.0
        #expect(csimd_nll_weight(&arguments, &weight, nil) == CSIMD_OK && weight == weightSum, "\(place): weight alone")
    }

    /// What the last calls wrote, against Double. Bounds: see the comments.
    private func compare(_ place: String, _ lossSum: Double, _ weightSum: Double) {
        let u = arithmeticRoundoff(type), share = smoothing / Double(columns)
        let total = (0..<columns).reduce(0) { $0 + weight($1) }
        let stored = logits.values
        var expectedWeight = 0.0, sumOfLosses = 0.0, absoluteLosses = 0.0
        for row in 0..<rows {
            let range = row * columns..<(row + 1) * columns
            sumOfLosses += rowLoss[row]
            absoluteLosses += abs(rowLoss[row])
            guard targets[row] != NLLCase.ignored else {
                let zero = rowLoss[row] == 0 && range.allSatisfy { gradient[$0] == 0 }
                #expect(zero, "\(place): ignored row \(row)")
                continue
            }
            let target = Int(targets[row])
            let reference = RowReference(stored[range])
            let onTarget = (1 - smoothing) * weight(target)
            expectedWeight += weight(target)

            // The target's term by TRUST.md's bound. The smoothing terms are added in float32, at most 10 u each for their
            // chunk's additions instead of 2.5 u for one: 16 u |log p|. Then the products and the sum: 3 u each.
            let nll = -reference.logProbability(stored[row * columns + target])
            var loss = onTarget == 0 && nll.isInfinite ? 0 : onTarget * nll
            var bound = onTarget == 0 ? 0 : onTarget * logProbabilityBound(type, columns: columns, nll)
            if smoothing > 0 {
                for (column, index) in range.enumerated() where weight(column) != 0 {
                    let nll = -reference.logProbability(stored[index])
                    loss += share * weight(column) * nll
                    bound += share * weight(column) * (logProbabilityBound(type, columns: columns, nll) + 16 * u * nll)
                }
            }
            bound += 3 * u * loss
            let lossOk = loss.isFinite ? abs(rowLoss[row] - loss) <= bound : rowLoss[row] == loss
            #expect(lossOk, "\(place) row \(row): loss \(rowLoss[row]), expected \(loss) within \(bound)")

            let logSumExpected = reference.maximum + reference.logSum
            let logSumError =
                logProbabilityBound(type, columns: columns, reference.logSum) + 2 * u * abs(logSumExpected)
            let logSumOk = abs(logSumExp[row] - logSumExpected) <= logSumError
            #expect(logSumOk, "\(place) row \(row): log-sum-exp \(logSumExp[row]), expected \(logSumExpected)")

            // p = exp(x - lse): its exponent as the log-probability's bound, 8 u for the rounding of lse (at most 16 where it is
            // trusted; else sum and reciprocal), 4 u for exp. Factors and the final fused operation: 4 u of each product.
            let g = scale * (rowScale?[row] ?? 1)
            let factor = onTarget + share * total
            for (column, index) in range.enumerated() {
                let y = reference.logProbability(stored[index])
                let p = exp(y)
                let minus = share * weight(column) + (column == target ? onTarget : 0)
                let expected = g * (p * factor - minus)
                let relative = p == 0 ? 0 : logProbabilityBound(type, columns: columns, y) + 12 * u
                let pError = p * relative + 0x1p-148
                let error = abs(g) * (factor * pError + 4 * u * (p * factor + minus))
                let ok = abs(gradient[index] - expected) <= error + storageRounding(type, abs(expected) + error)
                #expect(
                    ok,
                    "\(place) [\(row), \(column)]: gradient \(gradient[index]), expected \(expected) within \(error)")
            }
        }
        let weightOk = abs(weightSum - expectedWeight) <= Double(rows) * 0x1p-53 * expectedWeight
        #expect(weightOk, "\(place): weight sum \(weightSum), expected \(expectedWeight)")
        // The sum is of float32 losses (float64 for f64) in float64: rows additions.
        let sumOk =
            sumOfLosses.isFinite
            ? abs(lossSum - sumOfLosses) <= Double(rows) * 0x1p-52 * absoluteLosses : lossSum == sumOfLosses
        #expect(sumOk, "\(place): loss sum \(lossSum), the rows' losses add up to \(sumOfLosses)")
    }
}

@Suite struct NLLTests {
    private func randomTargets(_ rows: Int, _ columns: Int, _ random: inout TestRandom) -> [Int64] {
        (0..<rows).map { _ in random.uniform() < 0.1 ? NLLCase.ignored : Int64(random.bits() % UInt64(columns)) }
    }

    private func check(
        _ type: csimd_type, rows: Int, columns: Int, _ kind: LogitKind, weighted: Bool = false, smoothing: Float = 0,
        scaled: Bool = false, _ random: inout TestRandom
    ) {
        let arena = BufferArena()
        defer { arena.release() }
        var logits = kind.make(rows * columns, type: type, &random)
        let targets = randomTargets(rows, columns, &random)
        // The difference of the extremes is beyond float32: keep targets where the loss can be told.
        if kind == .extreme {
            for (row, target) in targets.enumerated() where target >= 0 {
                logits[row * columns + Int(target)] = logits[row * columns..<(row + 1) * columns].max()!
            }
        }
        let problem = NLLCase(
            arena, type, columns: columns, logits: logits, targets: targets,
            weights: weighted ? (0..<columns).map { _ in random.uniform() < 0.1 ? 0 : 2 * random.uniform() } : nil,
            smoothing: smoothing, rowScale: scaled ? (0..<rows).map { _ in random.normal() } : nil,
            scale: scaled ? 1024 : 1)
        forEachRow { kernels in
            problem.check(
                "\(kernels) type \(type.rawValue) [\(rows), \(columns)] \(kind) weighted \(weighted) e \(smoothing)")
        }
    }

    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func lossAndGradientAreWithinTheBoundForEveryClassCount(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        var random = TestRandom(11)
        for columns in smallColumnCounts {
            let kind = LogitKind.allCases[columns % 4]
            check(type, rows: 3, columns: columns, kind, weighted: columns % 3 == 0, scaled: columns % 2 == 0, &random)
            check(type, rows: 3, columns: columns, .normal, weighted: columns % 2 == 0, smoothing: 0.1, &random)
        }
        for columns in [513, 1000] {
            for kind in LogitKind.allCases { check(type, rows: 2, columns: columns, kind, scaled: true, &random) }
            check(type, rows: 2, columns: columns, .large, weighted: true, smoothing: 0.3, scaled: true, &random)
        }
        check(type, rows: 1, columns: 50257, .normal, &random)
    }

    /// Rows of several blocks of 4096 whose maximum comes in the last, in the first, or grows from block to block.
    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func laterBlocksMayHoldTheMaximum(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        let arena = BufferArena()
        defer { arena.release() }
        let columns = 3 * 4096 + 37
        let rows: [(Int) -> Double] = [
            { $0 == columns - 1 ? 3 : sin(Double($0)) }, { $0 == 5 ? 3 : sin(Double($0)) },
            { sin(Double($0)) + Double($0 / 4096) * 4 }, { $0 < 8192 ? -.infinity : sin(Double($0)) },
        ]
        let logits = rows.flatMap { row in (0..<columns).map(row) }
        for target in [0, 5, 5000, columns - 1] {
            let targets = [Int64](repeating: Int64(target), count: 3) + [Int64(max(target, 9000))]
            let problem = NLLCase(arena, type, columns: columns, logits: logits, targets: targets)
            forEachRow { kernels in problem.check("\(kernels) type \(rawType), target \(target)") }
        }
    }

    @Test func rowCountsFromNoneToSeveralBlocks() {
        var random = TestRandom(12)
        for rows in [0, 1, 3, 17, 64, 65, 200] {
            for type in TypedBuffer.allTypes {
                check(type, rows: rows, columns: 10, .normal, weighted: rows % 2 == 1, smoothing: 0.2, &random)
                check(type, rows: rows, columns: 1, .normal, &random)
            }
        }
    }

    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func specialLogits(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        let arena = BufferArena()
        defer { arena.release() }
        for columns in [2, 10, 16, 33, 600] {
            let last = columns - 1
            var rows = [[Double]](repeating: (0..<columns).map { sin(Double($0)) }, count: 7)
            rows[1] = [Double](repeating: -.infinity, count: columns)
            rows[2][last] = .infinity
            rows[3][last] = .nan
            rows[4][0] = -.infinity  // not the target
            rows[5][last] = -.infinity  // the target
            rows[6][0] = .nan  // in an ignored row
            let targets = [Int64](repeating: Int64(last), count: 6) + [NLLCase.ignored]
            let problem = NLLCase(arena, type, columns: columns, logits: rows.flatMap { $0 }, targets: targets)
            forEachRow { kernels in
                for isOneCall in [false, true] {
                    let place = "\(kernels) type \(rawType), \(columns) columns, one call \(isOneCall)"
                    let loss = isOneCall ? problem.both(into: problem.gradient).loss : problem.forward().loss
                    if !isOneCall { #expect(problem.backward(into: problem.gradient) == CSIMD_OK) }
                    let gradient = problem.gradient.values
                    func rowOfGradient(_ row: Int) -> ArraySlice<Double> {
                        gradient[row * columns..<(row + 1) * columns]
                    }
                    #expect(loss.isNaN, "\(place)")
                    for row in 1...3 {
                        #expect(problem.rowLoss[row].isNaN, "\(place) row \(row)")
                        #expect(rowOfGradient(row).allSatisfy { $0.isNaN }, "\(place) row \(row)")
                    }
                    for row in [0, 4] {
                        #expect(problem.rowLoss[row].isFinite, "\(place) row \(row)")
                        #expect(rowOfGradient(row).allSatisfy { $0.isFinite }, "\(place) row \(row)")
                    }
                    #expect(rowOfGradient(4).first == 0, "\(place): gradient at -inf")
                    #expect(problem.rowLoss[5] == .infinity && rowOfGradient(5).last == -1, "\(place): target at -inf")
                    #expect(rowOfGradient(5).allSatisfy { $0.isFinite }, "\(place): target at -inf")
                    #expect(problem.rowLoss[6] == 0 && rowOfGradient(6).allSatisfy { $0 == 0 }, "\(place): ignored row")
                }
            }
        }
    }

    @Test func smoothingCountsAnImpossibleClassUnlessItsWeightIsZero() {
        let arena = BufferArena()
        defer { arena.release() }
        for type in TypedBuffer.allTypes {
            for columns in [3, 10, 40] {
                var logits = (0..<columns).map { cos(Double($0)) }
                logits[1] = -.infinity
                var weights = [Double](repeating: 1.5, count: columns)
                let counted = NLLCase(
                    arena, type, columns: columns, logits: logits, targets: [0], weights: weights, smoothing: 0.1)
                weights[1] = 0
                let notCounted = NLLCase(
                    arena, type, columns: columns, logits: logits, targets: [0], weights: weights, smoothing: 0.1)
                let targetNotCounted = NLLCase(
                    arena, type, columns: columns, logits: logits, targets: [1], weights: weights, smoothing: 0.1)
                forEachRow { kernels in
                    #expect(counted.forward().loss == .infinity, "\(kernels)")
                    notCounted.check("\(kernels), weight 0 at -inf")
                    targetNotCounted.check("\(kernels), weight 0 at a target of -inf")
                    #expect(notCounted.gradient[1] == 0, "\(kernels)")
                }
            }
        }
    }

    @Test func badTargetsAreRefusedBeforeAnythingIsWritten() {
        let arena = BufferArena()
        defer { arena.release() }
        for bad: Int64 in [10, -1, 1 << 31, 1 << 32, (1 << 32) + 3, .min, .max] {
            var targets = [Int64](repeating: 3, count: 70)
            targets[68] = bad
            targets[69] = bad
            let logits = [Double](repeating: 0.5, count: 700)
            let problem = NLLCase(arena, CSIMD_F32, columns: 10, logits: logits, targets: targets)
            let untouched = (problem.rowLoss.bytes, problem.logSumExp.bytes, problem.gradient.bytes)
            forEachRow { kernels in
                let (status, loss, weight, row) = problem.forward()
                #expect(status == CSIMD_BAD_TARGET && row == 68, "\(kernels), target \(bad): row \(row)")
                #expect(loss == 0.125 && weight == 0.25, "\(kernels), target \(bad)")
                #expect(problem.backward(into: problem.gradient) == CSIMD_BAD_TARGET, "\(kernels), target \(bad)")
                let one = problem.both(into: problem.gradient)
                #expect(one.status == CSIMD_BAD_TARGET && one.badRow == 68 && one.loss == 0.125 && one.weight == 0.25)
                let now = (problem.rowLoss.bytes, problem.logSumExp.bytes, problem.gradient.bytes)
                #expect(now == untouched, "\(kernels), target \(bad)")
            }
        }
    }

    @Test func badOptionsAreRefused() {
        let arena = BufferArena()
        defer { arena.release() }
        for smoothing: Float in [-0.1, 1.1, .nan] {
            let problem = NLLCase(arena, CSIMD_F32, columns: 2, logits: [0, 1], targets: [1], smoothing: smoothing)
            #expect(problem.forward().status == CSIMD_INVALID_ARGUMENT)
            #expect(problem.backward(into: problem.gradient) == CSIMD_INVALID_ARGUMENT)
        }
        let noClasses = NLLCase(arena, CSIMD_F32, columns: 0, logits: [], targets: [0])
        #expect(noClasses.forward().status == CSIMD_BAD_TARGET)
        let allIgnored = NLLCase(arena, CSIMD_F32, columns: 0, logits: [], targets: [NLLCase.ignored])
        let (status, loss, weight, _) = allIgnored.forward()
        #expect(status == CSIMD_OK && loss == 0 && weight == 0)
    }

    @Test func inPlaceAndThreadCountsChangeNoBit() {
        var random = TestRandom(13)
        let arena = BufferArena()
        defer { arena.release() }
        for type in TypedBuffer.allTypes {
            for (rows, columns) in [(3, 5), (1500, 10), (90, 1000)] {
                let problem = NLLCase(
                    arena, type, columns: columns, logits: LogitKind.normal.make(rows * columns, type: type, &random),
                    targets: randomTargets(rows, columns, &random), smoothing: columns == 5 ? 0.1 : 0)
                forEachRow { kernels in
                    let expected = withThreads(1) { problem.forward() }
                    withThreads(1) { _ = problem.backward(into: problem.gradient) }
                    for threads: Int32 in [1, 2, 3] {
                        let inPlace = arena.copy(of: problem.logits)
                        withThreads(threads) {
                            let (_, loss, weight, _) = problem.forward()
                            #expect(
                                loss == expected.loss && weight == expected.weight, "\(kernels), \(threads) threads")
                            _ = problem.backward(into: inPlace)
                        }
                        #expect(
                            inPlace.hasSameBits(as: problem.gradient), "\(kernels) \(type.rawValue), \(threads) threads"
                        )
                        let first = arena.copy(of: problem.logits), second = arena.make(type, count: rows * columns)
                        let one = withThreads(1) { problem.both(into: first) }
                        let other = withThreads(threads) { problem.both(into: second) }
                        #expect(
                            first.hasSameBits(as: second) && one.loss == other.loss && one.loss == expected.loss,
                            "\(kernels) \(type.rawValue), one call, \(threads) threads")
                    }
                }
            }
        }
    }

    /// One logit of 0 among -inf has p = 1, so its gradient is `scale` itself: here a tie, to be rounded to even.
    @Test func tiesOfTheGradientGoToEven() {
        for (type, halfUlp) in [(CSIMD_F16, 0x1p-11), (CSIMD_BF16, 0x1p-8)] {
            let arena = BufferArena()
            defer { arena.release() }
            let columns = 131
            for column in 0..<columns {
                var logits = [Double](repeating: -.infinity, count: columns)
                logits[column] = 0
                let scale = 1 + Double(column % 2 == 0 ? 1 : 3) * halfUlp
                let problem = NLLCase(
                    arena, type, columns: columns, logits: logits, targets: [Int64((column + 1) % columns)],
                    scale: scale)
                forEachRow { kernels in
                    _ = problem.forward()
                    _ = problem.backward(into: problem.gradient)
                    let expected = column % 2 == 0 ? 1 : 1 + 4 * halfUlp
                    #expect(problem.gradient[column] == expected, "\(kernels) type \(type.rawValue) column \(column)")
                    _ = problem.both(into: problem.gradient)
                    #expect(problem.gradient[column] == expected, "\(kernels) type \(type.rawValue), one call")
                }
            }
        }
    }

    @Test func aShiftThatIsExactChangesNoBitOfTheLoss() {
        let arena = BufferArena()
        defer { arena.release() }
        var random = TestRandom(14)
        for columns in [10, 700] {
            let logits = (0..<columns).map { _ in Double(Int(random.bits() % 16384) - 8192) * 0x1p-10 }
            let plain = NLLCase(arena, CSIMD_F32, columns: columns, logits: logits, targets: [4])
            let shifted = NLLCase(arena, CSIMD_F32, columns: columns, logits: logits.map { $0 + 1024 }, targets: [4])
            forEachRow { kernels in
                #expect(plain.forward().loss == shifted.forward().loss, "\(kernels), \(columns) columns")
            }
        }
    }

    /// 65,520 rows of float16: a sum in the input's type would overflow and its mean be 0 or infinite.
    @Test func manyRowsOfFloat16KeepTheirMean() {
        let arena = BufferArena()
        defer { arena.release() }
        let rows = 65520
        let problem = NLLCase(
            arena, CSIMD_F16, columns: 2, logits: [Double](repeating: 0, count: 2 * rows),
            targets: [Int64](repeating: 1, count: rows))
        forEachRow { kernels in
            let (_, loss, weight, _) = problem.forward()
            let ok = abs(loss / weight - log(2)) <= 0x1p-24 * (8 + log(2) + 2.5 * log(2))
            #expect(ok, "\(kernels): mean \(loss / weight)")
        }
    }
}
