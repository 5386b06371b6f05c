// RMSprop: trajectories, state, small updates, options.
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct RMSpropTests {
    @Test(arguments: [DType.float32, .float64])
    func followsPyTorch(_ type: DType) throws {
        func check(_ name: String, _ make: ([Parameter]) -> Optimizer) throws {
            try Trajectory(name: name, type: type, file: "rmsprop").check(make)
        }
        try check("rmsprop") { RMSprop($0) }
        var options = RMSprop.Options()
        options.learningRate = 1e-3
        options.alpha = 0.9
        options.epsilon = 1e-6
        options.weightDecay = 0.1
        options.maximize = true
        try check("rmsprop_decay") { RMSprop($0, options) }
        try check("rmsprop_momentum") { RMSprop($0, learningRate: 1e-3, momentum: 0.9) }
        try check("rmsprop_centered") { RMSprop($0, learningRate: 1e-3, alpha: 0.95, centered: true) }
        try check("rmsprop_both") {
            RMSprop($0, learningRate: 1e-3, alpha: 0.4, momentum: 0.5, centered: true)
        }
    }

    @Test func stateRoundTripGivesTheSameBits() throws {
        try checkResume { RMSprop($0) }
        try checkResume { RMSprop($0, momentum: 0.9, centered: true) }
        let optimizer = RMSprop(makeParameters(), momentum: 0.9, centered: true)
        train(optimizer, steps: 1)
        #expect(
            optimizer.stateTensors().prefix(4).map(\.name)
                == ["step", "square_avg", "grad_avg", "momentum_buffer"].map { "layer.weight.\($0)" })
    }

    /// alpha = 0: the mean square is that of the gradient, the step 1e-5 but for epsilon.
    @Test func smallUpdatesAreKept() {
        checkSmallUpdatesAreKept(exact: 1 - 400 * 1e-5 / (1 + 1e-8)) {
            RMSprop($0, learningRate: 1e-5, alpha: 0)
        }
    }

    @Test func oneCycleCyclesMomentum() throws { try checkOneCycle(RMSprop(makeParameters(), momentum: 0.9)) }

    @Test func clipsAndUnscales() { checkClipsAndUnscales { RMSprop($0, momentum: 0.9, centered: true) } }

    @Test func invalidOptionsAreRefused() {
        let changes: [(inout RMSprop.Options) -> Void] = [
            { $0.learningRate = -1 }, { $0.weightDecay = .nan }, { $0.alpha = 1 }, { $0.alpha = -0.1 },
            { $0.epsilon = -1 }, { $0.momentum = -0.1 }, { $0.momentum = .infinity },
        ]
        for change in changes {
            var options = RMSprop.Options()
            change(&options)
            #expect(throws: OptimizerOptionsError.self, "\(options)") { try options.validate() }
        }
        #expect(throws: Never.self) { try RMSprop.Options().validate() }
    }
}
