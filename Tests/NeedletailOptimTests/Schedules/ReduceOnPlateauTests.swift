import NeedletailNN
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct ReduceOnPlateauTests {
    /// Rates after each of 200 metrics, among them a NaN and an infinity; bit for bit, since the operations are PyTorch's.
    private func expectPyTorch(_ name: String, _ schedule: ReduceOnPlateau) throws {
        let data = try fixture("schedules")
        let metrics = try #require(data["\(name).metric"]).scalars(as: Double.self)
        let rates = try #require(data["\(name).rate"])
        let scheduler = try Scheduler(schedule, of: scheduled())
        #expect(scheduler.interval == .epoch && scheduler.monitor == "loss")
        for (epoch, metric) in metrics.enumerated() {
            #expect(scheduler.learningRates == rates[epoch].scalars(as: Double.self), "\(name), epoch \(epoch)")
            scheduler.stepWasApplied()
            scheduler.epochEnded(metric: metric)
        }
        #expect(scheduler.learningRates == rates[metrics.count].scalars(as: Double.self))
        #expect(scheduler.state.count >= 3)
    }

    @Test func followsPyTorch() throws {
        try expectPyTorch("plateau", ReduceOnPlateau(monitor: "loss", factor: 0.3, patience: 3))
        var schedule = ReduceOnPlateau(monitor: "loss", mode: .max, factor: 0.5, patience: 2)
        (schedule.cooldown, schedule.threshold, schedule.minimum) = (4, .relative(0.01), 1e-4)
        try expectPyTorch("plateau_max", schedule)
        schedule = ReduceOnPlateau(monitor: "loss", patience: 0)
        (schedule.cooldown, schedule.threshold, schedule.smallestChange) = (1, .absolute(0.05), 1e-6)
        try expectPyTorch("plateau_absolute", schedule)
        schedule = ReduceOnPlateau(monitor: "loss", mode: .max, factor: 0.9, patience: 5)
        schedule.threshold = .absolute(0.002)
        try expectPyTorch("plateau_max_absolute", schedule)
    }

    /// Neither an epoch in which nothing was applied nor one without a value is one that did not get better.
    @Test func emptyEpochsDoNotCount() throws {
        let scheduler = try Scheduler(ReduceOnPlateau(monitor: "loss", patience: 0), of: scheduled())
        scheduler.stepWasApplied()
        scheduler.epochEnded(metric: 1)
        let before = scheduler.state
        scheduler.epochEnded(metric: 2)
        #expect(scheduler.state == before)
        scheduler.stepWasApplied()
        scheduler.epochEnded(metric: nil)
        #expect(scheduler.state.count == 0 && scheduler.state.values == before.values)
        scheduler.epochEnded(metric: 2)
        #expect(scheduler.state.count == 1)
    }

    /// A metric that is not finite is never the best, also not the first, and counts as one that did not get better.
    @Test(arguments: [Double.nan, .infinity, -.infinity], [ReduceOnPlateau.Mode.min, .max])
    func aMetricThatIsNotFiniteIsNeverTheBest(_ value: Double, _ mode: ReduceOnPlateau.Mode) {
        for threshold in [ReduceOnPlateau.Threshold.relative(1), .relative(1e-4), .absolute(0)] {
            var schedule = ReduceOnPlateau(monitor: "loss", mode: mode, patience: 3)
            schedule.threshold = threshold
            var state = ScheduleState()
            schedule.observe(value, &state)
            #expect(state.values["best"] == nil && state.values["badEpochs"] == 1)
            schedule.observe(3, &state)
            #expect(state.values["best"] == 3 && state.values["badEpochs"] == 0)
            schedule.observe(value, &state)
            #expect(state.values["best"] == 3 && state.values["badEpochs"] == 1)
            // Older versions kept such a best in checkpoints.
            state.values["best"] = value
            schedule.observe(5, &state)
            #expect(state.values["best"] == 5)
        }
    }

    @Test func invalidOptionsAreRefused() throws {
        try expectRefused(
            ReduceOnPlateau(monitor: "loss"),
            [
                ("monitor", { $0.monitor = "" }), ("factor", { $0.factor = 1 }), ("factor", { $0.factor = -0.1 }),
                ("factor", { $0.factor = .nan }), ("patience", { $0.patience = -1 }),
                ("cooldown", { $0.cooldown = -1 }),
                ("minimum", { $0.minimum = -1 }), ("smallestChange", { $0.smallestChange = .nan }),
                ("threshold", { $0.threshold = .relative(-1) }), ("threshold", { $0.threshold = .absolute(.infinity) }),
            ])
        #expect(throws: ScheduleError.self) {
            try Scheduler(ReduceOnPlateau(monitor: "loss"), of: scheduled(), every: .step)
        }
    }
}
