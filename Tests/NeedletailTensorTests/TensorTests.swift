import Foundation
import NeedletailTensor
import Testing

@Suite struct TensorTests {
    @Test func creationAndAccess() {
        #expect(Tensor([1, 2, 3] as [Int32]).dtype == .int32)
        #expect(Tensor([true, false]).scalars(as: Int64.self) == [1, 0])
        #expect(Tensor(2.5, dtype: .bfloat16).item() == 2.5)
        #expect(Tensor.arange(3).scalars(as: Int64.self) == [0, 1, 2])
        #expect(Tensor.full([2, 2], 7, dtype: .float16).scalars(as: Float16.self) == [7, 7, 7, 7])
        #expect(Tensor.zeros([0, 3]).count == 0)
        #expect(Tensor([] as [Float]).scalars(as: Float.self) == [])
        let x = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
        #expect(Tensor(bytes: x.bytes, shape: [2, 2], dtype: .float32).scalars(as: Float.self) == [1, 2, 3, 4])
        #expect(
            Tensor(bytes: Data([0, 1, 2]), shape: [3], dtype: .bool).scalars(as: Bool.self) == [false, true, true])
        #expect(Tensor(bytes: [1, 2, 3, 4].lazy.map { UInt8($0) }, shape: [4], dtype: .uint8).bytes == [1, 2, 3, 4])
    }

    @Test func viewsShareAndReorder() {
        let x = Tensor((0..<24).map { Int32($0) }, shape: [2, 3, 4])
        #expect(x.transposed().shape == [2, 4, 3])
        #expect(!x.transposed().isContiguous)
        #expect(x.transposed(0, 2)[1, 2].scalars(as: Int32.self) == [9, 21])
        #expect(x.permuted([1, 2, 0]).scalars(as: Int32.self).prefix(4) == [0, 12, 1, 13])
        #expect(x[1].scalars(as: Int32.self) == (12..<24).map { Int32($0) })
        #expect(x.slice(axis: 2, 1..<3).scalars(as: Int32.self).prefix(4) == [1, 2, 5, 6])
        #expect(x[0..<1].squeezed(at: 0).shape == [3, 4])
        #expect(x.flattened(from: 1).shape == [2, 12])
        #expect(x.reshape([-1, 8]).shape == [3, 8])
        #expect(x.expandedDimension(at: -1).shape == [2, 3, 4, 1])
        #expect(x[0][0].broadcast(to: [2, 4]).scalars(as: Int32.self) == [0, 1, 2, 3, 0, 1, 2, 3])
        #expect(x.transposed().contiguous().isContiguous)
    }

    @Test func descriptionShowsTypeShapeAndValues() {
        #expect(Tensor([1, 2.5] as [Float]).description == "Tensor(float32, shape: [2], [1.0, 2.5])")
        #expect(Tensor([1, 2] as [Int64], shape: [2, 1]).description == "Tensor(int64, shape: [2, 1], [1, 2])")
    }

    @Test func randomTensorsAreReproducibleAndInRange() {
        var first = SeededGenerator(seed: 1), second = SeededGenerator(seed: 1)
        let x = Tensor.uniform([100], in: -2..<3, using: &first)
        #expect(x.bytes == Tensor.uniform([100], in: -2..<3, using: &second).bytes)
        #expect(x.scalars(as: Float.self).allSatisfy { $0 >= -2 && $0 <= 3 })
        // Mean of 10,000 standard normals: deviation 0.01, so 6 deviations are passed once in 10⁹ seeds.
        let mean = Tensor.normal([10_000], dtype: .float64, using: &first).mean().item()
        let isNearZero = abs(mean) <= 0.06
        #expect(isNearZero)
    }

    @Test(arguments: DType.allCases) func castsBetweenAllTypesKeepSmallIntegers(_ source: DType) {
        for target in DType.allCases {
            let x = Tensor([0, 1, 1, 0] as [Int64]).cast(to: source).cast(to: target)
            #expect(x.dtype == target)
            #expect(x.scalars(as: Int64.self) == [0, 1, 1, 0])
        }
    }

    @Test func castsSaturateAndRound() {
        let x = Tensor([Double.nan, .infinity, -1e30, 1.9, -1.9, 300] as [Double])
        #expect(x.scalars(as: Int32.self) == [0, .max, .min, 1, -1, 300])
        #expect(x.scalars(as: UInt8.self) == [0, 255, 0, 1, 0, 255])
        #expect(x.cast(to: .bool).scalars(as: Bool.self) == [true, true, true, true, true, true])
        #expect(Tensor([Int64.max]).scalars(as: Int64.self) == [.max])
        #expect(Tensor([Int64(0x7FFF_FFC0_0000_0001)]).scalars(as: Float.self) == [Float(Int64(0x7FFF_FFC0_0000_0001))])
        // 1 + 2⁻⁸ + 2⁻³⁰ lies above the tie of bfloat16; by way of float32 it would fall on the tie and round down.
        #expect(Tensor([1 + 0x1p-8 + 0x1p-30] as [Double]).scalars(as: BFloat16.self) == [1.0078125])
    }

    @Test func finitenessIsDecidedByElement() {
        #expect(Tensor([Float.greatestFiniteMagnitude, .greatestFiniteMagnitude]).allFinite())
        #expect(!Tensor([1, .infinity] as [Float16]).allFinite())
        #expect(!Tensor([Double.nan]).allFinite())
        #expect(Tensor([1] as [Int32]).allFinite())
        let check = finiteCheck(Tensor([3, 4, .nan, .infinity] as [Float]))
        #expect(check.firstNonFinite == 2)
        #expect(finiteCheck(Tensor([3, 4] as [BFloat16])).sumOfSquares == 25)
    }

    @Test func gatherNormalizeTakesRowsInOrder() {
        let images = Tensor([0, 255, 51, 102] as [UInt8], shape: [2, 2])
        let rows = gatherNormalizeRows(images, rows: [1, 0, 1], scale: 1 / 51, shift: -1, dtype: .float32)
        #expect(rows.shape == [3, 2])
        // In float32: fma(byte, round(1/51), -1), within one rounding of 1/51 times the byte.
        expectClose(rows, [0, 1, -1, 4, 0, 1], roundings: 2, scale: [1, 2, 1, 5, 1, 2], "gather")
    }

    @Test func shapeErrorsSayBothShapes() async {
        let addition = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]) + Tensor.zeros([4, 5])
        }
        let product = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3]).matmul(Tensor.zeros([4, 5]))
        }
        let layer = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = linear(Tensor.zeros([2, 3]), weight: Tensor.zeros([4, 5]))
        }
        for result in [addition, product, layer] {
            let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
            #expect(message.contains("[2, 3]") && message.contains("[4, 5]"), "\(message)")
        }
    }
}

extension Tensor {
    fileprivate subscript(first: Int, second: Int) -> Tensor { self[first][second] }
}
