// The trainer's own limits and checks, as options of `train`.
public import ArgumentParser
public import Needletail

/// How long to train, on how many batches, and when to validate.
struct TrainerOptions: ParsableArguments {
    @Option(help: "Stop after this many applied steps.")
    var maxSteps: Int?

    @Option(
        help: ArgumentHelp("Stop after the step in which this much time has passed.", valueName: "[[DD:]HH:]MM:SS"),
        transform: TrainerOptions.duration)
    var maxTime: Duration?

    @Option(help: "Nothing but the limits above ends training before so many epochs.")
    var minEpochs: Int?

    @Option(help: "Nothing but the limits above ends training before so many applied steps.")
    var minSteps: Int?

    @Option(help: "Batches of an epoch: a count such as 20, or a share such as 0.25.")
    var limitTrainBatches: BatchLimit = .all

    @Option(help: "Batches of a validation: a count or a share.")
    var limitValBatches: BatchLimit = .all

    @Option(help: "Batches of the test: a count or a share.")
    var limitTestBatches: BatchLimit = .all

    @Option(help: "Train and validate on so many batches only, the same in each epoch: a model that can learn does.")
    var overfitBatches: BatchLimit?

    @Option(help: "Run so many batches of everything once, to find errors; nothing is written.")
    var fastDevRun = 0

    @Option(help: "Validate after every so many batches, a count or a share of the epoch.")
    var valCheckInterval: BatchLimit = .all

    @Option(help: "Validate in every so many epochs only.")
    var checkValEveryNEpochs = 1

    @Option(help: "Validation batches that run before training, to find errors early; -1 for all.")
    var numSanityValSteps = 2

    @Flag(help: "Check every step for values that are not finite, and end training at the first with where it arose.")
    var detectAnomaly = false

    func validate() throws {
        // More than 2^31 of anything is a slip of the finger, and far from where sums overflow.
        for (name, value, least) in [
            ("--max-steps", maxSteps ?? 0, 0), ("--min-steps", minSteps ?? 0, 0), ("--min-epochs", minEpochs ?? 0, 0),
            ("--fast-dev-run", fastDevRun, 0), ("--check-val-every-n-epochs", checkValEveryNEpochs, 1),
            ("--num-sanity-val-steps", numSanityValSteps, -1),
        ] where !(least...Int(Int32.max)).contains(value) {
            throw ValidationError("\(name) is \(value), expected \(least) to \(Int32.max)")
        }
    }

    /// Gives a trainer these options.
    func apply(to configuration: inout TrainerConfiguration) {
        configuration.maxSteps = maxSteps
        configuration.maxTime = maxTime
        configuration.minEpochs = minEpochs
        configuration.minSteps = minSteps
        configuration.limitTrainBatches = limitTrainBatches
        configuration.limitValBatches = limitValBatches
        configuration.limitTestBatches = limitTestBatches
        configuration.overfitBatches = overfitBatches
        configuration.fastDevRun = fastDevRun
        configuration.valCheckInterval = valCheckInterval
        configuration.checkValEveryNEpochs = checkValEveryNEpochs
        configuration.numSanityValSteps = numSanityValSteps
        configuration.detectAnomaly = detectAnomaly
    }

    /// Lightning's DD:HH:MM:SS; fewer parts are the last ones, so `90` is seconds and `1:30` minutes and seconds.
    static func duration(_ text: String) throws -> Duration {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) ?? -1 }
        guard (1...4).contains(parts.count), parts.allSatisfy({ (0...1_000_000).contains($0) }) else {
            throw ValidationError("'\(text)' is no time, expected DD:HH:MM:SS, or its last parts such as 1:30")
        }
        return .seconds(zip([1, 60, 3600, 86400], parts.reversed()).reduce(0) { $0 + $1.0 * $1.1 })
    }
}

extension BatchLimit: ExpressibleByArgument {
    /// A count (`20`), or a share with a point in it (`0.25`, `1.0`).
    public init?(argument: String) {
        if let count = Int(argument) {
            guard (0...Int(Int32.max)).contains(count) else { return nil }
            self = .count(count)
        } else if let share = Double(argument), (0...1).contains(share) {
            self = .fraction(share)
        } else {
            return nil
        }
    }
}
