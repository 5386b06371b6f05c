// AdamW: trajectories and its default decay.
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct AdamWTests {
    @Test(arguments: [DType.float32, .float64])
    func followsPyTorch(_ type: DType) throws {
        try Trajectory(name: "adamw", type: type).check { AdamW($0) }
        try Trajectory(name: "adamw_amsgrad", type: type).check {
            AdamW($0, learningRate: 0.02, betas: (0.4, 0.95), weightDecay: 0.1, amsgrad: true)
        }
    }

    @Test func theDefaultDecayIsPyTorchs() {
        #expect(AdamW([]).groups[0].options.weightDecay == 0.01)
        #expect(Adam([]).groups[0].options.weightDecay == 0)
    }
}
