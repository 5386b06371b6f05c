// What all optimizers share: skipping, groups, state and its checkpoints, optimizers of one's own.
import NeedletailOptim
import NeedletailTensor
import Testing

/// p -= learningRate sign(g): an optimizer as a user of the package writes it.
private final class SignDescent: Optimizer {
    override func update(_ parameter: Parameter, gradient: Tensor, in group: ParameterGroup, step: Int) {
        let count = moment("count", of: parameter) + 1
        setMoment("count", of: parameter, to: count)
        let signs = gradient.scalars(as: Float.self).map { Float($0 > 0 ? 1 : $0 < 0 ? -1 : 0) }
        let change = Tensor(signs, shape: parameter.shape) * group.learningRate
        do { try parameter.assign(parameter.master - change) } catch { Issue.record(error) }
    }
    override func momentNames(in group: ParameterGroup) -> [String] { ["count"] }
}

@Suite struct OptimizerTests {
    @Test func parametersWithoutGradientAreLeftAlone() {
        let parameters = makeParameters()
        let optimizer = AdamW(parameters, learningRate: 0.1)
        train(optimizer, steps: 3, skipping: 1)
        #expect(parameters[1].master.scalars(as: Float.self) == [1, 1, 1])
        #expect(parameters.map(optimizer.stepCount) == [3, 0, 3])
        #expect(
            optimizer.stateTensors().map(\.name) == [
                "layer.weight.step", "layer.weight.exp_avg", "layer.weight.exp_avg_sq", "empty.step", "empty.exp_avg",
                "empty.exp_avg_sq",
            ])
    }

    @Test func stateRoundTripGivesTheSameBits() throws {
        try checkResume { SGD($0, learningRate: 0.1, momentum: 0.9) }
        try checkResume { Adam($0, learningRate: 0.1, amsgrad: true) }
        try checkResume { SignDescent(groups: [ParameterGroup($0, SGD.Options())]) }
    }

    @Test func clipsAndUnscales() {
        checkClipsAndUnscales { SGD($0, learningRate: 0.1, momentum: 0.9) }
        checkClipsAndUnscales { AdamW($0, amsgrad: true) }
        checkClipsAndUnscales { SignDescent(groups: [ParameterGroup($0, SGD.Options())]) }
    }

    @Test func stateThatDoesNotFitIsRefusedAndNothingChanges() throws {
        let parameters = makeParameters()
        let optimizer = Adam(parameters)
        train(optimizer, steps: 2)
        let good = Dictionary(uniqueKeysWithValues: optimizer.stateTensors().map { ($0.name, $0.tensor) })
        let before = optimizer.stateTensors().map(\.tensor.bytes)
        let changes: [(String, (inout [String: Tensor]) -> Void)] = [
            ("'layer.weight.exp_avg' is missing", { $0["layer.weight.exp_avg"] = nil }),
            (
                "'layer.bias.exp_avg_sq': found shape [3], expected [1, 3]",
                { $0["layer.bias.exp_avg_sq"] = .zeros([3]) }
            ),
            ("'x.exp_avg' is unexpected", { $0["x.exp_avg"] = .zeros([1]) }),
            ("'layer.bias.exp_avg' is unexpected", { $0["layer.bias.step"] = nil }),
            ("found type int64", { $0["layer.bias.exp_avg"] = .zeros([1, 3], dtype: .int64) }),
            ("'layer.bias.step': found float32 []", { $0["layer.bias.step"] = Tensor(1) }),
            ("expected an int64 scalar", { $0["layer.bias.step"] = Tensor([-1] as [Int64], shape: []) }),
        ]
        for (message, change) in changes {
            var wrong = good
            change(&wrong)
            let error = #expect(throws: OptimizerStateError.self) { try optimizer.load(stateTensors: wrong) }
            #expect("\(error as Any)".contains(message), "\(message): \(error as Any)")
            #expect(optimizer.stateTensors().map(\.tensor.bytes) == before)
        }
        try optimizer.load(stateTensors: good)
        try optimizer.load(stateTensors: [:])
        #expect(optimizer.stateTensors().isEmpty)
    }

    @Test func groupsHaveTheirOwnOptions() {
        let parameters = makeParameters()
        var fast = SGD.Options()
        fast.learningRate = 1
        var slow = SGD.Options()
        slow.learningRate = 0.25
        let optimizer = SGD(groups: [.init([parameters[0]], fast), .init([parameters[1]], slow)])
        train(optimizer, steps: 1)
        #expect(parameters[0].master.scalars(as: Float.self) == [0, 0])
        #expect(parameters[1].master.scalars(as: Float.self) == [0.5, 0.5, 0.5])
        optimizer.learningRate = 0.5
        #expect(optimizer.groups.map(\.learningRate) == [0.5, 0.5])
    }

    @Test func anOptimizerOfOnesOwnSeesUnscaledClippedGradients() {
        let parameter = Parameter(.ones([2]))
        let optimizer = SignDescent(groups: [.init([parameter], SGD.Options())])
        optimizer.learningRate = 0.5
        parameter.accumulate(gradient: Tensor([64, -1] as [Float]))
        optimizer.step(check: optimizer.checkGradients(gradientScale: 0.5), clipping: .value(3))
        #expect(parameter.master.scalars(as: Float.self) == [0.5, 1.5])
        #expect(optimizer.moment("count", of: parameter).scalars(as: Float.self) == [1, 1])
    }

    @Test func stateFollowsTheParametersType() {
        let parameter = Parameter(.ones([2]))
        let optimizer = SGD([parameter], learningRate: 0.5, momentum: 0.5)
        train(optimizer, steps: 1)
        parameter.setTypes(storage: .float64, compute: .float64)
        train(optimizer, steps: 1)
        // b = 0.5 * 1 + 1 = 1.5; p = 1 - 0.5 - 0.75.
        #expect(parameter.master.scalars(as: Double.self) == [-0.25, -0.25])
        #expect(optimizer.moment("momentum_buffer", of: parameter).dtype == .float64)
    }
}
