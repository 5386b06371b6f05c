import CSIMD
import Foundation
import Testing

@Suite struct RowNormTests {
    /// With u of the arithmetic, n columns and x̂ the normalised values: the mean is off by (n/4 + 4) u mean|x|, hence x̂ by that
    /// over the deviation and (n/4 + 8) u |x̂|: call it e. y: |weight| e + 4 u (|weight x̂| + |bias|).
    /// Gradients: with g = dy weight, means of |g| and |g x̂| as G and H: dx within inverse · ((n/4 + 8) u (|g| + G + |x̂| H)
    /// + e H + |x̂| mean(|g| e)); dweight: Σ |dy| e + (rows + 4) u Σ|dy x̂|; dbias: (rows + 4) u Σ|dy|.
    private func check(_ type: csimd_type, _ kind: csimd_row_norm_kind, rows: Int, columns n: Int, weights: Int) {
        var random = TestRandom(UInt64(rows * 1000 + n))
        let arena = BufferArena()
        defer { arena.release() }
        let x = arena.make(type, (0..<rows * n).map { _ in 3 + 2 * random.normal() })
        let dy = arena.make(type, (0..<rows * n).map { _ in random.normal() })
        let weight = arena.make(type, (0..<n).map { _ in random.normal() })
        let bias = arena.make(type, (0..<n).map { _ in random.normal() })
        let u = arithmeticRoundoff(type), statistics = type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32, epsilon = 1e-5
        let w = weights > 0 ? weight.values : Array(repeating: 1, count: n)
        let c = weights > 1 ? bias.values : Array(repeating: 0, count: n)
        let values = x.values, slopes = dy.values
        var y = values, yBound = values, dx = values, dxBound = values
        var dw = c.map { _ in 0.0 }, dwBound = dw, db = dw, dbBound = dw
        let steps = Double(n) / 4 + 8
        for row in 0..<rows {
            let range = row * n..<(row + 1) * n, row = values[range]
            let mean = kind == CSIMD_LAYER_NORM ? row.reduce(0, +) / Double(n) : 0
            let inverse = 1 / (row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(n) + epsilon).squareRoot()
            let size = row.reduce(0) { $0 + abs($1) } / Double(n)
            let normal = row.map { ($0 - mean) * inverse }
            let e = normal.map { steps * u * (abs($0) + size * inverse) * (1 + abs($0)) }
            let g = zip(range, w).map { slopes[$0] * $1 }
            let gMean = kind == CSIMD_LAYER_NORM ? g.reduce(0, +) / Double(n) : 0
            let gSize = g.reduce(0) { $0 + abs($1) } / Double(n)
            let product = zip(g, normal).reduce(0) { $0 + $1.0 * $1.1 } / Double(n)
            let productSize = zip(g, normal).reduce(0) { $0 + abs($1.0 * $1.1) } / Double(n)
            let productError = zip(g, e).reduce(0) { $0 + abs($1.0) * $1.1 } / Double(n)
            for (j, index) in range.enumerated() {
                y[index] = normal[j] * w[j] + c[j]
                yBound[index] = abs(w[j]) * e[j] + 4 * u * (abs(w[j] * normal[j]) + abs(c[j]))
                yBound[index] += storageRounding(type, abs(y[index]) + yBound[index])
                dx[index] = inverse * (g[j] - gMean - normal[j] * product)
                let sizes = abs(g[j]) + gSize + abs(normal[j]) * productSize
                dxBound[index] =
                    inverse
                    * (2 * steps * u * sizes * (1 + inverse * size) + e[j] * productSize + abs(normal[j]) * productError)
                dxBound[index] += storageRounding(type, abs(dx[index]) + dxBound[index])
                dw[j] += slopes[index] * normal[j]
                dwBound[j] += abs(slopes[index]) * e[j] + Double(rows + 4) * u * abs(slopes[index] * normal[j])
                db[j] += slopes[index]
                dbBound[j] += Double(rows + 4) * u * abs(slopes[index])
            }
        }
        var arguments = csimd_row_norm_args(
            kind: kind, type: type, rows: rows, columns: n, x: x.pointer, weight: weights > 0 ? weight.pointer : nil,
            bias: weights > 1 ? bias.pointer : nil, epsilon: epsilon)
        forEachRow { kernels in
            var bits: [[[Double]]] = []
            for threads: Int32 in [1, 3] {
                withThreads(threads) {
                    let result = arena.make(type, count: x.count), gradient = arena.make(type, count: x.count)
                    var kept = [csimd_row_statistics](repeating: csimd_row_statistics(), count: max(1, rows))
                    let ones = Array(repeating: 1.0, count: n)
                    let ofWeight = arena.make(statistics, ones), ofBias = arena.make(statistics, count: n)
                    #expect(csimd_row_norm(&arguments, result.pointer, &kept) == CSIMD_OK)
                    #expect(
                        csimd_row_norm_gradient(
                            &arguments, kept, dy.pointer, gradient.pointer, ofWeight.pointer,
                            true,
                            ofBias.pointer, false) == CSIMD_OK)
                    bits.append([result.values, gradient.values, ofWeight.values.map { $0 - 1 }, ofBias.values])
                }
            }
            #expect(bits[0] == bits[1], "\(kernels): other bits with 3 threads")
            let addition = u * 4  // 1 was added, and taken off
            let all = [
                ("y", y, yBound), ("dx", dx, dxBound),
                ("dweight", dw, zip(dw, dwBound).map { $1 + (1 + abs($0)) * addition }), ("dbias", db, dbBound),
            ]
            for ((name, exact, bound), got) in zip(all, bits[0]) {
                if let wrong = got.indices.first(where: { !(abs(got[$0] - exact[$0]) <= bound[$0]) }) {
                    Issue.record(
                        """
                        \(kernels) type \(type.rawValue) kind \(kind.rawValue) [\(rows), \(n)] \(name)[\(wrong)]: \(got[wrong]), \
                        expected \(exact[wrong]) within \(bound[wrong])
                        """)
                }
            }
        }
    }

    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func resultsAndGradientsAreWithinTheBound(_ rawType: UInt32) {
        for kind in [CSIMD_LAYER_NORM, CSIMD_RMS_NORM] {
            for rows in [0, 1, 3, 33, 200] {
                for columns in [1, 5, 16, 17, 64, 100, 384] {
                    check(csimd_type(rawType), kind, rows: rows, columns: columns, weights: (rows + columns) % 3)
                }
            }
        }
    }

    @Test func badArgumentsAreRefused() {
        var x: [Float] = [1, 2, 3, 4]
        var statistics = [csimd_row_statistics()]
        x.withUnsafeMutableBufferPointer { x in
            let good = csimd_row_norm_args(
                kind: CSIMD_LAYER_NORM, type: CSIMD_F32, rows: 1, columns: 2, x: x.baseAddress, weight: nil, bias: nil,
                epsilon: 1e-5)
            let changes: [(inout csimd_row_norm_args) -> Void] = [
                { $0.kind = csimd_row_norm_kind(2) }, { $0.type = csimd_type(4) }, { $0.epsilon = -1 },
                { $0.epsilon = .nan },
                { $0.x = nil }, { $0.rows = Int.max },
            ]
            for change in changes {
                var bad = good
                change(&bad)
                #expect(csimd_row_norm(&bad, x.baseAddress, &statistics) == CSIMD_INVALID_ARGUMENT)
                #expect(
                    csimd_row_norm_gradient(&bad, statistics, x.baseAddress, nil, nil, false, nil, false)
                        == CSIMD_INVALID_ARGUMENT)
            }
            var complete = good
            #expect(csimd_row_norm(&complete, x.baseAddress, nil) == CSIMD_INVALID_ARGUMENT)
        }
    }
}
