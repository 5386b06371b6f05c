// The one read of all gradients: norms, and where they are not finite.
import Foundation
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

    /// Powers are summed in float64: 4 M values of the same sign differ from the exact norm by less than TRUST.md's 2e-6
    /// (PyTorch's float32 sums by up to 3e-3), and at 1e20 squares and cubes do not overflow.
    @Test(arguments: NormOrder.allCases, [Float(0.1), 1e20])
    func largeAndManyValuesNeitherOverflowNorDrift(_ order: NormOrder, _ value: Float) {
        let root: Double =
            switch order {
            case .one: 1
            case .two: 2
            case .three: 3
            case .infinity: .infinity
            }
        for count in [4, 4 << 20] {
            let check = optimizer([.full([count], Double(value))]).checkGradients(order: order)
            let exact = Double(value) * pow(Double(count), 1 / root)
            let ok = abs(check.norm - exact) <= 2e-6 * exact && check.isFinite && check.order == order
            #expect(ok, "\(order) of \(count): \(check.norm), exact \(exact)")
        }
        let largest = optimizer([.full([1000], Double(Float.greatestFiniteMagnitude))]).checkGradients(order: order)
        #expect(largest.isFinite && largest.norm.isFinite)
    }

    /// A loss scale below 1 unscales by more than 1: what is finite before may not be after. PyTorch's check of the scaled
    /// values lets it through.
    @Test func anOverflowInUnscalingIsSeen() {
        let optimizer = optimizer([Tensor([1e38, 2] as [Float]), Tensor([1, -2e38, 3e38] as [Float])])
        #expect(optimizer.checkGradients(gradientScale: 1).isFinite)
        #expect(optimizer.checkGradients(gradientScale: 0.5).isFinite)
        for order in NormOrder.allCases {
            let check = optimizer.checkGradients(gradientScale: 2, order: order)
            let found = check.firstNonFinite
            #expect(found?.parameter == "p1" && found?.index == 1, "\(order)")
        }
        // 1.1 times 3e38 fits, though the norm of them all does not.
        let fitting = optimizer.checkGradients(gradientScale: 1.1)
        #expect(fitting.isFinite && fitting.norm > Double(Float.greatestFiniteMagnitude))
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity, .signalingNaN])
    func theFirstNonFiniteValueIsNamed(_ bad: Float) {
        for length in [1, 7, 16, 33] {
            for position in 0..<length {
                var values = [Float](repeating: 1, count: length)
                values[position] = bad
                let optimizer = optimizer([.ones([3]), nil, Tensor(values), .full([2], .infinity)])
                for order in NormOrder.allCases {
                    let check = optimizer.checkGradients(order: order)
                    let found = check.firstNonFinite
                    #expect(found?.parameter == "p2" && found?.index == position, "\(length) \(position)")
                    #expect(bad.isNaN ? check.norm.isNaN : check.norm == .infinity, "\(order) \(length) \(position)")
                }
            }
        }
    }
}
