// Whether options make sense, and those that stand for several others.
import NeedletailOptim

extension TrainerConfiguration {
    /// The options that the run goes by: ``fastDevRun``, ``overfitBatches`` and ``barebones`` replaced by what they stand for.
    var resolved: TrainerConfiguration {
        var options = self
        if let overfitBatches {
            options.limitTrainBatches = overfitBatches
            options.limitValBatches = overfitBatches
        }
        if fastDevRun > 0 {
            (options.maxEpochs, options.maxSteps, options.maxTime) = (1, fastDevRun, nil)
            (options.minEpochs, options.minSteps) = (nil, nil)
            options.limitTrainBatches = .count(fastDevRun)
            options.limitValBatches = .count(fastDevRun)
            options.limitTestBatches = .count(fastDevRun)
            options.limitPredictBatches = .count(fastDevRun)
            (options.valCheckInterval, options.checkValEveryNEpochs) = (.all, 1)
            options.numSanityValSteps = 0
            options.loggers = []
            options.enableCheckpointing = false
            options.callbacks.removeAll(where: \.isLeftOutOfDevelopmentRuns)
        }
        if fastDevRun == 0 { options.loggers += options.callbacks.compactMap { $0 as? any Logger } }
        if barebones {
            options.numSanityValSteps = 0
            options.enableProgressBar = false
            options.enableModelSummary = false
            options.enableCheckpointing = false
        }
        return options
    }

    /// The loss scaler of a new fit in a policy's types.
    func makeScaler(for policy: PrecisionPolicy) throws -> LossScaler? {
        try (lossScale ?? (policy.needsLossScale ? .dynamic() : nil)).map { try LossScaler($0) }
    }

    /// Throws where an option has a value that means nothing, or where two do not go together.
    func validate(forFit: Bool) throws {
        if forFit, maxEpochs == nil, maxSteps == nil, maxTime == nil, fastDevRun == 0 { throw TrainerError.noLimit }
        try checkCounts()
        try checkBatchLimits()
        switch gradientClip {
        case .norm(let limit, _), .value(let limit):
            guard limit > 0 else {
                throw TrainerError.badOption(name: "gradientClip", found: "\(limit)", expected: "a number above 0")
            }
        case nil: break
        }
        if case .skip(let maxConsecutive) = nonFinite, maxConsecutive < 1 {
            throw TrainerError.badOption(
                name: "nonFinite: .skip(maxConsecutive:)", found: "\(maxConsecutive)", expected: "at least 1")
        }
        guard deterministic else {
            throw TrainerError.badOption(
                name: "deterministic", found: "false", expected: "true: there is no other, faster way here")
        }
        if barebones { try checkBarebones() }
    }

    private func checkCounts() throws {
        for (name, value, minimum) in [
            ("maxEpochs", maxEpochs ?? 0, 0), ("maxSteps", maxSteps ?? 0, 0), ("minEpochs", minEpochs ?? 0, 0),
            ("minSteps", minSteps ?? 0, 0), ("accumulateGradBatches", accumulateGradBatches, 1),
            ("logEveryNSteps", logEveryNSteps, 1), ("numSanityValSteps", numSanityValSteps, -1),
            ("checkValEveryNEpochs", checkValEveryNEpochs ?? 1, 1), ("fastDevRun", fastDevRun, 0),
        ] where value < minimum {
            throw TrainerError.badOption(name: name, found: "\(value)", expected: "at least \(minimum)")
        }
        for (least, most, value, limit) in [
            ("minEpochs", "maxEpochs", minEpochs, maxEpochs), ("minSteps", "maxSteps", minSteps, maxSteps),
        ] {
            guard let value, let limit, value > limit else { continue }
            throw TrainerError.badOption(name: least, found: "\(value)", expected: "at most \(option: most), \(limit)")
        }
        if let maxTime, maxTime < .zero {
            throw TrainerError.badOption(name: "maxTime", found: "\(maxTime)", expected: "zero or more")
        }
    }

    private func checkBatchLimits() throws {
        for (name, limit) in [
            ("limitTrainBatches", limitTrainBatches), ("limitValBatches", limitValBatches),
            ("limitTestBatches", limitTestBatches), ("limitPredictBatches", limitPredictBatches),
            ("overfitBatches", overfitBatches ?? .all), ("valCheckInterval", valCheckInterval),
        ] where !limit.isValid {
            throw TrainerError.badOption(
                name: name, found: "\(limit)", expected: "a count of at least 0, or a share from 0.0 to 1.0")
        }
        if valCheckInterval == .count(0) || valCheckInterval == .fraction(0) {
            throw TrainerError.badOption(
                name: "valCheckInterval", found: "\(valCheckInterval)",
                expected: "more than 0; \(option: "limitValBatches") 0 is for no validation")
        }
        if checkValEveryNEpochs == nil, case .fraction(let fraction) = valCheckInterval, fraction < 1 {
            throw TrainerError.badOption(
                name: "valCheckInterval", found: "\(fraction) without \(option: "checkValEveryNEpochs")",
                expected: "a count, which goes on from epoch to epoch")
        }
    }

    private func checkBarebones() throws {
        let given = [
            ("fastDevRun", fastDevRun > 0), ("detectAnomaly", detectAnomaly), ("loggers", !loggers.isEmpty),
            ("overfitBatches", overfitBatches != nil),
        ]
        for (name, isGiven) in given where isGiven {
            throw TrainerError.badOption(name: name, found: "a value beside \(option: "barebones")", expected: "none")
        }
        for callback in callbacks where callback.isLeftOutOfBarebones {
            throw TrainerError.badOption(
                name: "callbacks", found: "\(type(of: callback)) beside \(option: "barebones")",
                expected: "none of its kind")
        }
    }
}
