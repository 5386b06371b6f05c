import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct OneCycleTests {
    @Test func followsPyTorch() throws {
        try expectPyTorch("one_cycle", OneCycle(steps: 400))
        var line = OneCycle(steps: 300, warmUp: 0.213)
        line.shape = .linear
        line.momentum = 0.7...0.9
        line.startDivisor = 7
        try expectPyTorch("one_cycle_adam", line, adam: true)
        var three = OneCycle(steps: 250, warmUp: 0.4)
        three.isSymmetric = true
        three.endDivisor = 100
        try expectPyTorch("one_cycle_three", three, adam: true)
        var falling = OneCycle(steps: 50, warmUp: 0)
        falling.momentum = nil
        try expectPyTorch("one_cycle_no_rise", falling)
    }

    /// PyTorch goes one step beyond the end and then stops with an error.
    @Test func theLastValuesStay() throws {
        let cycle = OneCycle(steps: 20)
        for count in [20, 21, 1000] {
            #expect(cycle.learningRate(base: 0.1, after: count) == cycle.learningRate(base: 0.1, after: 19))
            #expect(cycle.momentum(after: count) == 0.95)
        }
    }

    /// A rise that ends at step 0 has no length: PyTorch divides by zero.
    @Test func aRiseWithoutLengthStartsAtTheTop() {
        #expect(OneCycle(steps: 4, warmUp: 0.25).learningRate(base: 0.1, after: 0) == 0.1)
        #expect(OneCycle(steps: 1).learningRate(base: 0.1, after: 0) <= 0.1 / 25)
    }

    @Test func anOptimizerWithoutMomentumIsRefused() throws {
        struct Plain: OptimizerOptions {
            var learningRate = 0.1, weightDecay = 0.0
            func validate() {}
        }
        final class Own: Optimizer {}
        let optimizer = Own(groups: [ParameterGroup([Parameter(Tensor.zeros([1]))], Plain())])
        let error = #expect(throws: ScheduleError.self) { try Scheduler(OneCycle(steps: 5), of: optimizer) }
        #expect(error?.option == "optimizer" && error?.found.contains("Own") == true)
        var cycle = OneCycle(steps: 5)
        cycle.momentum = nil
        #expect(throws: Never.self) { try Scheduler(cycle, of: optimizer) }
    }

    @Test func invalidOptionsAreRefused() throws {
        try expectRefused(
            OneCycle(steps: 1),
            [
                ("steps", { $0.steps = 0 }), ("warmUp", { $0.warmUp = -0.1 }), ("warmUp", { $0.warmUp = 1.1 }),
                ("warmUp", { ($0.warmUp, $0.isSymmetric) = (0.6, true) }), ("momentum", { $0.momentum = 0.9...1 }),
                ("momentum", { $0.momentum = -0.1...0.5 }), ("startDivisor", { $0.startDivisor = 0 }),
                ("endDivisor", { $0.endDivisor = .nan }),
            ])
    }
}
