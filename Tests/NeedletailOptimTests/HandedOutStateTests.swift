// What optimizers and modules hand out stays as it is under later steps.
import NeedletailNN
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct HandedOutStateTests {
    private static let optimizers: [@Sendable ([Parameter]) -> Optimizer] = [
        { SGD($0, learningRate: 0.1, momentum: 0.9) }, { Adam($0, learningRate: 0.1) },
        { AdamW($0, learningRate: 0.1) }, { RMSprop($0, learningRate: 0.1) }, { Adagrad($0, learningRate: 0.1) },
        { Lion($0, learningRate: 0.1) },
    ]

    private func step(_ layer: Linear, _ optimizer: Optimizer) {
        optimizer.zeroGradients()
        layer(Tensor.ones([4, 8], dtype: layer.weight.computeType)).cast(to: .float32).exp().mean().backward()
        optimizer.step()
    }

    @Test(arguments: optimizers.indices, [DType.float32, .bfloat16])
    func stateStaysAsItIs(_ index: Int, _ storage: DType) throws {
        var generator = SeededGenerator(seed: 1)
        let layer = Linear(8, 5, using: &generator)
        for (name, parameter) in layer.namedParameters() {
            parameter.setTypes(storage: storage, compute: storage)
            parameter.name = name
        }
        let optimizer = Self.optimizers[index](layer.parameters())
        optimizer.updateRounding = .kahan
        step(layer, optimizer)
        let kept = (layer.stateDictionary() + optimizer.stateTensors()).map { ($0.name, $0.tensor, $0.tensor.bytes) }
        for _ in 0..<2 { step(layer, optimizer) }
        for (name, tensor, bytes) in kept { #expect(tensor.bytes == bytes, "\(name)") }
        let now = (layer.stateDictionary() + optimizer.stateTensors()).map(\.tensor.bytes)
        let changed = zip(now, kept).filter { $0 != $1.2 }
        #expect(changed.count >= 3, "\(changed.count) of \(kept.count) have changed, so this test shows nothing")
    }

    /// A moment that the caller set stays the caller's.
    @Test func aMomentThatIsSetIsNotWrittenTo() {
        var generator = SeededGenerator(seed: 1)
        let layer = Linear(8, 5, using: &generator)
        let optimizer = SGD(layer.parameters(), learningRate: 0.1, momentum: 0.9)
        step(layer, optimizer)
        let own = Tensor.ones([5, 8])
        optimizer.setMoment("momentum_buffer", of: layer.weight, to: own)
        step(layer, optimizer)
        #expect(own.scalars(as: Float.self).allSatisfy { $0 == 1 })
        #expect(optimizer.moment("momentum_buffer", of: layer.weight).bytes != own.bytes)
    }
}
