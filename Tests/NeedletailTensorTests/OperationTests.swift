// Forward values of the operations against Double, in every type; gradients are in GradientTests.
import Foundation
import NeedletailTensor
import Testing

@Suite struct OperationTests {
    // Shapes that take different ways through the broadcasting: same, scalar, row, column, inner, outer, both sides.
    static let pairs: [([Int], [Int])] = [
        ([3, 5], [3, 5]), ([3, 5], []), ([3, 5], [5]), ([3, 5], [3, 1]), ([4, 1, 5], [3, 1]),
        ([2, 3, 1, 2], [3, 4, 1]),
        ([2, 3, 4], [2, 1, 4]), ([1, 1], [2, 2]), ([0, 3], [3]),
    ]

    @Test(arguments: floatingTypes) func arithmeticBroadcastsInEveryType(_ dtype: DType) {
        for (shapeA, shapeB) in Self.pairs {
            let a = exactValues(shapeA, seed: 1, dtype: dtype)
            // No zeros in the divisor: |b| from 1/16 on.
            let b = exactValues(shapeB, seed: 2, dtype: dtype) + 0.0625
            let shape = (a + b).shape
            let x: [Double] = a.broadcast(to: shape).scalars(), y: [Double] = b.broadcast(to: shape).scalars()
            // Each is one operation on exact operands, rounded once; float32 arithmetic rounds twice for 16-bit types,
            // which is innocuous (24 ≥ 2 · 11 + 2).
            expectClose(a + b, zip(x, y).map(+), "\(shapeA) + \(shapeB)")
            expectClose(a - b, zip(x, y).map(-), "\(shapeA) - \(shapeB)")
            expectClose(a * b, zip(x, y).map(*), "\(shapeA) * \(shapeB)")
            expectClose(a / b, zip(x, y).map(/), "\(shapeA) / \(shapeB)")
            expectClose(Tensor.maximum(a, b), zip(x, y).map { max($0, $1) }, "maximum")
            expectClose(Tensor.minimum(a, b), zip(x, y).map { min($0, $1) }, "minimum")
        }
    }

    @Test(arguments: floatingTypes) func viewsAreOperandsToo(_ dtype: DType) {
        let a = exactValues([4, 3], seed: 3, dtype: dtype), b = exactValues([3, 8], seed: 4, dtype: dtype)
        let right = b.slice(axis: 1, 2..<6)
        let x: [Double] = a.transposed().scalars(), y: [Double] = right.scalars()
        expectClose(a.transposed() * right, zip(x, y).map(*), "views")
    }

    @Test func typesMeetInTheWider() {
        let types: [(DType, DType, DType)] = [
            (.float16, .bfloat16, .float32), (.bfloat16, .float32, .float32), (.int64, .float16, .float16),
            (.float32, .float64, .float64), (.uint8, .int32, .int32), (.bool, .uint8, .uint8),
        ]
        for (a, b, expected) in types {
            #expect((Tensor([1, 1] as [Int64]).cast(to: a) + Tensor([1, 1] as [Int64]).cast(to: b)).dtype == expected)
        }
        #expect((Tensor([1] as [Float16]) * 2).dtype == .float16)
    }

    @Test func integersWrap() {
        let a = Tensor([7, -7, 5] as [Int32]), b = Tensor([2, 2, 0] as [Int32])
        #expect((a + b).scalars(as: Int32.self) == [9, -5, 5])
        #expect((a * b).scalars(as: Int32.self) == [14, -14, 0])
        #expect((a / b).scalars(as: Float.self) == [3.5, -3.5, .infinity])
        #expect((-a).scalars(as: Int32.self) == [-7, 7, -5])
        #expect((Tensor([200] as [UInt8]) + Tensor([100] as [UInt8])).scalars(as: UInt8.self) == [44])
        #expect((a * 2 + 1).scalars(as: Int32.self) == [15, -13, 11])
        #expect(a.sum().dtype == .int64)
        #expect(a.sum().item() == 5)
        #expect(a.max().item() == 7)
        #expect(a.argmax().item() == 0)
    }

    @Test(arguments: DType.allCases) func comparisonsGiveBooleans(_ dtype: DType) {
        let a = Tensor([0, 1, 1, 0] as [Int64]).cast(to: dtype), b = Tensor([0, 0, 1, 1] as [Int64]).cast(to: dtype)
        #expect((a .== b).scalars(as: Bool.self) == [true, false, true, false])
        #expect((a .!= b).scalars(as: Bool.self) == [false, true, false, true])
        #expect((a .< b).scalars(as: Bool.self) == [false, false, false, true])
        #expect((a .<= b).scalars(as: Bool.self) == [true, false, true, true])
        #expect((a .> b).scalars(as: Bool.self) == [false, true, false, false])
        #expect((a .>= b).scalars(as: Bool.self) == [true, true, true, false])
        #expect(Tensor.where(a .> b, a, b).scalars(as: Int64.self) == [0, 1, 1, 1])
    }

    @Test func nanComparesAsIEEE() {
        let x = Tensor([.nan, 1] as [Float])
        #expect((x .== x).scalars(as: Bool.self) == [false, true])
        #expect((x .!= x).scalars(as: Bool.self) == [true, false])
        #expect((x .< 2).scalars(as: Bool.self) == [false, true])
    }

    @Test(arguments: floatingTypes) func functionsOfOneTensor(_ dtype: DType) {
        let x = exactValues([3, 41], seed: 5, dtype: dtype), positive = x.abs() + 0.125
        let values: [Double] = x.scalars(), above: [Double] = positive.scalars()
        func normal(_ x: Double) -> Double { erfc(-x / 2.0.squareRoot()) / 2 }
        // The kernels promise 2 float32 ulps before the rounding (4 for gelu and silu): 1 ulp ≤ 2 u. With the rounding
        // itself that is at most 9 float32 roundings; in 16 bit those are under 2⁻⁹ of one, so 1.01 roundings suffice.
        let roundings = dtype.is16Bit ? 1.01 : 9
        func check(
            _ y: Tensor, _ function: (Double) -> Double, of arguments: [Double], roundings: Double = roundings,
            _ name: String
        ) {
            expectClose(y, arguments.map(function), roundings: roundings, name)
        }
        check(x.exp(), { exp($0) }, of: values, "exp")
        check(positive.log(), { log($0) }, of: above, "log")
        check(positive.sqrt(), { $0.squareRoot() }, of: above, "sqrt")
        check(x.tanh(), { tanh($0) }, of: values, "tanh")
        check(x.sigmoid(), { 1 / (1 + exp(-$0)) }, of: values, "sigmoid")
        check(x.relu(), { max($0, 0) }, of: values, "relu")
        // In float64 both sides round the argument of erfc, twice each; Φ has the condition number |x φ / Φ| < x² + 1 = 17.
        check(x.gelu(), { $0 * normal($0) }, of: values, roundings: dtype == .float64 ? 4 * 17 + 4 : roundings, "gelu")
        check(x.silu(), { $0 / (1 + exp(-$0)) }, of: values, "silu")
        check(x.abs(), { abs($0) }, of: values, "abs")
        check(x.clamp(min: -1, max: 0.5), { min(max($0, -1), 0.5) }, of: values, "clamp")
        check(positive.pow(1.5), { pow($0, 1.5) }, of: above, "pow")
        check(-x, { -$0 }, of: values, "negate")
    }

    @Test(arguments: floatingTypes) func reductionsOverAnyAxes(_ dtype: DType) {
        let x = exactValues([3, 4, 5], seed: 6, dtype: dtype)
        let values: [Double] = x.scalars()
        for axes in [[0], [1], [2], [0, 1], [1, 2], [0, 2], [0, 1, 2], []] as [[Int]] {
            var groups: [[Int]: [Double]] = [:]
            for i in 0..<3 {
                for j in 0..<4 {
                    for k in 0..<5 {
                        let key = [i, j, k].enumerated().filter { !axes.contains($0.offset) }.map(\.element)
                        groups[key, default: []].append(values[(i * 4 + j) * 5 + k])
                    }
                }
            }
            let ordered = groups.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
            // Multiples of 1/8 below 4: sums of 60 are exact in float32, so only the result is rounded.
            expectClose(x.sum(axes: axes), ordered.map { $0.reduce(0, +) }, "sum \(axes)")
            expectClose(
                x.mean(axes: axes), ordered.map { $0.reduce(0, +) / Double($0.count) }, roundings: 2, "mean \(axes)")
            expectClose(x.max(axes: axes), ordered.map { $0.max() ?? 0 }, "max \(axes)")
            #expect(x.sum(axes: axes, keepDimensions: true).rank == 3)
        }
        let variances = (0..<3).map { i in
            let row = values[(i * 20)..<(i * 20 + 20)]
            let mean = row.reduce(0, +) / 20
            return row.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / 19
        }
        // float32: mean within 2 u, squares and their sum within (20 + 4) u of positive terms, then one rounding.
        expectClose(x.variance(axes: [1, 2]), variances, roundings: dtype.is16Bit ? 1.01 : 32, "variance")
    }

    @Test func argmaxTakesTheFirstAndSeesNaN() {
        let x = Tensor([1, 3, 3, .nan, 5, 0] as [Float], shape: [2, 3])
        #expect(x.argmax(axis: 1).scalars(as: Int64.self) == [1, 0])
        #expect(x.argmax(axis: 0).scalars(as: Int64.self) == [1, 1, 0])
    }

    @Test func aSumOfManySmallNumbersKeepsThem() {
        // 2²⁰ ones in bfloat16: added in bfloat16 the sum would stop at 256.
        #expect(Tensor.ones([1 << 20], dtype: .bfloat16).sum().item() == Double(1 << 20))
        #expect(Tensor.ones([1 << 20], dtype: .bfloat16).mean().item() == 1)
    }

    @Test(arguments: floatingTypes) func matrixProducts(_ dtype: DType) {
        func product(_ a: Tensor, _ b: Tensor) -> [Double] {
            let (m, k, n) = (a.shape[0], a.shape[1], b.shape[1])
            let x: [Double] = a.scalars(), y: [Double] = b.scalars()
            return (0..<m * n).map { cell in
                (0..<k).reduce(0) { $0 + x[cell / n * k + $1] * y[$1 * n + cell % n] }
            }
        }
        for (m, k, n) in [(1, 1, 1), (3, 4, 5), (17, 33, 19), (64, 10, 31), (1, 50, 7), (0, 3, 2), (2, 0, 3)] {
            // Multiples of 1/64 under 16 with at most 50 terms: exact in float32, so the result is one rounding.
            let a = exactValues([m, k], seed: 8, dtype: dtype), b = exactValues([k, n], seed: 9, dtype: dtype)
            expectClose(a.matmul(b), product(a, b), "\(m)x\(k)x\(n)")
            let c = exactValues([k, m], seed: 10, dtype: dtype).transposed()
            let d = exactValues([n, k], seed: 11, dtype: dtype).transposed()
            expectClose(c.matmul(d), product(c, d), "transposed \(m)x\(k)x\(n)")
        }
        let batch = exactValues([2, 3, 4, 5], seed: 12, dtype: dtype),
            right = exactValues([3, 5, 2], seed: 13, dtype: dtype)
        let y = batch.matmul(right)
        #expect(y.shape == [2, 3, 4, 2])
        for i in 0..<2 {
            for j in 0..<3 { expectClose(y[i][j], product(batch[i][j], right[j]), "batch \(i) \(j)") }
        }
    }

    /// Batches of transposed matrices, of slices and of repeated ones are multiplied where they lie: with the bits of copies.
    @Test func batchesOfViewsHaveTheBitsOfCopies() {
        let x = exactValues([2, 3, 20, 7], seed: 14, dtype: .float32),
            y = exactValues([2, 3, 20, 9], seed: 15, dtype: .float32)
        let wide = exactValues([6, 7, 30], seed: 16, dtype: .float32)
        let views: [(String, Tensor, Tensor)] = [
            ("transposed", x.transposed(), y),
            ("both", x.transposed(), exactValues([2, 3, 9, 20], seed: 17, dtype: .float32).transposed()),
            ("one batch axis", x.reshape([6, 20, 7]).transposed(), y.reshape([6, 20, 9])),
            ("sliced columns", wide.slice(axis: 2, 5..<25), y.reshape([6, 20, 9])),
            ("sliced batch", x.slice(axis: 1, 1..<3).transposed(), y.slice(axis: 1, 0..<2)),
            ("axes exchanged", x.permuted([1, 0, 3, 2]), y.permuted([1, 0, 2, 3])),
            ("repeated", x[0].expandedDimension(at: 0).broadcast(to: [2, 3, 20, 7]).transposed(), y),
            ("no unit stride", wide.permuted([1, 2, 0]), exactValues([7, 6, 4], seed: 18)),
        ]
        for (name, a, b) in views {
            let got = a.matmul(b), expected = a.contiguous().matmul(b.contiguous())
            #expect(got.shape == expected.shape && got.bytes == expected.bytes, "\(name)")
            #expect(
                got[0].bytes == a.contiguous()[0].matmul(b.contiguous()[0]).bytes, "\(name), the first of the batch")
        }
    }

    @Test func mixedProductsTakeTheWiderType() {
        let a = exactValues([3, 4], seed: 1, dtype: .bfloat16), b = exactValues([4, 2], seed: 2, dtype: .float16)
        let y = a.matmul(b)
        #expect(y.dtype == .float32)
        #expect(
            y.scalars(as: Double.self) == a.cast(to: .float64).matmul(b.cast(to: .float64)).scalars(as: Double.self))
    }

    @Test func puttingTogetherAndPickingOut() {
        let a = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]), b = Tensor([5, 6] as [Float], shape: [2, 1])
        #expect(Tensor.concatenate([a, b], axis: 1).scalars(as: Float.self) == [1, 2, 5, 3, 4, 6])
        #expect(Tensor.stack([a, a], axis: -1).scalars(as: Float.self) == [1, 1, 2, 2, 3, 3, 4, 4])
        let picks = Tensor([1, 0, 0, 1] as [Int64], shape: [2, 2])
        #expect(a.gather(axis: 0, indices: picks).scalars(as: Float.self) == [3, 2, 1, 4])
        #expect(a.gather(axis: 1, indices: picks).scalars(as: Float.self) == [2, 1, 3, 4])
        #expect(Tensor([2, 0] as [UInt8]).oneHot(classes: 3).scalars(as: Float.self) == [0, 0, 1, 1, 0, 0])
    }

    @Test func dropoutKeepsAndScales() {
        var generator = SeededGenerator(seed: 1)
        let y: [Float] = dropout(Tensor.ones([10_000]), probability: 0.25, using: &generator).scalars()
        #expect(Set(y) == [0, 4.0 / 3])
        // 10,000 draws: deviation √(10,000 · 0.25 · 0.75) ≈ 43; six deviations.
        let dropped = y.filter { $0 == 0 }.count
        let isNear = abs(dropped - 2500) <= 260
        #expect(isNear, "\(dropped)")
    }
}
