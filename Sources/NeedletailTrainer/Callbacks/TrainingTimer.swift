// Ends training when its time is up.
import Foundation
public import NeedletailData

/// Ends training after the step, or the epoch, in which so much time has passed; Lightning calls it Timer.
///
/// Time counts from the beginning of training, and on where a run is resumed: `run.json` beside the checkpoints keeps what had
/// passed when each of them was written.
public final class TrainingTimer: Callback {
    /// After what training may end.
    public enum Interval: Sendable {
        /// Each step.
        case step
        /// Each epoch.
        case epoch
    }

    /// How long training may take.
    public let duration: Duration
    /// After what it may end.
    public let interval: Interval
    /// The time that training has taken so far.
    public var elapsed: Duration { .seconds(passed.before + (passed.start.map { clock() - $0 } ?? 0)) }
    /// The time that is left.
    public var remaining: Duration { max(.zero, duration - elapsed) }
    private let clock: () -> Double
    private var passed = Passed()

    /// The seconds of one fit: the clock when its training began, and what had passed by then.
    private struct Passed {
        var start: Double?
        var before = 0.0
    }

    /// A timer that ends training after `duration`; `clock` gives seconds, by default those since the machine started.
    public init(_ duration: Duration, interval: Interval = .step, clock: (() -> Double)? = nil) {
        self.duration = duration
        self.interval = interval
        self.clock = clock ?? monotonicSeconds
    }

    public override var runsLast: Bool { true }

    public override func reset() { passed = Passed() }

    package override func saveClock() throws -> JSONValue? { .object(["elapsed": .number(elapsed / .seconds(1))]) }

    package override func loadClock(_ saved: JSONValue) throws { try loadState(saved) }

    /// Checkpoints of older versions have it.
    public override func loadState(_ state: JSONValue) throws {
        struct Saved: Decodable { let elapsed: Double }
        let seconds = try state.decoded(as: Saved.self).elapsed
        guard (0...1e12).contains(seconds) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: [], debugDescription: "found \(seconds) elapsed seconds, expected 0 to 1e12"))
        }
        passed.before = seconds
    }

    public override func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) {
        passed.start = clock()
        check(trainer)
    }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) { if interval == .step { check(trainer) } }

    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) {
        if interval == .epoch { check(trainer) }
    }

    public override func teardown(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) {
        if let start = passed.start { passed.before += clock() - start }
        passed.start = nil
    }

    private func check(_ trainer: Trainer) { if elapsed >= duration { trainer.shouldStop = true } }
}
