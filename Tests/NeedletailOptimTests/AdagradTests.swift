// Adagrad: trajectories, state, small updates, options.
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct AdagradTests {
    @Test(arguments: [DType.float32, .float64])
    func followsPyTorch(_ type: DType) throws {
        func check(_ name: String, _ make: ([Parameter]) -> Optimizer) throws {
            try Trajectory(name: name, type: type, file: "adagrad").check(make)
        }
        try check("adagrad") { Adagrad($0) }
        var options = Adagrad.Options()
        options.learningRate = 0.1
        options.learningRateDecay = 0.05
        options.weightDecay = 0.1
        options.maximize = true
        try check("adagrad_decay") { Adagrad($0, options) }
        options = Adagrad.Options()
        options.learningRate = 0.1
        options.initialAccumulatorValue = 0.5
        options.epsilon = 1e-6
        try check("adagrad_initial") { Adagrad($0, options) }
    }

    @Test func stateRoundTripGivesTheSameBits() throws {
        try checkResume { Adagrad($0, learningRate: 0.1, learningRateDecay: 0.1, initialAccumulatorValue: 0.5) }
        let optimizer = Adagrad(makeParameters())
        train(optimizer, steps: 1)
        #expect(optimizer.stateTensors().prefix(2).map(\.name) == ["layer.weight.step", "layer.weight.sum"])
    }

    /// Under equal gradients step t is learningRate / sqrt(t): here from 1e-4 down to 5e-6.
    @Test func smallUpdatesAreKept() {
        let exact = (1...400).reduce(1.0) { $0 - 1e-4 / Double($1).squareRoot() }
        checkSmallUpdatesAreKept(exact: exact) { Adagrad($0, learningRate: 1e-4) }
    }

    @Test func oneCycleNeedsAMomentum() {
        let optimizer = Adagrad(makeParameters())
        #expect(throws: ScheduleError.self) { try Scheduler(OneCycle(steps: 10), of: optimizer) }
    }

    @Test func clipsAndUnscales() { checkClipsAndUnscales { Adagrad($0, learningRate: 0.1) } }

    @Test func invalidOptionsAreRefused() {
        let changes: [(inout Adagrad.Options) -> Void] = [
            { $0.learningRate = .nan }, { $0.weightDecay = -1 }, { $0.learningRateDecay = -1 },
            { $0.initialAccumulatorValue = -0.1 }, { $0.initialAccumulatorValue = .infinity }, { $0.epsilon = .nan },
        ]
        for change in changes {
            var options = Adagrad.Options()
            change(&options)
            #expect(throws: OptimizerOptionsError.self, "\(options)") { try options.validate() }
        }
        #expect(throws: Never.self) { try Adagrad.Options().validate() }
    }
}
