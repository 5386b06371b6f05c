// Lion: trajectories of its paper's program, state, small updates, options.
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct LionTests {
    @Test(arguments: [DType.float32, .float64])
    func followsItsPaper(_ type: DType) throws {
        func check(_ name: String, _ make: ([Parameter]) -> Optimizer) throws {
            try Trajectory(name: name, type: type, file: "lion").check(make)
        }
        try check("lion") { Lion($0) }
        try check("lion_decay") { Lion($0, learningRate: 1e-2, betas: (0.95, 0.98), weightDecay: 0.3) }
        var options = Lion.Options()
        options.learningRate = 1e-3
        (options.beta1, options.beta2) = (0, 0.5)
        options.maximize = true
        try check("lion_maximize") { Lion($0, options) }
    }

    @Test func stateRoundTripGivesTheSameBits() throws {
        try checkResume { Lion($0, learningRate: 0.1, weightDecay: 0.1) }
        let optimizer = Lion(makeParameters())
        train(optimizer, steps: 1)
        #expect(optimizer.stateTensors().prefix(2).map(\.name) == ["layer.weight.step", "layer.weight.exp_avg"])
    }

    @Test func smallUpdatesAreKept() {
        checkSmallUpdatesAreKept(exact: 1 - 400 * 1e-5) { Lion($0, learningRate: 1e-5) }
    }

    @Test func oneCycleCyclesBeta1() throws {
        let optimizer = Lion(makeParameters())
        try checkOneCycle(optimizer)
        #expect((optimizer.groups[0].options as? Lion.Options)?.beta2 == 0.99)
    }

    @Test func clipsAndUnscales() { checkClipsAndUnscales { Lion($0, learningRate: 0.1) } }

    @Test func invalidOptionsAreRefused() {
        let changes: [(inout Lion.Options) -> Void] = [
            { $0.learningRate = -1 }, { $0.weightDecay = .infinity }, { $0.beta1 = 1 }, { $0.beta1 = .nan },
            { $0.beta2 = -0.1 }, { $0.beta2 = 1 },
        ]
        for change in changes {
            var options = Lion.Options()
            change(&options)
            #expect(throws: OptimizerOptionsError.self, "\(options)") { try options.validate() }
        }
        #expect(throws: Never.self) { try Lion.Options().validate() }
    }
}
