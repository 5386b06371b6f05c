import NeedletailOptim
import Testing

@Suite struct HeldScheduleTests {
    /// Every schedule, those that end by themselves and those that go on: within the steps its own values, then those of the
    /// last step, however far.
    @Test func itStaysWhereTheScheduleIs() {
        let schedules: [any LearningRateSchedule] = [
            StepDecay(every: 3), MultiStepDecay(milestones: [4, 9, 15]), ExponentialDecay(factor: 0.9),
            LinearWarmUp(steps: 20), PolynomialDecay(steps: 20), CosineAnnealing(steps: 10, minimum: 1e-3),
            CosineWarmRestarts(firstPeriod: 4), OneCycle(steps: 20),
            SequentialSchedule([LinearWarmUp(steps: 3), OneCycle(steps: 5)], milestones: [3]),
        ]
        for schedule in schedules {
            let held = HeldSchedule(schedule, after: 10)
            #expect(held.cyclesMomentum == schedule.cyclesMomentum && held.kind == schedule.kind)
            for count in [0, 1, 9, 10, 11, 29, 1000, 1 << 53] {
                let end = min(count, 10)
                #expect(
                    held.learningRate(base: 0.1, after: count) == schedule.learningRate(base: 0.1, after: end),
                    "\(schedule) after \(count)")
                #expect(held.momentum(after: count) == schedule.momentum(after: end), "\(schedule) after \(count)")
            }
        }
    }

    @Test func invalidOptionsAreRefused() throws {
        try expectRefused(
            HeldSchedule(CosineAnnealing(steps: 5), after: 5),
            [
                ("steps", { $0.steps = -1 }), ("schedule", { $0.schedule = ReduceOnPlateau(monitor: "loss") }),
            ])
        #expect(throws: ScheduleError.self) { try HeldSchedule(CosineAnnealing(steps: 0), after: 5).validate() }
    }
}
