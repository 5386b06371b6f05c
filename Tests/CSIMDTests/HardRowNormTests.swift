// Layer and RMS normalisation of rows at which statistics go wrong, on every row of kernels, type and length around a vector.
import CSIMD
import Testing

@Suite struct HardRowNormTests {
    private static let lengths = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 1000, 4099]

    /// Slopes at which sums go wrong: of one size, of the largest values with both signs, subnormal.
    private enum Slopes: CaseIterable {
        case normal, largest, subnormal

        func values(_ count: Int, _ type: csimd_type, _ random: inout TestRandom) -> [Double] {
            switch self {
            case .normal: HardRow.normal.values(count, type, &random)
            case .largest: HardRow.largest.values(count, type, &random).map { $0 / (type == CSIMD_F64 ? 8192 : 1) }
            case .subnormal: HardRow.subnormal.values(count, type, &random)
            }
        }
    }

    /// Results and gradients against Float80, with the errors of ``ReferenceStatistics``; e is that of n, i that of the inverse.
    /// y: e and its rounding. With g = dy, G and H the means of |g| and |g n|, and k additions: dx within inverse times
    /// ((k + 8) u + i) (|g| + G + |n| H) + e H + |n| mean(|g| e), and what products below 2^-126 lose, (|n| + 3) 2^-146. The
    /// weight's gradient: Σ |dy| e + (rows + 4) u Σ |dy n|, and rows 2^-146; the bias's: (rows + 4) u Σ |dy|.
    private func check(_ type: csimd_type, _ kind: csimd_row_norm_kind, columns n: Int, _ slopes: Slopes) {
        var random = TestRandom(UInt64(n))
        let arena = BufferArena()
        defer { arena.release() }
        let kinds = HardRow.allCases, rows = kinds.count, limits = TypeLimits(type), epsilon = 1e-5
        let rowsOfX = kinds.map { $0.values(n, type, &random) }
        let rowsOfDy = kinds.map { _ in slopes.values(n, type, &random) }
        let x = arena.make(type, rowsOfX.flatMap { $0 }), dy = arena.make(type, rowsOfDy.flatMap { $0 })
        let sumType = type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32
        let u = Wide(arithmeticRoundoff(type)), tiny: Wide = type == CSIMD_F64 ? 0x1p-1070 : 0x1p-146
        let additions = type == CSIMD_F64 ? Double(n) : Double(n) / 16 + 8
        var y: [Wide] = [], yBound: [Wide] = [], dx: [Wide] = [], dxBound: [Wide] = []
        var dw = [Wide](repeating: 0, count: n), dwBound = dw, db = dw, dbBound = dw
        for (row, dRow) in zip(rowsOfX, rowsOfDy) {
            let s = ReferenceStatistics(
                row, type, centered: kind == CSIMD_LAYER_NORM, epsilon: epsilon, additions: additions,
                origins: type == CSIMD_F64 ? [0] : [0, n / 2, n - 1])
            let normal = row.map(s.normalized), e = row.map(s.error), g = dRow.map { Wide($0) }
            let count = Wide(n)
            let slope = kind == CSIMD_LAYER_NORM ? g.reduce(0, +) / count : 0
            let product = zip(g, normal).reduce(0) { $0 + $1.0 * $1.1 } / count
            let slopeSize = g.reduce(0) { $0 + abs($1) } / count
            let productSize = zip(g, normal).reduce(0) { $0 + abs($1.0 * $1.1) } / count
            let productError = zip(g, e).reduce(0) { $0 + abs($1.0) * $1.1 } / count
            for j in 0..<n {
                y.append(normal[j])
                let yError = e[j] + u * abs(normal[j])
                yBound.append(yError + Wide(storageRounding(type, Double(abs(normal[j]) + yError))))
                dx.append(s.inverse * (g[j] - slope - normal[j] * product))
                let sizes = abs(g[j]) + slopeSize + abs(normal[j]) * productSize
                let terms = ((Wide(additions) + 8) * u + s.inverseError) * sizes
                let error =
                    s.inverse
                    * (terms + e[j] * productSize + abs(normal[j]) * productError + (abs(normal[j]) + 3) * tiny)
                dxBound.append(error + storage(type, abs(dx[dx.count - 1]) + error) + s.least)
                dw[j] += g[j] * normal[j]
                dwBound[j] += abs(g[j]) * e[j] + Wide(rows + 4) * u * abs(g[j] * normal[j]) + tiny
                db[j] += g[j]
                dbBound[j] += Wide(rows + 4) * u * abs(g[j])
            }
        }
        var arguments = csimd_row_norm_args(
            kind: kind, type: type, rows: rows, columns: n, x: x.pointer, weight: nil, bias: nil, epsilon: epsilon)
        forEachRow { kernels in
            var first: [[Double]]?
            for threads: Int32 in [1, 3] {
                withThreads(threads) {
                    let result = arena.make(type, count: x.count), gradient = arena.make(type, count: x.count)
                    let ofWeight = arena.make(sumType, count: n), ofBias = arena.make(sumType, count: n)
                    var statistics = [csimd_row_statistics](repeating: csimd_row_statistics(), count: rows)
                    #expect(csimd_row_norm(&arguments, result.pointer, &statistics) == CSIMD_OK)
                    #expect(
                        csimd_row_norm_gradient(
                            &arguments, statistics, dy.pointer, gradient.pointer, ofWeight.pointer, false,
                            ofBias.pointer, false) == CSIMD_OK)
                    let found = [result.values, gradient.values, ofWeight.values, ofBias.values]
                    if let first {
                        #expect(first == found, "\(kernels): other bits with 3 threads")
                        return
                    }
                    first = found
                    let sums = TypeLimits(sumType)
                    let all = [
                        ("y", y, yBound, limits), ("dx", dx, dxBound, limits), ("dweight", dw, dwBound, sums),
                        ("dbias", db, dbBound, sums),
                    ]
                    for ((name, exact, bound, limits), got) in zip(all, found) {
                        guard
                            let wrong = got.indices.first(where: {
                                !limits.isNear(got[$0], exact[$0], within: bound[$0])
                            })
                        else { continue }
                        let what = name.hasPrefix("d") && name != "dx" ? "" : "\(kinds[wrong / n])"
                        Issue.record(
                            """
                            \(kernels) type \(type.rawValue) kind \(kind.rawValue) \(slopes) \(what) n \(n) \
                            \(name)[\(wrong % n)]: \(got[wrong]), expected \(exact[wrong]) within \(bound[wrong])
                            """)
                    }
                }
            }
        }
    }

    private func storage(_ type: csimd_type, _ magnitude: Wide) -> Wide {
        switch type {
        case CSIMD_F16: max(magnitude * 0x1p-11, 0x1p-25)
        case CSIMD_BF16: max(magnitude * 0x1p-8, 0x1p-134)
        default: 0
        }
    }

    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func resultsAndGradientsAreWithinTheBound(_ rawType: UInt32) {
        for kind in [CSIMD_LAYER_NORM, CSIMD_RMS_NORM] {
            for columns in Self.lengths {
                for slopes in Slopes.allCases { check(csimd_type(rawType), kind, columns: columns, slopes) }
            }
        }
    }

    /// x̂ of a constant row is 0 exactly, whatever its value and length.
    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func aConstantRowIsZero(_ rawType: UInt32) {
        let type = csimd_type(rawType), limits = TypeLimits(type)
        let arena = BufferArena()
        defer { arena.release() }
        var random = TestRandom(3)
        for n in Array(1...70) + [1000, 4096, 4099, 100_003] {
            let exponents = (0..<3).map { _ in 2 * random.uniform() - 1 }
            let values = exponents.map { limits.rounded(limits.largest.squareRoot() * $0) } + [limits.largest, 1 / 3.0]
            let x = arena.make(type, values.flatMap { [Double](repeating: $0, count: n) })
            var arguments = csimd_row_norm_args(
                kind: CSIMD_LAYER_NORM, type: type, rows: values.count, columns: n, x: x.pointer, weight: nil,
                bias: nil, epsilon: 1e-5)
            forEachRow { kernels in
                let y = arena.make(type, count: x.count)
                var statistics = [csimd_row_statistics](repeating: csimd_row_statistics(), count: values.count)
                #expect(csimd_row_norm(&arguments, y.pointer, &statistics) == CSIMD_OK)
                #expect(y.values.allSatisfy { $0 == 0 }, "\(kernels) type \(rawType) n \(n) of \(values)")
            }
        }
    }

    /// A NaN or an infinity makes its own row NaN, and no other; RMS normalisation by an infinite size is 0, NaN at infinity.
    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func aRowThatIsNotFiniteIsAlone(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        for n in [1, 5, 16, 33, 100] {
            for special in [Double.nan, .infinity, -.infinity] {
                for place in [0, n / 2, n - 1] {
                    let arena = BufferArena()
                    defer { arena.release() }
                    var random = TestRandom(4)
                    let x = arena.make(type, HardRow.normal.values(3 * n, type, &random))
                    x[n + place] = special
                    for kind in [CSIMD_LAYER_NORM, CSIMD_RMS_NORM] {
                        var arguments = csimd_row_norm_args(
                            kind: kind, type: type, rows: 3, columns: n, x: x.pointer, weight: nil, bias: nil,
                            epsilon: 1e-5)
                        forEachRow { kernels in
                            let y = arena.make(type, count: 3 * n), dx = arena.make(type, count: 3 * n)
                            var statistics = [csimd_row_statistics](repeating: csimd_row_statistics(), count: 3)
                            #expect(csimd_row_norm(&arguments, y.pointer, &statistics) == CSIMD_OK)
                            #expect(
                                csimd_row_norm_gradient(
                                    &arguments, statistics, x.pointer, dx.pointer, nil, false, nil, false)
                                    == CSIMD_OK)
                            let label = "\(kernels) type \(rawType) kind \(kind.rawValue) n \(n) \(special)"
                            for (row, values) in [(0, y.values), (2, y.values), (0, dx.values), (2, dx.values)] {
                                #expect(values[row * n..<(row + 1) * n].allSatisfy { $0.isFinite }, "\(label)")
                            }
                            let zeros = kind == CSIMD_RMS_NORM && special.isInfinite
                            for index in 0..<n {
                                let value = y[n + index]
                                #expect(zeros && index != place ? value == 0 : value.isNaN, "\(label)")
                            }
                        }
                    }
                }
            }
        }
    }
}
