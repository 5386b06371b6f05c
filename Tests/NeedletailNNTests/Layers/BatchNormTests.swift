// Batch normalisation's running statistics and buffers.
import NeedletailNN
import NeedletailTensor
import Testing

/// A normalising layer, an input of one value a group of those it normalises, and one of two.
private struct SingleValueCase: Sendable, Codable {
    let shape: [Int], enough: [Int]
    let make: Int

    static let layers: [@Sendable () -> any Layer] = [
        { BatchNorm1d(3) }, { BatchNorm1d(3, momentum: nil, activation: .relu) }, { BatchNorm2d(3) },
        { Sequential(BatchNorm1d(3), ReLU()) },
        {
            let layer = BatchNorm1d(3)
            layer.freeze(tracksStatistics: true)
            return layer
        },
        { GroupNorm(3, 3) }, { Sequential(GroupNorm(3, 3), ReLU()) },
        {
            let layer = GroupNorm(3, 3)
            layer.evaluate()
            return layer
        },
    ]
    static let all: [SingleValueCase] =
        (0...1).flatMap { make in
            [
                .init(shape: [1, 3], enough: [2, 3], make: make),
                .init(shape: [1, 3, 1], enough: [1, 3, 2], make: make),
            ]
        } + [
            .init(shape: [1, 3, 1, 1], enough: [1, 3, 1, 2], make: 2),
            .init(shape: [1, 3], enough: [2, 3], make: 3), .init(shape: [1, 3], enough: [2, 3], make: 4),
        ]
        + (5...7).flatMap { make in
            [
                .init(shape: [1, 3], enough: [2, 3], make: make),
                .init(shape: [1, 3, 1, 1], enough: [1, 3, 2, 1], make: make),
            ]
        }
}

@Suite struct BatchNormTests {
    /// PyTorch: "Expected more than 1 value per channel when training", for batch norm in training and group norm always.
    @Test(arguments: SingleValueCase.all.indices) func oneValueIsAnError(_ index: Int) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [index] in
            let one = SingleValueCase.all[index]
            _ = SingleValueCase.layers[one.make]().forward(.ones(one.shape))
        }
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        let one = SingleValueCase.all[index]
        let names = ["BatchNorm1d", "BatchNorm1d", "BatchNorm2d", "BatchNorm1d", "BatchNorm1d"]
        let name = one.make < names.count ? names[one.make] : "GroupNorm"
        for word in ["\(name): ", "\(one.shape)", "expected more than one value per"] {
            #expect(message.contains(word), "\(message)")
        }
        #expect(SingleValueCase.layers[one.make]().forward(.ones(one.enough)).shape == one.enough)
    }

    /// The functions trap as their layers; what has mean and variance given, or one value a row of a layer norm, does not.
    @Test func oneValueIsAnErrorOfTheFunctionsToo() async {
        await #expect(processExitsWith: .failure) { _ = batchNormalization(.ones([1, 3])) }
        await #expect(processExitsWith: .failure) { _ = groupNormalization(.ones([1, 4, 1]), groups: 4) }
        let y = batchNormalization(.ones([1, 3]), mean: .zeros([3]), variance: .ones([3]), epsilon: 0)
        #expect(y.scalars(as: Float.self) == [1, 1, 1])
        let z = groupNormalization(.ones([2, 4]), groups: 4)
        #expect(z.scalars(as: Float.self) == [Float](repeating: 0, count: 8))
        #expect(LayerNorm(1)(.ones([2, 1])).scalars(as: Float.self) == [0, 0])
        let layer = BatchNorm1d(3)
        layer.freeze()
        #expect(layer(.ones([1, 3])).shape == [1, 3])
        layer.unfreeze()
        layer.evaluate()
        #expect(layer(.ones([1, 3])).shape == [1, 3])
    }

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
