// Schedules against PyTorch's: rates and momenta of two groups over hundreds of steps (Fixtures/generate.py).
import NeedletailNN
import NeedletailOptim
import NeedletailTensor
import Testing

/// The groups' own rates in the fixtures: the maximum rate of one-cycle.
let groupRates = [0.1, 0.003]

/// An SGD or AdamW with a group for each of the fixtures' rates.
func scheduled(_ adam: Bool = false) -> Optimizer {
    let groups = groupRates.map { rate in
        var options: any OptimizerOptions = adam ? AdamOptions() : SGD.Options()
        options.learningRate = rate
        return ParameterGroup([Parameter(Tensor.zeros([1]))], options)
    }
    return adam ? AdamW(groups: groups) : SGD(groups: groups)
}

/// Momentum, or beta1, of each group.
func momenta(_ optimizer: Optimizer) -> [Double] {
    optimizer.groups.map { ($0.options as? SGD.Options)?.momentum ?? ($0.options as? AdamOptions)?.beta1 ?? .nan }
}

/// Whether a value is PyTorch's, to 1e-12 relative: ours is the closed form, with a few roundings; PyTorch multiplies
/// from step to step, n = 400 products with at most 5 roundings of 2^-53 each: 2000 · 2^-53 = 2.2e-13.
private func agrees(_ value: Double, _ expected: Double) -> Bool { abs(value - expected) <= 1e-12 * abs(expected) }

/// Compares a scheduler, step by step, with the case `name` of the fixtures.
func expectPyTorch(_ name: String, _ schedule: any LearningRateSchedule, adam: Bool = false) throws {
    let data = try fixture("schedules")
    let rates = try #require(data["\(name).rate"])
    let momentum = data["\(name).momentum"]
    #expect((momentum != nil) == schedule.cyclesMomentum)
    let optimizer = scheduled(adam)
    let scheduler = try Scheduler(schedule, of: optimizer)
    for step in 0..<rates.shape[0] {
        let expected = rates[step].scalars(as: Double.self)
        let ok = zip(scheduler.learningRates, expected).allSatisfy(agrees)
        #expect(ok, "\(name), step \(step): got \(scheduler.learningRates), PyTorch \(expected)")
        if let momentum {
            let expected = momentum[step].scalars(as: Double.self)
            let ok = zip(momenta(optimizer), expected).allSatisfy(agrees)
            #expect(ok, "\(name), step \(step): got momentum \(momenta(optimizer)), PyTorch \(expected)")
        }
        scheduler.stepWasApplied()
    }
}

/// Expects each change of a valid schedule to be refused with an error that names the option.
func expectRefused<Schedule: LearningRateSchedule>(
    _ valid: Schedule, _ changes: [(option: String, change: (inout Schedule) -> Void)]
) throws {
    try valid.validate()
    for (option, change) in changes {
        var schedule = valid
        change(&schedule)
        let error = #expect(throws: ScheduleError.self, "\(schedule)") {
            try Scheduler(schedule, of: scheduled())
        }
        #expect(
            error?.option == option && error?.schedule == "\(Schedule.self)",
            "\(schedule): \(String(describing: error))")
        #expect(error?.description.contains("found") == true && error?.description.contains("expected") == true)
    }
}
