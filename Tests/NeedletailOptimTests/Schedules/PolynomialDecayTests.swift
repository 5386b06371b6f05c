import NeedletailOptim
import Testing

@Suite struct PolynomialDecayTests {
    @Test func followsPyTorch() throws {
        try expectPyTorch("polynomial", PolynomialDecay(steps: 350, power: 2.5))
        try expectPyTorch("polynomial_linear", PolynomialDecay(steps: 300))
    }

    @Test func invalidOptionsAreRefused() throws {
        try expectRefused(
            PolynomialDecay(steps: 1),
            [("steps", { $0.steps = -3 }), ("power", { $0.power = 0 }), ("power", { $0.power = .nan })])
    }
}
