// Batch normalisation's running statistics and buffers.
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct BatchNormTests {
    private static let names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]

    /// Batches of small integers: means and variances by hand. running = 0.9 running + 0.1 batch, the variance unbiased.
    @Test func runningStatisticsFollowTheBatches() {
        let layer = BatchNorm1d(2, epsilon: 1e-5)
        let y = layer(Tensor([1, 10, 3, 14] as [Float], shape: [2, 2]))
        #expect(zip(y.scalars(as: Double.self), [-1, -1, 1, 1]).allSatisfy { abs($0 - $1) < 1e-4 })
        func near(_ buffer: Buffer, _ values: [Double]) -> Bool {
            zip(buffer.value.scalars(as: Double.self), values).allSatisfy { abs($0 - $1) <= 1e-6 * abs($1) }
        }
        #expect(near(layer.runningMean, [0.2, 1.2]) && near(layer.runningVariance, [0.9 + 0.2, 0.9 + 0.8]))
        _ = layer(Tensor([1, 10, 3, 14] as [Float], shape: [2, 2]))
        #expect(near(layer.runningMean, [0.38, 2.28]))
        #expect(layer.batchesTracked.value.scalars(as: Int64.self) == [2])

        layer.evaluate()
        let before = layer.stateDictionary().map(\.tensor.bytes)
        let evaluated = layer(Tensor([0.38, 2.28] as [Float], shape: [1, 2]))
        #expect(evaluated.scalars(as: Float.self).allSatisfy { abs($0) < 1e-6 })
        #expect(layer.stateDictionary().map(\.tensor.bytes) == before)
    }

    @Test func buffersAreInTheStateDictionary() throws {
        let layer = BatchNorm2d(3)
        _ = layer(Tensor.arange(2 * 3 * 4, dtype: .float32).reshape([2, 3, 2, 2]))
        let state = layer.stateDictionary()
        #expect(state.map(\.name) == Self.names)
        #expect(state.map(\.tensor.dtype) == [.float32, .float32, .float32, .float32, .int64])
        #expect(layer.parameters().count == 2)

        let other = BatchNorm2d(3)
        for parameter in other.parameters() { parameter.setTypes(storage: .bfloat16, compute: .bfloat16) }
        var tensors = Dictionary(uniqueKeysWithValues: state.map { ($0.name, $0.tensor) })
        try other.load(stateDictionary: tensors)
        #expect(other.runningMean.value.bytes == layer.runningMean.value.bytes)
        #expect(other.batchesTracked.value.scalars(as: Int64.self) == [1])

        tensors["running_mean"] = Tensor.zeros([4])
        tensors["num_batches_tracked"] = Tensor(7)
        tensors["running_var"] = nil
        let found = #expect(throws: StateDictionaryError.self) { try other.load(stateDictionary: tensors) }
        #expect(found?.missing == ["running_var"] && found?.problems.count == 2)
        #expect(other.runningMean.value.bytes == layer.runningMean.value.bytes)
    }

    /// In 16 bits statistics are still float32's: means of 1000 with deviation 1 would be lost in half precision.
    @Test(arguments: [DType.float16, .bfloat16]) func statisticsAreFloat32(_ dtype: DType) {
        let values = (0..<4096).map { Float($0 % 2 == 0 ? 1000 : 1008) }
        let layer = BatchNorm1d(1)
        let y = layer(Tensor(values, shape: [4096, 1]).cast(to: dtype)).scalars(as: Float.self)
        #expect(y.allSatisfy { abs(abs($0) - 1) < 1e-2 })
        #expect(abs(layer.runningMean.value.item() - 100.4) < 1e-3)
    }
}
