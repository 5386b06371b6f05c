import NeedletailOptim
import Testing

@Suite struct SequentialScheduleTests {
    @Test func followsPyTorch() throws {
        try expectPyTorch(
            "sequential",
            SequentialSchedule([LinearWarmUp(steps: 50, start: 0.01), CosineAnnealing(steps: 350)], milestones: [50]))
        try expectPyTorch(
            "sequential_four",
            SequentialSchedule(
                [
                    LinearWarmUp(steps: 20, start: 0.25), StepDecay(every: 15, factor: 0.5),
                    CosineWarmRestarts(firstPeriod: 25, growth: 2), ExponentialDecay(factor: 0.99),
                ], milestones: [20, 100, 250]))
    }

    /// Momentum is cycled in the part that cycles it, and the group's own before and after.
    @Test func momentumOfThePart() throws {
        let optimizer = scheduled(true)
        let scheduler = try Scheduler(
            SequentialSchedule(
                [LinearWarmUp(steps: 2), OneCycle(steps: 10), ExponentialDecay(factor: 0.9)], milestones: [2, 12]),
            of: optimizer)
        var seen: [Double] = []
        for _ in 0..<14 {
            seen.append(momenta(optimizer)[0])
            scheduler.stepWasApplied()
        }
        #expect(seen[0...1] == [0.9, 0.9] && seen[2] == 0.95 && seen[4] == 0.85 && seen[12...] == [0.9, 0.9])
    }

    @Test func invalidOptionsAreRefused() throws {
        try expectRefused(
            SequentialSchedule(
                [LinearWarmUp(steps: 2), StepDecay(every: 1), StepDecay(every: 2)], milestones: [2, 5]),
            [
                ("milestones", { $0.milestones = [2] }), ("milestones", { $0.milestones = [2, 2] }),
                ("milestones", { $0.milestones = [0, 2] }), ("milestones", { $0.milestones = [5, 2] }),
                ("schedules", { ($0.schedules, $0.milestones) = ([], []) }),
                ("schedules", { $0.schedules[1] = ReduceOnPlateau(monitor: "loss") }),
            ])
        let error = #expect(throws: ScheduleError.self) {
            try SequentialSchedule([StepDecay(every: 0)], milestones: []).validate()
        }
        #expect(error?.schedule == "StepDecay" && error?.option == "every")
    }
}
