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
        #expect(GradientClipping.norm(1).order == .two && GradientClipping.norm(1, order: .infinity).order == .infinity)
    }

    /// Norms and clipped gradients are those of `clip_grad_norm_` in float64, from gradients with magnitudes from 1e-30 to
    /// 1e20, half of the norm and twice the norm as limit, unscaled and with a loss scale.
    ///
    /// The norm: two float64 sums of 715 terms, each within (715 + 4) 2^-53. A gradient: the coefficient and the product are
    /// rounded to float32, 2 u and a little, or half of the least subnormal.
    @Test(arguments: ["tame", "spread", "large", "small"], NormOrder.allCases)
    func normsAreThoseOfPyTorch(_ name: String, _ order: NormOrder) throws {
        let data = try fixture("clipping")
        for (place, scale) in [("half", 1.0), ("twice", 1), ("half", 65536), ("twice", 65536)] {
            let gradients = ["a", "b"].map { data["\(name).\($0)"]! }
            let parameters = gradients.map { gradient in
                let parameter = Parameter(.zeros(gradient.shape))
                parameter.accumulate(gradient: gradient * scale)
                return parameter
            }
            let expected = "\(name).\(order).\(place)"
            let norm = try #require(data["\(expected).norm"]).item()
            let clipping = GradientClipping.norm(try #require(data["\(expected).limit"]).item(), order: order)
            let optimizer = SGD(parameters, learningRate: 1)
            let check = optimizer.checkGradients(gradientScale: 1 / scale, order: clipping.order)
            let ok = abs(check.norm - norm) <= 2 * 719 * 0x1p-53 * norm && check.isFinite
            #expect(ok, "\(expected): \(check.norm), PyTorch \(norm)")
            optimizer.step(check: check, clipping: clipping)
            for (key, (parameter, gradient)) in zip(["a", "b"], zip(parameters, gradients)) {
                let got = parameter.master.scalars(as: Float.self).map { -$0 }
                let clipped = try #require(data["\(expected).\(key)"]).scalars(as: Double.self)
                for (i, value) in clipped.enumerated() {
                    let ok = abs(Double(got[i]) - value) <= 2.01 * 0x1p-24 * abs(value) + 0x1p-150
                    #expect(ok, "\(expected) scale \(scale), \(key)[\(i)]: \(got[i]), PyTorch \(value)")
                }
                // Norms far below the 1e-6 of the formula are clipped below the limit too, as in PyTorch.
                if place == "twice", name != "small" { #expect(got == gradient.scalars(as: Float.self), "\(expected)") }
            }
        }
    }

    private func step(_ gradient: [Float], _ clipping: GradientClipping?) -> [Float] {
        let parameter = Parameter(.zeros([gradient.count]))
        let optimizer = SGD([parameter], learningRate: 1)
        parameter.accumulate(gradient: Tensor(gradient))
        optimizer.step(check: optimizer.checkGradients(order: clipping?.order ?? .two), clipping: clipping)
        return parameter.master.scalars(as: Float.self).map { -$0 }
    }

    @Test func belowTheLimitNoBitChanges() {
        let gradient: [Float] = [0.1, -0.3, 1e-30, 0.7]
        for order in NormOrder.allCases { #expect(step(gradient, .norm(1.2, order: order)) == gradient) }
        #expect(step(gradient, .value(0.7)) == gradient)
    }

    @Test func aboveTheLimit() {
        // Norm 5, limit 1: the coefficient 1 / (5 + 1e-6) and each product are rounded to float32: 2 u relative.
        for (got, expected) in zip(step([3, -4], .norm(1)), [3 / 5.000001, -4 / 5.000001]) {
            #expect(abs(Double(got) - expected) <= abs(expected) * 0x1p-23)
        }
        for (order, norm) in [(NormOrder.one, 7.0), (.three, 4.497941445275415), (.infinity, 4)] {
            for (got, value) in zip(step([3, -4], .norm(1, order: order)), [3.0, -4]) {
                let expected = value / (norm + 1e-6)
                #expect(abs(Double(got) - expected) <= abs(expected) * 0x1p-23, "\(order)")
            }
        }
        #expect(step([3, -4, 0.5], .value(1)) == [1, -1, 0.5])
    }
}
