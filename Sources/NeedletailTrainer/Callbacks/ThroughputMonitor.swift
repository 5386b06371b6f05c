// How fast training is, as metrics.
public import NeedletailData
import NeedletailTensor

/// Logs, with each step that is logged, the rates since the one before it:
///
/// | metric | value |
/// |---|---|
/// | `throughput/samples_per_second` | samples trained on, validation left out |
/// | `throughput/batches_per_second` | batches |
/// | `throughput/gflops` | floating-point operations of forward and backward, in 10⁹ a second |
/// | `throughput/peak_share` | that rate as a share of what all threads reach in float32 multiply-adds, measured when fit begins |
///
/// Operations are counted while the first batch of fit runs, matrix products as 2·m·n·k and other operations as one for each
/// element, and taken as proportional to the samples of later batches. The peak is that of float32: bf16 products on a CPU with
/// an instruction of their own can pass 1. Checkpoints do not keep these metrics, which no two runs have in common.
public final class ThroughputMonitor: Callback {
    private let clock: () -> Double
    private let peak: (() -> Double)?
    private var count = Count()

    /// What is measured in one fit.
    private struct Count {
        var counter: OperationCounter?
        var operationsPerSample = 0.0, peakRate = 0.0
        var windowStart = 0.0, pauseStart = 0.0, paused = 0.0
        var samples = 0, batches = 0, isCounted = false
    }

    /// A monitor; `measuresPeak` false saves the 20 ms that measuring the machine takes.
    public convenience init(measuresPeak: Bool = true) {
        // One thread's rate times the threads: they share nothing but the clock rate.
        self.init(
            peak: measuresPeak ? { KernelInfo.measurePeak(seconds: 0.02) * Double(threadCount) } : nil,
            clock: monotonicSeconds)
    }

    /// A monitor with a clock and a peak (operations a second) of one's own.
    package init(peak: (() -> Double)?, clock: @escaping () -> Double) {
        self.peak = peak
        self.clock = clock
    }

    public override func reset() { count = Count() }

    package override var clockMetrics: Set<String> {
        ["samples_per_second", "batches_per_second", "gflops", "peak_share"].reduce(into: []) {
            $0.insert("throughput/" + $1)
        }
    }

    public override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        count.peakRate = peak?() ?? 0
    }

    public override func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) throws { restart() }

    public override func onValidationStart(_ trainer: Trainer, _ module: TrainingModule) throws {
        count.pauseStart = clock()
    }

    /// Time spent in validation does not count.
    public override func onValidationEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
        count.paused += clock() - count.pauseStart
    }

    public override func onTrainBatchStart(
        _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
    ) throws {
        guard !count.isCounted else { return }
        let counter = OperationCounter()
        trainer.graphObservers.add(counter)
        count.counter = counter
    }

    public override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        if let counter = count.counter {
            trainer.graphObservers.remove(counter)
            count.operationsPerSample = counter.operations / Double(max(1, batch.count))
            count.counter = nil
            count.isCounted = true
        }
        count.samples += batch.count
        count.batches += 1
        let steps = trainer.state.globalStep + trainer.state.skippedSteps
        guard result.closesWindow, steps % trainer.configuration.logEveryNSteps == 0 else { return }
        let seconds = clock() - count.windowStart - count.paused
        guard seconds > 0 else { return }
        let rate = Double(count.samples) / seconds
        module.log("throughput/samples_per_second", rate, onStep: true, onEpoch: false)
        module.log("throughput/batches_per_second", Double(count.batches) / seconds, onStep: true, onEpoch: false)
        let operations = rate * count.operationsPerSample
        module.log("throughput/gflops", operations / 1e9, onStep: true, onEpoch: false)
        if count.peakRate > 0 {
            module.log("throughput/peak_share", operations / count.peakRate, onStep: true, onEpoch: false)
        }
        restart()
    }

    public override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) {
        if let counter = count.counter { trainer.graphObservers.remove(counter) }
        count.counter = nil
    }

    private func restart() {
        (count.paused, count.samples, count.batches) = (0, 0, 0)
        count.windowStart = clock()
    }
}

/// Counts the floating-point operations of a step.
///
/// `@unchecked Sendable`: it is made, called and read by the one thread that trains.
private final class OperationCounter: GraphObserver, @unchecked Sendable {
    private(set) var operations = 0.0
    private var recorded: [UInt64: Double] = [:]

    func enter(_ module: AnyObject) {}

    func leave() {}

    func forward(_ operation: StaticString, _ inputs: [Tensor], _ output: Tensor, computed: Bool, sequence: UInt64?) {
        if computed {
            operations += OperationCost.forward("\(operation)", inputs, output).operations
            if let sequence {
                recorded[sequence] = OperationCost.backward("\(operation)", inputs, output).operations
            }
        }
    }

    func backward(_ operation: StaticString, sequence: UInt64, _ gradient: Tensor, received: [Tensor]) {
        operations += recorded[sequence] ?? 0
    }
}
