import NeedletailOptim
import Testing

@Suite struct StepDecayTests {
    @Test func followsPyTorch() throws { try expectPyTorch("step", StepDecay(every: 30, factor: 0.7)) }

    @Test func invalidOptionsAreRefused() throws {
        try expectRefused(
            StepDecay(every: 1),
            [
                ("every", { $0.every = 0 }), ("factor", { $0.factor = 0 }), ("factor", { $0.factor = .nan }),
                ("factor", { $0.factor = .infinity }),
            ])
    }
}
