// The one read of all gradients: norms, and where they are not finite.
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct GradientCheckTests {
    private func optimizer(_ gradients: [Tensor?]) -> SGD {
        let parameters = gradients.enumerated().map { index, gradient in
            let parameter = Parameter(.zeros(gradient?.shape ?? [5]))
            parameter.name = "p\(index)"
            if let gradient { parameter.accumulate(gradient: gradient) }
            return parameter
        }
        return SGD(parameters)
    }

    @Test func theNormIsOverAllParametersAndUnscaled() {
        let optimizer = optimizer([Tensor([3, 0] as [Float]), nil, .zeros([0, 4]), Tensor([-4] as [Float])])
        #expect(optimizer.checkGradients().norm == 5)
        #expect(optimizer.checkGradients(gradientScale: 0x1p-16).norm == 5 * 0x1p-16)
        #expect(optimizer.checkGradients().isFinite)
    }

    @Test func largeAndManyValuesNeitherOverflowNorDrift() {
        // 4 M equal values: sum of squares in float64, so the error is far below TRUST.md's 2e-6. 0.1 is rounded to
        // float32.
        let many = optimizer([.full([4 << 20], 0.1)]).checkGradients().norm
        let exact = Double(Float(0.1)) * 2048
        #expect(abs(many - exact) <= 2e-6 * exact)
        // Squares of 1e20 overflow float32: the norm is 1e20 (as float32) times 2, to a few float64 roundings.
        let large = optimizer([.full([4], 1e20)]).checkGradients()
        let ratio = large.norm / (2 * Double(Float(1e20)))
        #expect(abs(ratio - 1) <= 0x1p-50)
        #expect(optimizer([.full([1000], Double(Float.greatestFiniteMagnitude))]).checkGradients().isFinite)
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity, .signalingNaN])
    func theFirstNonFiniteValueIsNamed(_ bad: Float) {
        for length in [1, 7, 16, 33] {
            for position in 0..<length {
                var values = [Float](repeating: 1, count: length)
                values[position] = bad
                let check = optimizer([.ones([3]), nil, Tensor(values), .full([2], .infinity)]).checkGradients()
                let found = check.firstNonFinite
                #expect(found?.parameter == "p2" && found?.index == position, "\(length) \(position)")
                #expect(!check.norm.isFinite)
            }
        }
    }
}
