// Layers without parameters: what they do to values and shapes.
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct ActivationLayerTests {
    @Test func reluAndGELUAreTheTensorFunctions() {
        let x = Tensor([-2, -0.5, 0, 0.5, 2] as [Float])
        #expect(ReLU()(x).scalars(as: Float.self) == [0, 0, 0, 0.5, 2])
        #expect(GELU()(x).bytes == x.gelu().bytes)
        #expect(ReLU().parameters().isEmpty)
    }

    @Test func flattenKeepsTheBatch() {
        #expect(Flatten()(.zeros([2, 3, 4])).shape == [2, 12])
        #expect(Flatten(from: 0)(.zeros([2, 3, 4])).shape == [24])
        #expect(Flatten()(.zeros([0, 3, 4])).shape == [0, 12])
    }
}
