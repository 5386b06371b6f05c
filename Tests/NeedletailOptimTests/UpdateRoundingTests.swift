// Rounding of updates to 16-bit parameters, through the optimizers: the demonstration, state, counts.
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct UpdateRoundingTests {
    private func train(_ optimizer: Optimizer, steps: Int, gradient: Double = 1) {
        for _ in 0..<steps {
            optimizer.zeroGradients()
            for parameter in optimizer.parameters { parameter.accumulate(gradient: .full(parameter.shape, gradient)) }
            optimizer.step()
        }
    }

    private func parameter(_ count: Int, _ type: DType, name: String = "w") -> Parameter {
        let parameter = Parameter(.ones([count]))
        parameter.setTypes(storage: type, compute: type)
        parameter.name = name
        return parameter
    }

    /// w = 1 in bfloat16, 64 updates of -1e-3; exact: 0.936.
    @Test func sixtyFourUpdatesUnderThreeRoundings() {
        let exact = 0.936, count = 4096
        func result(_ rounding: UpdateRounding) -> [Double] {
            let w = parameter(count, .bfloat16)
            let optimizer = SGD([w], learningRate: 1e-3)
            optimizer.updateRounding = rounding
            train(optimizer, steps: 64)
            return w.master.scalars(as: Double.self)
        }
        #expect(result(.nearest).allSatisfy { $0 == 1 })
        // Half an ulp in [0.5, 1), and 64 float32 roundings of the sum of 1e-3 and a compensation below 2^-8.
        let tolerance = 0x1p-9 + 64 * 3 * 0x1p-24 * 0x1p-8
        #expect(tolerance <= 0.01 * exact)
        for w in result(.kahan) {
            let ok = abs(w - exact) <= tolerance
            #expect(ok, "\(w)")
        }
        // Each step is 0 or one ulp (2^-8), with variance p (1 - p) 2^-16, p = 1e-3 / 2^-8. The mean over the elements deviates by
        // sqrt(64 p (1 - p) / count) 2^-8; 5 of them, and half a float32 ulp a step for the sum before it is rounded.
        let p = 1e-3 * 0x1p8
        let deviation = (64 * p * (1 - p) / Double(count)).squareRoot() * 0x1p-8
        let bound = 5 * deviation + 64 * 0x1p-25
        #expect(bound <= 0.01 * exact)
        let draws = result(.stochastic(seed: 1))
        let mean = draws.reduce(0, +) / Double(count)
        let ok = abs(mean - exact) <= bound
        #expect(ok, "mean \(mean)")
        // The elements are independent: their own variance is 64 p (1 - p) 2^-16, itself known to sqrt(2 / count) relative.
        let variance = draws.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(count)
        let ratio = variance / (64 * p * (1 - p) * 0x1p-16)
        let spread = abs(ratio - 1) <= 5 * (2 / Double(count)).squareRoot()
        #expect(spread, "variance \(ratio) of the expected one")
    }

    @Test func randomBitsDependOnSeedNameStepAndNothingElse() {
        func result(_ seed: UInt64, _ name: String, steps: Int, parts: [Int]) -> [UInt8] {
            let w = parameter(200, .float16, name: name)
            let optimizer = SGD([w], learningRate: 1e-4)
            optimizer.updateRounding = .stochastic(seed: seed)
            for part in parts { train(optimizer, steps: part) }
            return w.master.bytes
        }
        let first = result(1, "w", steps: 6, parts: [6])
        #expect(first == result(1, "w", steps: 6, parts: [1, 2, 3]))
        #expect(first != result(2, "w", steps: 6, parts: [6]))
        #expect(first != result(1, "v", steps: 6, parts: [6]))
        // Without a name, the position tells parameters apart.
        let unnamed = [parameter(200, .float16, name: ""), parameter(200, .float16, name: "")]
        let optimizer = SGD(unnamed, learningRate: 1e-4)
        optimizer.updateRounding = .stochastic(seed: 1)
        train(optimizer, steps: 6)
        #expect(unnamed[0].master.bytes != unnamed[1].master.bytes)
    }

    @Test(arguments: [UpdateRounding.nearest, .stochastic(seed: 9), .kahan])
    func stateRoundTripGivesTheSameBits(_ rounding: UpdateRounding) throws {
        for type in [DType.bfloat16, .float16] {
            func make() -> (Parameter, Optimizer) {
                let w = parameter(50, type)
                let optimizer = AdamW([w], learningRate: 1e-4)
                optimizer.updateRounding = rounding
                return (w, optimizer)
            }
            let (whole, optimizer) = make()
            train(optimizer, steps: 5)
            let (resumed, second) = make()
            try resumed.assign(whole.master)
            let names = optimizer.stateTensors().map(\.name)
            #expect(names.contains("w.compensation") == (rounding == .kahan))
            try second.load(
                stateTensors: Dictionary(uniqueKeysWithValues: optimizer.stateTensors().map { ($0.name, $0.tensor) }))
            train(optimizer, steps: 5, gradient: -0.5)
            train(second, steps: 5, gradient: -0.5)
            #expect(whole.master.bytes == resumed.master.bytes)
            #expect(optimizer.stateTensors().map(\.tensor.bytes) == second.stateTensors().map(\.tensor.bytes))
        }
    }

    @Test func compensationsComeAndGoWithTheRounding() throws {
        let w = parameter(3, .bfloat16)
        let optimizer = SGD([w], learningRate: 1e-3)
        optimizer.updateRounding = .kahan
        train(optimizer, steps: 3)
        let saved = Dictionary(uniqueKeysWithValues: optimizer.stateTensors().map { ($0.name, $0.tensor) })
        #expect(Set(saved.keys) == ["w.step", "w.compensation"])
        // Float32 parameters, or another rounding, have no use for them.
        let wide = SGD([parameter(3, .float32)], learningRate: 1e-3)
        wide.updateRounding = .kahan
        try wide.load(stateTensors: saved)
        #expect(wide.stateTensors().map(\.name) == ["w.step"])
        let nearest = SGD([parameter(3, .bfloat16)], learningRate: 1e-3)
        try nearest.load(stateTensors: saved)
        #expect(nearest.stateTensors().map(\.name) == ["w.step"])
        // A run that had none begins at zero; a compensation of another shape is refused.
        try optimizer.load(stateTensors: ["w.step": saved["w.step"]!])
        #expect(optimizer.moment("compensation", of: w).scalars(as: Float.self) == [0, 0, 0])
        #expect(throws: OptimizerStateError.self) {
            try optimizer.load(stateTensors: ["w.step": saved["w.step"]!, "w.compensation": .zeros([2])])
        }
    }

    @Test func lostUpdatesAreCountedWhereAskedFor() {
        let parameters = [parameter(10, .bfloat16, name: "a"), parameter(6, .float32, name: "b")]
        let optimizer = SGD(parameters, learningRate: 1e-3)
        train(optimizer, steps: 1)
        #expect(optimizer.lostUpdates == nil)
        optimizer.countsLostUpdates = true
        train(optimizer, steps: 1)
        #expect(optimizer.lostUpdates?.lost == 10 && optimizer.lostUpdates?.elements == 16)
        #expect(optimizer.lostUpdates?.share == 0.625)
        train(optimizer, steps: 1, gradient: 0)
        #expect(optimizer.lostUpdates?.lost == 0 && optimizer.lostUpdates?.elements == 16)
        optimizer.updateRounding = .kahan
        train(optimizer, steps: 1)
        #expect(optimizer.lostUpdates?.lost == 0, "the compensation has them")
    }

    /// An optimizer of one's own is counted by comparing values.
    @Test func anOptimizerOfOnesOwnIsCounted() {
        final class Descent: Optimizer {
            override func update(_ parameter: Parameter, gradient: Tensor, in group: ParameterGroup, step: Int) {
                let change = (gradient * group.learningRate).cast(to: .float32)
                try? parameter.assign(parameter.master.cast(to: .float32) - change)
            }
        }
        let w = parameter(4, .bfloat16)
        let optimizer = Descent(groups: [ParameterGroup([w], SGD.Options())])
        optimizer.countsLostUpdates = true
        w.accumulate(gradient: Tensor([1, 0, 100, 1] as [Float]))
        optimizer.step()
        #expect(optimizer.lostUpdates?.lost == 2 && optimizer.lostUpdates?.elements == 4)
    }
}
