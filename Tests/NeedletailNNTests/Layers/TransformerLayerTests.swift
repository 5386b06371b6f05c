// The layers of transformers: names, first values, and what they compute beside the operations.
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct TransformerLayerTests {
    @Test func normsEmbeddingAndSiLUAreTheirOperations() {
        var g = SeededGenerator(seed: 1)
        let x = Tensor.normal([3, 8], using: &g)
        #expect(LayerNorm(8)(x).bytes == layerNorm(x).bytes)
        #expect(RMSNorm(8)(x).bytes == rmsNorm(x, epsilon: 1e-6).bytes)
        #expect(SiLU()(x).bytes == x.silu().bytes)
        let table = Embedding(5, 4, using: &g)
        #expect(
            table(Tensor([4, 0] as [Int64])).bytes
                == Tensor.stack([table.weight.master[4], table.weight.master[0]]).bytes)
        #expect(LayerNorm(8).namedParameters().map(\.name) == ["weight", "bias"])
        #expect(LayerNorm(8, bias: false).namedParameters().map(\.name) == ["weight"])
    }

    @Test func aBlockHasTheNamesOfGPT2AndOfLlamasLayers() {
        var g = SeededGenerator(seed: 1)
        var options = TransformerBlockOptions(width: 8, heads: 2)
        #expect(
            TransformerBlock(options, using: &g).namedParameters().map(\.name) == [
                "ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight",
                "attn.c_proj.bias", "ln_2.weight", "ln_2.bias", "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight",
                "mlp.c_proj.bias",
            ])
        (options.feedForward, options.norm, options.bias) = (.swiGLU, .rms, false)
        #expect(
            TransformerBlock(options, using: &g).namedParameters().map(\.name) == [
                "ln_1.weight", "attn.c_attn.weight", "attn.c_proj.weight", "ln_2.weight", "mlp.gate_proj.weight",
                "mlp.up_proj.weight", "mlp.down_proj.weight",
            ])
    }

    /// A hidden row changes nothing for the others: bit for bit, whatever stands in it.
    @Test func aMaskHidesRows() {
        var g = SeededGenerator(seed: 2)
        let layer = MultiheadAttention(8, heads: 2, using: &g)
        let x = Tensor.normal([1, 4, 8], using: &g)
        let other = Tensor.concatenate([x.slice(axis: 1, 0..<3), Tensor.normal([1, 1, 8], using: &g)], axis: 1)
        let mask = Tensor([true, true, true, false], shape: [1, 4])
        func rows(_ x: Tensor) -> [UInt8] { layer.forward(x, mask: mask).slice(axis: 1, 0..<3).bytes }
        #expect(rows(x) == rows(other))
        #expect(layer(x).slice(axis: 1, 0..<3).bytes != layer(other).slice(axis: 1, 0..<3).bytes)
    }

    /// Central differences through a whole block in float64, for both families; h = 1e-6, so 1e-5 + 1e-3 |g| lies far above
    /// truncation (1e-12) and rounding (1e-10) and far below a wrong factor.
    @Test(arguments: [false, true]) func gradientsOfABlockAreRight(_ isLlama: Bool) throws {
        var g = SeededGenerator(seed: 3)
        var options = TransformerBlockOptions(width: 8, heads: 4)
        options.hidden = 6
        if isLlama {
            (options.feedForward, options.norm, options.bias, options.keyHeads) = (.swiGLU, .rms, false, 2)
            options.angles = RotaryAngles(headSize: 2, positions: 3)
        }
        let block = TransformerBlock(options, using: &g)
        for parameter in block.parameters() { parameter.setTypes(storage: .float64, compute: .float64) }
        let x = Tensor.normal([2, 3, 8], dtype: .float64, using: &g),
            w = Tensor.normal([2, 3, 8], dtype: .float64, using: &g)
        func objective() -> Tensor { (block(x) * w).sum() }
        objective().backward()
        for (name, parameter) in block.namedParameters() {
            let gradient = try #require(parameter.gradient).scalars(as: Double.self)
            let values = parameter.master.scalars(as: Double.self)
            for index in [0, values.count / 2, values.count - 1] {
                func shifted(_ step: Double) throws -> Double {
                    var moved = values
                    moved[index] += step
                    try parameter.assign(Tensor(moved, shape: parameter.shape))
                    return withoutGradients { objective() }.item()
                }
                let difference = (try shifted(1e-6) - (try shifted(-1e-6))) / 2e-6
                try parameter.assign(Tensor(values, shape: parameter.shape))
                #expect(abs(gradient[index] - difference) <= 1e-5 + 1e-3 * abs(difference), "\(name) at \(index)")
            }
        }
    }

    /// Dropout draws the same masks again when activations are recomputed: the same gradients, bit for bit.
    @Test func recomputingRepeatsDropout() throws {
        var g = SeededGenerator(seed: 4)
        var options = TransformerBlockOptions(width: 8, heads: 2)
        options.dropout = 0.5
        let block = TransformerBlock(options, using: &g), x = Tensor.normal([2, 3, 8], using: &g)
        let states = block.randomStates()
        func gradients(_ recomputes: Bool) throws -> [[UInt8]] {
            try block.setRandomStates(states)
            for parameter in block.parameters() { parameter.zeroGradient() }
            let y = recomputes ? block.checkpointed(x) { block($0) } : block(x)
            let after = block.randomStates()
            y.sum().backward()
            #expect(block.randomStates() == after && after != states)
            return block.parameters().map { $0.gradient?.bytes ?? [] }
        }
        let again = try gradients(true), kept = try gradients(false)
        #expect(again == kept)
    }
}
