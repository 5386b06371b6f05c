// Precision `auto`: times the training step in 32-true, bf16-mixed and 16-mixed, and leaves no trace of having done so.
import Foundation
package import NeedletailData
import NeedletailNN
import NeedletailOptim
import NeedletailTensor

/// Seconds of a clock that is never set.
func monotonicSeconds() -> Double { Double(DispatchTime.now().uptimeNanoseconds) * 1e-9 }

extension Trainer {
    /// The mode of a run whose precision is `auto`: the checkpoint's where it is resumed, else the one that measures best.
    package func choosePrecision(_ module: TrainingModule, _ train: DataLoader, _ resume: ResumePoint?) throws
        -> Precision
    {
        if let resume {
            let checkpoint = try Checkpoint(path(of: resume))
            notice("precision auto goes on in \(checkpoint.precision), the mode of checkpoint \(checkpoint.path)")
            return checkpoint.precision
        }
        let (clock, console) = configuration.autoPrecision
        let measurement = PrecisionMeasurement(
            module: module, loader: train, configuration: configuration, clock: clock)
        let timings: PrecisionTimings
        do { timings = try measurement.run() } catch let error as OperationError where error.isOutOfMemory {
            StoragePool.releaseFree()
            notice(
                "precision auto: three modes side by side need too much memory, so 32-true is taken (\(error.message))")
            return .float32
        }
        precisionTimings = timings
        console.write(timings.table)
        return timings.choice
    }
}

/// One measurement: THE training step on the loader's first batch, in three modes by turns.
///
/// Each mode trains parameters and optimizers of its own. Afterwards the module has its own parameters and gradients
/// again, its random generators stand where they stood, and what it saves in checkpoints is loaded back; hooks are not
/// called and nothing is logged. Optimizers are made anew by fit. So the run has the bits of one that was started in
/// the chosen mode.
struct PrecisionMeasurement {
    let module: TrainingModule
    let loader: DataLoader
    let configuration: TrainerConfiguration
    let clock: () -> Double

    static let candidates: [Precision] = [.float32, .mixedBFloat16, .mixedFloat16]
    /// Repetitions of each mode that count, after one that does not.
    static let repetitions = 5
    /// A repetition is as many steps as fit in this time (one at least, `mostSteps` at most), so that the clock's grain
    /// does not count.
    private static let repetitionSeconds = 5e-3
    private static let mostSteps = 32.0

    func run() throws -> PrecisionTimings {
        let dtype = loader.dtype
        defer { loader.dtype = dtype }
        return try module.measured { state in try throwingOperationErrors { try measure(state) } }
    }

    private func measure(_ state: ModuleState) throws -> PrecisionTimings {
        let originals = state.snapshot(.parameters)
        var trials: [Trial] = []
        for precision in Self.candidates {
            originals.restore()
            state.copyParameters()  // whatever the policy changes: the originals must not be trained
            trials.append(try Trial(precision, state, self))
        }
        for trial in trials { try trial.warmUp(clock, repetition: Self.repetitionSeconds, most: Self.mostSteps) }
        for _ in 0..<Self.repetitions {
            for trial in trials { try trial.repeat(clock) }
        }
        let count = trials.first?.batch.count ?? 0
        return PrecisionTimings(
            title: "forward, backward and update of a batch of \(count), \(KernelInfo.activeRow) kernels, "
                + "\(threadCount) threads, median of \(Self.repetitions)",
            rows: trials.map { PrecisionTimings.Row($0.precision, seconds: $0.seconds, isLossFinite: $0.isLossFinite) })
    }
}

/// One mode with its own copy of everything that a step changes.
private final class Trial {
    let precision: Precision
    let batch: Batch
    private(set) var seconds: [Double] = []
    private(set) var isLossFinite = true
    private let step: TrainingStep
    /// The module with this mode's parameters, its buffers and generators as they were.
    private let start: ModuleSnapshot
    private let hooks: NoHooks
    private var steps = 1

    /// Gives the module the mode's types, and keeps its parameters' tensors.
    init(_ precision: Precision, _ state: ModuleState, _ measurement: PrecisionMeasurement) throws {
        self.precision = precision
        let module = measurement.module
        let policy = PrecisionPolicy(precision, overrides: measurement.configuration.precisionOverrides)
        try policy.apply(to: module)
        measurement.loader.dtype = policy.compute
        var source = BatchSource(measurement.loader)
        batch = try source.next()
        var configuration = measurement.configuration
        configuration.nonFinite = .ignore
        configuration.detectAnomaly = false
        hooks = NoHooks()
        // The scale 1: the time does not depend on it, and an overflow, whose step would be skipped, is unlikely.
        step = try TrainingStep(
            module, optimizers: module.madeOptimizers(),
            scaler: policy.needsLossScale ? LossScaler(.fixed(1)) : nil, configuration: configuration, hooks: hooks)
        hooks.state.consecutiveSkips = step.slots.map { _ in 0 }
        start = state.snapshot()
    }

    /// The first steps, and how many of them make a repetition.
    func warmUp(_ clock: () -> Double, repetition: Double, most: Double) throws {
        start.restore()
        let first = try step.run(batch, 0, closesWindow: true)
        isLossFinite = first.loss.isFinite || first.skipReason == .noWeight
        let start = clock()
        _ = try step.run(batch, 0, closesWindow: true)
        let once = clock() - start
        steps = once > 0 ? Int(max(1, min(most, repetition / once))) : 1
    }

    /// One repetition; where steps are short, an uncounted one goes before it, which finds the caches as the other mode
    /// left them.
    func `repeat`(_ clock: () -> Double) throws {
        start.restore()
        if steps > 1 { _ = try step.run(batch, 0, closesWindow: true) }
        let start = clock()
        for _ in 0..<steps { _ = try step.run(batch, 0, closesWindow: true) }
        seconds.append((clock() - start) / Double(steps))
    }
}
