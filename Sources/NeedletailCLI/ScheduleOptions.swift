// The learning-rate schedule on the command line, and as what a checkpoint keeps of it.
import ArgumentParser
import Needletail

/// The schedules by name.
enum ScheduleChoice: String, Codable, CaseIterable, ExpressibleByArgument {
    case constant, cosine, linear, step
    case oneCycle = "one-cycle"
}

/// The options of a schedule.
struct ScheduleOptions: ParsableArguments {
    @Option(
        help: """
            How the learning rate goes from --learning-rate on: constant; cosine or linear, down to 0; step, to a tenth after \
            a third and to a hundredth after two; one-cycle, from a 25th up to --learning-rate, then down to a 250000th, \
            with momentum (beta1; adagrad has none) from 0.95 to 0.85 and back. After its steps each stays where it is.
            """)
    var schedule: ScheduleChoice = .constant

    @Option(
        help: """
            Applied steps in which the learning rate first rises along a line; of one-cycle its rise (default there: 30% of \
            all steps).
            """)
    var warmupSteps = 0

    @Option(
        help: """
            Applied steps that the schedule spans, warm-up included (default: those of all --epochs; --max-steps only stops \
            earlier, so that a run which is resumed keeps its schedule).
            """)
    var scheduleSteps: Int?

    func validate() throws {
        for (name, value, least) in [
            ("--warmup-steps", warmupSteps, 0), ("--schedule-steps", scheduleSteps ?? 1, 1),
        ] where !(least...Int(Int32.max)).contains(value) {
            throw ValidationError("\(name) is \(value), expected \(least) to \(Int32.max)")
        }
    }

    /// What the model is to follow; nil for a rate that stays.
    var configuration: ScheduleConfiguration? {
        if schedule == .constant, warmupSteps == 0 { return nil }
        return ScheduleConfiguration(kind: schedule, warmUpSteps: warmupSteps, steps: scheduleSteps)
    }
}

/// A schedule of the learning rate, as hyper-parameters of a run keep it.
struct ScheduleConfiguration: Codable, Equatable {
    var kind: ScheduleChoice
    var warmUpSteps: Int
    /// The steps that it spans; nil for those of all epochs.
    var steps: Int?

    /// The schedule over `steps`, or over `planned` steps where none are given, for an optimizer with a momentum or without.
    func schedule(planned: Int, hasMomentum: Bool) throws -> any LearningRateSchedule {
        let all = max(1, steps ?? planned)
        // The first step has a share of 1 / (n + 1), step n + 1 all of the rate.
        let rise = LinearWarmUp(steps: max(1, warmUpSteps), start: 1 / Double(warmUpSteps + 1))
        if kind == .constant { return rise }
        guard warmUpSteps < all else {
            throw CommandError.usage(
                "--warmup-steps is \(warmUpSteps), expected fewer than the \(all) steps of the schedule; "
                    + "give more --epochs or --schedule-steps")
        }
        guard kind != .oneCycle || warmUpSteps == 0 || warmUpSteps + 1 < all else {
            throw CommandError.usage(
                "--warmup-steps is \(warmUpSteps) of the \(all) steps of the schedule, which leaves one-cycle no step to fall "
                    + "in; expected at most \(all - 2)")
        }
        let rest = all - warmUpSteps
        let fall: any LearningRateSchedule
        switch kind {
        case .cosine: fall = HeldSchedule(CosineAnnealing(steps: rest), after: rest)
        case .linear, .constant: fall = PolynomialDecay(steps: rest)
        case .step: fall = HeldSchedule(StepDecay(every: (rest + 2) / 3), after: rest - 1)
        case .oneCycle:
            var cycle = OneCycle(steps: all)
            if warmUpSteps > 0 { cycle.warmUp = Double(warmUpSteps + 1) / Double(all) }
            if !hasMomentum { cycle.momentum = nil }
            return cycle
        }
        return warmUpSteps == 0 ? fall : SequentialSchedule([rise, fall], milestones: [warmUpSteps])
    }
}
