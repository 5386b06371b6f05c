// Ends training when its time is up.
import Foundation
public import NeedletailData

/// Ends training after the step, or the epoch, in which so much time has passed; Lightning calls it Timer.
///
/// Time counts from the beginning of training, and on where a run is resumed: checkpoints keep what has passed, so the bytes
/// of a run with a timer are not those of another one.
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
    public var elapsed: Duration { .seconds(before + (start.map { clock() - $0 } ?? 0)) }
    /// The time that is left.
    public var remaining: Duration { max(.zero, duration - elapsed) }
    private let clock: () -> Double
    private var start: Double?
    private var before = 0.0

    /// A timer that ends training after `duration`; `clock` gives seconds, by default those since the machine started.
    public init(_ duration: Duration, interval: Interval = .step, clock: (() -> Double)? = nil) {
        self.duration = duration
        self.interval = interval
        self.clock = clock ?? monotonicSeconds
    }

    public override var runsLast: Bool { true }

    public override func saveState() throws -> JSONValue? { .object(["elapsed": .number(elapsed / .seconds(1))]) }

    public override func loadState(_ state: JSONValue) throws {
        struct Saved: Decodable { let elapsed: Double }
        before = try state.decoded(as: Saved.self).elapsed
    }

    public override func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) {
        start = clock()
        check(trainer)
    }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) { if interval == .step { check(trainer) } }

    public override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) {
        if interval == .epoch { check(trainer) }
    }

    public override func teardown(_ trainer: Trainer, _ module: TrainingModule, _ stage: Stage) {
        if let start { before += clock() - start }
        start = nil
    }

    private func check(_ trainer: Trainer) { if elapsed >= duration { trainer.shouldStop = true } }
}
