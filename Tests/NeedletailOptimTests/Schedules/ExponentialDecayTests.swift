import NeedletailOptim
import Testing

@Suite struct ExponentialDecayTests {
    @Test func followsPyTorch() throws { try expectPyTorch("exponential", ExponentialDecay(factor: 0.97)) }

    @Test func invalidOptionsAreRefused() throws {
        try expectRefused(
            ExponentialDecay(factor: 0.5), [("factor", { $0.factor = 0 }), ("factor", { $0.factor = .nan })])
    }
}
