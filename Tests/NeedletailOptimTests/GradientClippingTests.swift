// Clipping by norm and by value.
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct GradientClippingTests {
    @Test func coefficientOfANorm() {
        let clipping = GradientClipping.norm(2)
        #expect(clipping.coefficient(norm: 0) == 1)
        #expect(clipping.coefficient(norm: 1.9) == 1)
        let expected: Double = 2 / (8 + 1e-6)
        #expect(clipping.coefficient(norm: 8) == expected)
        #expect(clipping.coefficient(norm: .infinity) == 0)
        #expect(clipping.coefficient(norm: .nan).isNaN)
        #expect(GradientClipping.value(2).coefficient(norm: 8) == 1)
    }

    private func step(_ gradient: [Float], _ clipping: GradientClipping?) -> [Float] {
        let parameter = Parameter(.zeros([gradient.count]))
        let optimizer = SGD([parameter], learningRate: 1)
        parameter.accumulate(gradient: Tensor(gradient))
        optimizer.step(check: optimizer.checkGradients(), clipping: clipping)
        return parameter.master.scalars(as: Float.self).map { -$0 }
    }

    @Test func belowTheLimitNoBitChanges() {
        let gradient: [Float] = [0.1, -0.3, 1e-30, 0.7]
        #expect(step(gradient, .norm(1)) == gradient)
        #expect(step(gradient, .value(0.7)) == gradient)
    }

    @Test func aboveTheLimit() {
        // Norm 5, limit 1: the coefficient 1 / (5 + 1e-6) and each product are rounded to float32: 2 u relative.
        for (got, expected) in zip(step([3, -4], .norm(1)), [3 / 5.000001, -4 / 5.000001]) {
            #expect(abs(Double(got) - expected) <= abs(expected) * 0x1p-23)
        }
        #expect(step([3, -4, 0.5], .value(1)) == [1, -1, 0.5])
    }
}
