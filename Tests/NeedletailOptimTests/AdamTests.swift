// Adam: trajectories and options.
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct AdamTests {
    @Test(arguments: [DType.float32, .float64])
    func followsPyTorch(_ type: DType) throws {
        try Trajectory(name: "adam", type: type).check { Adam($0) }
        try Trajectory(name: "adam_decay", type: type).check {
            Adam($0, learningRate: 0.01, epsilon: 1e-6, weightDecay: 0.1)
        }
        try Trajectory(name: "adam_amsgrad", type: type).check {
            Adam($0, learningRate: 0.01, betas: (0.8, 0.9), amsgrad: true)
        }
        var options = Adam.Options()
        options.learningRate = 0.01
        (options.beta1, options.beta2) = (0, 0.99)
        options.maximize = true
        try Trajectory(name: "adam_maximize", type: type).check { Adam($0, options) }
    }

    @Test func invalidOptionsAreRefused() {
        let changes: [(inout Adam.Options) -> Void] = [
            { $0.learningRate = -1 }, { $0.weightDecay = .infinity }, { $0.beta1 = 1 }, { $0.beta1 = -0.1 },
            { $0.beta2 = 1 },
            { $0.beta2 = .nan }, { $0.epsilon = -1e-8 },
        ]
        for change in changes {
            var options = Adam.Options()
            change(&options)
            #expect(throws: OptimizerOptionsError.self, "\(options)") { try options.validate() }
        }
        #expect(throws: Never.self) { try Adam.Options().validate() }
    }
}
