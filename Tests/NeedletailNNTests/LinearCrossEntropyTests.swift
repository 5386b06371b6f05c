// The fused head beside PyTorch's two operations in float64 (Fixtures/linear_cross_entropy.py).
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct LinearCrossEntropyFixtureTests {
    /// Float64 in both: at most 15 rows, 11 classes and a few dozen operations on values below 16, each within 2⁻⁵³.
    @Test(arguments: [Reduction.mean, .sum, .none], [GradientTiming.withLoss, .inBackward])
    func followsPyTorch(_ reduction: Reduction, _ timing: GradientTiming) throws {
        let file = try SafeTensorsFile.read(fixturePath("linear_cross_entropy")).tensors
        func fixture(_ name: String) throws -> Tensor { try #require(file[name]) }
        let inputs = try ["x", "weight", "bias"].map { try fixture($0).cast(to: .float64).trackingGradient() }
        let loss = try linearCrossEntropy(
            inputs[0], weight: inputs[1], bias: inputs[2], fixture("targets"), classWeights: fixture("classes"),
            ignoreIndex: 7, labelSmoothing: 0.125, reduction: reduction, gradients: timing)
        let scalar = reduction == .none ? try (loss * fixture("seeds").cast(to: .float64)).sum() : loss
        let found = [loss.detached()] + gradients(of: scalar, withRespectTo: inputs)
        for (tensor, name) in zip(found, ["loss", "x", "weight", "bias"]) {
            let expected = try fixture("\(reduction.rawValue).\(name)")
            #expect(tensor.shape == expected.shape)
            for (index, (value, wanted)) in zip(tensor.scalars(as: Double.self), expected.scalars(as: Double.self))
                .enumerated()
            {
                let isClose = abs(value - wanted) <= 64 * 16 * 0x1p-53
                #expect(isClose, "\(name)[\(index)]: found \(value), PyTorch has \(wanted)")
            }
        }
    }
}
