// The linear layer against the formula in Double.
import Foundation
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct LinearTests {
    @Test(arguments: [Activation.identity, .relu, .gelu], [true, false])
    func isTheFormula(_ activation: Activation, _ bias: Bool) {
        var generator = SeededGenerator(seed: 11)
        let layer = Linear(19, 7, bias: bias, activation: activation, using: &generator)
        let x = Tensor.normal([2, 3, 19], using: &generator)
        let y = layer(x)
        #expect(y.shape == [2, 3, 7] && y.dtype == .float32)
        let (xs, ws) = (x.scalars(as: Double.self), layer.weight.master.scalars(as: Double.self))
        let bs = layer.bias?.master.scalars(as: Double.self)
        for (index, got) in y.scalars(as: Double.self).enumerated() {
            let (row, column) = (index / 7, index % 7)
            var (z, magnitude) = (bs?[column] ?? 0, abs(bs?[column] ?? 0))
            for i in 0..<19 {
                let product = xs[row * 19 + i] * ws[column * 19 + i]
                z += product
                magnitude += abs(product)
            }
            let want: Double =
                switch activation {
                case .identity: z
                case .relu: max(z, 0)
                case .gelu: (z * 0.5) * erfc(-z * 0.5.squareRoot())
                }
            // gamma_20 of the sum of magnitudes; gelu's slope is below 1.13, and it adds at most 4 ulps (CSIMD.h).
            let tolerance = 1.13 * 20 * 0x1p-24 * magnitude + 8 * 0x1p-24 * abs(want) + 0x1p-126
            #expect(abs(got - want) <= tolerance, "\(activation) [\(row), \(column)]: got \(got), expected \(want)")
        }
    }

    @Test func computesInTheParametersType() {
        var generator = SeededGenerator(seed: 12)
        let layer = Linear(4, 2, using: &generator)
        for parameter in layer.parameters() { parameter.setTypes(storage: .float32, compute: .bfloat16) }
        #expect(layer(.ones([3, 4])).dtype == .bfloat16)
        layer(.ones([3, 4])).cast(to: .float32).sum().backward()
        #expect(layer.weight.gradient?.dtype == .float32)
        #expect(layer.bias?.gradient?.scalars(as: Float.self) == [3, 3])
        #expect(layer.inputs == 4 && layer.outputs == 2)
    }
}
