// Convolutional layers: names, shapes, first values, and that activations are fused.
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct ConvolutionLayerTests {
    @Test func namesAndShapesAreThoseOfPyTorch() {
        var generator = SeededGenerator(seed: 1)
        let net = Sequential(
            Conv2d(
                4, 6, kernel: [3, 2], ConvolutionOptions(stride: 2, padding: [1, 0], groups: 2), using: &generator),
            ConvTranspose2d(6, 4, kernel: 2, ConvolutionOptions(stride: 2), outputPadding: 1, using: &generator),
            GroupNorm(2, 4))
        #expect(
            net.namedParameters().map { "\($0.name) \($0.parameter.shape)" } == [
                "0.weight [6, 2, 3, 2]", "0.bias [6]", "1.weight [6, 4, 2, 2]", "1.bias [4]", "2.weight [4]",
                "2.bias [4]",
            ])
        #expect(net(Tensor.zeros([2, 4, 9, 8])).shape == [2, 4, 11, 9])
        let line = Conv1d(3, 5, kernel: 4, stride: 2, padding: 1, bias: false, using: &generator)
        #expect(line.namedParameters().map(\.name) == ["weight"])
        #expect(line(Tensor.zeros([2, 3, 10])).shape == [2, 5, 5])
    }

    /// U(-1/√n, 1/√n), n the products a result has: the bound is kept and nearly reached.
    @Test func firstValuesAreThoseOfPyTorch() throws {
        var generator = SeededGenerator(seed: 2)
        let layer = Conv2d(8, 64, kernel: 3, ConvolutionOptions(groups: 2), using: &generator)
        let bound = 1 / (4.0 * 9).squareRoot()
        for parameter in [layer.weight, try #require(layer.bias)] {
            let values = parameter.master.scalars(as: Double.self)
            #expect(values.allSatisfy { abs($0) <= bound })
            #expect((values.max() ?? 0) > 0.9 * bound && (values.min() ?? 0) < -0.9 * bound)
        }
        let turned = ConvTranspose2d(8, 64, kernel: 3, using: &generator)
        let largest = turned.weight.master.scalars(as: Double.self).map { abs($0) }.max() ?? 0
        #expect(largest <= 1 / (64.0 * 9).squareRoot() && largest > 0.9 / (64.0 * 9).squareRoot())
    }

    @Test func sequentialFusesActivations() {
        var generator = SeededGenerator(seed: 3)
        let convolution = Conv2d(2, 3, kernel: 3, .padding(1), using: &generator), norm = BatchNorm2d(3)
        let net = Sequential(
            convolution, norm, ReLU(), MaxPool2d(2), Flatten(), Linear(12, 4, using: &generator), GELU())
        #expect(net.fusedCount == 2)
        let x = Tensor.normal([2, 2, 4, 4], using: &generator)
        net.evaluate()
        let plain = maxPool2d(norm(convolution(x)).relu(), kernel: 2)
        #expect(Sequential(convolution, norm, ReLU(), MaxPool2d(2))(x).bytes == plain.bytes)  // eval: no state moved
    }

    @Test func poolingLayersCallTheirOperations() {
        let x = Tensor.arange(2 * 36, dtype: .float32).reshape([1, 2, 6, 6])
        #expect(MaxPool2d(2)(x).shape == [1, 2, 3, 3])
        #expect(MaxPool2d(3, stride: 1, padding: 1)(x).shape == [1, 2, 6, 6])
        #expect(AveragePool2d([2, 3])(x)[0][0][0].scalars(as: Float.self) == [4, 7])
        #expect(AdaptiveAveragePool2d(1)(x).scalars(as: Float.self) == [17.5, 53.5])
    }
}
