// The chain of layers: names, fusing, the same results as layer by layer.
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct SequentialTests {
    private func layers() -> [any Layer] {
        var g = SeededGenerator(seed: 3)
        return [
            Flatten(), Linear(6, 5, using: &g), ReLU(), Linear(5, 5, using: &g), GELU(),
            Linear(5, 4, activation: .relu, using: &g), ReLU(), Dropout(0.5, using: &g), Linear(4, 2, using: &g),
        ]
    }

    @Test func positionsNameTheParameters() {
        let net = Sequential(layers())
        #expect(
            net.namedParameters().map(\.name) == [
                "1.weight", "1.bias", "3.weight", "3.bias", "5.weight", "5.bias", "8.weight", "8.bias",
            ])
        #expect(Sequential([net]).namedParameters().first?.name == "0.1.weight")
        // A linear layer that has an activation of its own keeps it, and the next one runs by itself.
        #expect(net.fusedCount == 2)
    }

    @Test func fusingChangesNothingButTheRounding() {
        let layers = layers()
        let net = Sequential(layers)
        net.evaluate()
        var g = SeededGenerator(seed: 4)
        let x = Tensor.normal([3, 2, 3], using: &g)
        let fused = net(x)
        let single = layers.reduce(x) { $1.forward($0) }
        #expect(fused.shape == [3, 2])
        // In float32 both forms apply the same float32 functions to the same float32 sums: at most gelu's own error of
        // 4 ulps a path differs, carried through two layers whose weights sum to less than 5 per row.
        for (a, b) in zip(fused.scalars(as: Double.self), single.scalars(as: Double.self)) {
            let tolerance: Double = 2 * 4 * 5 * 0x1p-23 * max(1, abs(b))
            #expect(abs(a - b) <= tolerance, "fused \(a), layer by layer \(b)")
        }
    }

    @Test func anEmptyChainIsTheIdentity() {
        #expect(Sequential().forward(.ones([2])).scalars(as: Float.self) == [1, 1])
    }
}
