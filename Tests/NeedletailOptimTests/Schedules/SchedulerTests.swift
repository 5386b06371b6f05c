// A schedule at work: what moves it, what it leaves alone, saving and restoring.
import Foundation
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct SchedulerTests {
    /// Groups keep their ratio: a factor of the rate is the same for both, to the roundings of two products.
    @Test(arguments: [
        StepDecay(every: 3) as any LearningRateSchedule, CosineAnnealing(steps: 20), OneCycle(steps: 20),
        PolynomialDecay(steps: 20),
        SequentialSchedule([LinearWarmUp(steps: 5), ExponentialDecay(factor: 0.9)], milestones: [5]),
    ])
    func groupsKeepTheirRatio(_ schedule: any LearningRateSchedule) throws {
        let scheduler = try Scheduler(schedule, of: scheduled())
        for step in 0..<19 {
            let rates = scheduler.learningRates
            // Each rate has at most 8 roundings.
            let ok = abs(rates[1] / rates[0] * (groupRates[0] / groupRates[1]) - 1) <= 20 * 0x1p-53
            #expect(ok, "step \(step): \(rates)")
            scheduler.stepWasApplied()
        }
    }

    @Test func byEpochOnlyEpochsWithAStepCount() throws {
        let scheduler = try Scheduler(StepDecay(every: 1, factor: 0.5), of: scheduled(), every: .epoch)
        for _ in 0..<5 { scheduler.stepWasApplied() }
        #expect(scheduler.learningRates == groupRates && scheduler.state.hasApplied)
        scheduler.epochEnded()
        #expect(scheduler.learningRates == groupRates.map { $0 / 2 })
        scheduler.epochEnded()
        #expect(scheduler.state.count == 1 && !scheduler.state.hasApplied)
    }

    @Test func onlyCyclingSchedulesTouchMomentum() throws {
        let optimizer = scheduled(true)
        let scheduler = try Scheduler(CosineAnnealing(steps: 5), of: optimizer)
        var options = AdamOptions()
        options.beta1 = 0.5
        optimizer.groups[0].options = options
        scheduler.stepWasApplied()
        #expect(momenta(optimizer) == [0.5, 0.9])
    }

    @Test func savedInTheMiddleItGoesOn() throws {
        let plateau = ReduceOnPlateau(monitor: "loss", patience: 1)
        for (schedule, interval) in [(OneCycle(steps: 30), .step), (plateau, .epoch), (StepDecay(every: 2), .epoch)]
            as [(any LearningRateSchedule, Scheduler.Interval)]
        {
            let optimizer = scheduled(true)
            let scheduler = try Scheduler(schedule, of: optimizer, every: interval)
            for step in 0..<30 {
                let state = try JSONDecoder().decode(ScheduleState.self, from: JSONEncoder().encode(scheduler.state))
                let other = scheduled(true)
                let resumed = try Scheduler(schedule, of: other, every: interval)
                try resumed.restore(state)
                #expect(resumed.learningRates == scheduler.learningRates && momenta(other) == momenta(optimizer))
                #expect(resumed.state == scheduler.state, "step \(step)")
                scheduler.stepWasApplied()
                if step % 3 == 2 { scheduler.epochEnded(metric: step < 9 ? -Double(step) : 0) }
            }
            #expect(scheduler.learningRates != groupRates)
        }
        var damaged = ScheduleState()
        damaged.count = -1
        #expect(throws: ScheduleError.self) { try Scheduler(plateau, of: scheduled()).restore(damaged) }
    }

    /// What a checkpoint keeps is the options that the user gave, not those of the moment.
    @Test func ownOptionsComeBackForAMoment() throws {
        let optimizer = scheduled(true)
        let scheduler = try Scheduler(OneCycle(steps: 10), of: optimizer)
        for _ in 0..<4 { scheduler.stepWasApplied() }
        let (rates, betas) = (scheduler.learningRates, momenta(optimizer))
        scheduler.withOwnOptions {
            #expect(scheduler.learningRates == groupRates && momenta(optimizer) == [0.9, 0.9])
        }
        #expect(scheduler.learningRates == rates && momenta(optimizer) == betas && rates != groupRates)
        scheduler.withOwnOptions { optimizer.learningRate = 2 }
        #expect(scheduler.learningRates.map { $0 / rates[0] * 0.1 }.allSatisfy { abs($0 - 2) < 1e-14 })
    }
}
