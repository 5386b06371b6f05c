import NeedletailOptim
import Testing

@Suite struct MultiStepDecayTests {
    @Test func followsPyTorch() throws {
        try expectPyTorch("multi_step", MultiStepDecay(milestones: [300, 7, 50, 50, 120], factor: 0.3))
    }

    @Test func invalidOptionsAreRefused() throws {
        try expectRefused(
            MultiStepDecay(milestones: [1]),
            [("milestones", { $0.milestones = [3, 0] }), ("factor", { $0.factor = -1 })])
    }
}
