// What a run's page is made of.
import Foundation
import NeedletailTensor

/// Everything that ``RunReport`` has collected.
struct RunReportContent {
    /// A metric that was logged.
    struct Metric {
        let name: String
        /// Whether it was logged by epoch.
        let isMarked: Bool
        var series = DecimatedSeries()
    }

    var model = "", precision = "", state = "", error: String?
    var started = 0.0, seconds = 0.0, samples = 0, samplesPerSecond = 0.0
    var trainerState = TrainerState()
    var metrics: [Metric] = []
    var final: [String: Double] = [:]
    /// Of every step.
    var loss = DecimatedSeries(), gradientNorm = DecimatedSeries(), scale = DecimatedSeries()
    var rates: [DecimatedSeries] = []
    /// Loss, gradient norm, loss scale, then the rates.
    var stepCurves: [DecimatedSeries] {
        get { [loss, gradientNorm, scale] + rates }
        set {
            (loss, gradientNorm, scale, rates) = (newValue[0], newValue[1], newValue[2], Array(newValue.dropFirst(3)))
        }
    }
    /// The step from which the run went on; nil where it began here.
    var continuedFrom: Int?
    /// The first steps that were skipped, and how many there were.
    var skipped: [Double] = [], skippedSteps = 0
    var summary: WeightsSummary?
    var optimizers: [String] = []
    var hyperparameters: [(String, String)] = []
    var options: [(String, String)] = []
    var notices: [String] = []
    /// The layers' ranges as HTML; nil where none were recorded.
    var numerics: String?

    /// The trainer's options that are not what they are by default, and those that matter most.
    static func options(of trainer: Trainer) -> [(String, String)] {
        let configuration = trainer.configuration
        var rows: [(String, String)] = []
        if let epochs = configuration.maxEpochs { rows.append(("maxEpochs", "\(epochs)")) }
        if let steps = configuration.maxSteps { rows.append(("maxSteps", "\(steps)")) }
        rows.append(("precision", trainer.precision?.rawValue ?? "auto"))
        if !configuration.precisionOverrides.list.isEmpty {
            rows.append(("precisionOverrides", "\(configuration.precisionOverrides)"))
        }
        rows.append(("accumulateGradBatches", "\(configuration.accumulateGradBatches)"))
        if let clip = configuration.gradientClip { rows.append(("gradientClip", "\(clip)")) }
        if let rounding = configuration.updateRounding { rows.append(("updateRounding", "\(rounding)")) }
        rows.append(("nonFinite", "\(configuration.nonFinite)"))
        rows.append(("batches an epoch", "\(trainer.trainingBatchCount)"))
        return rows
    }

    /// The machine and the kernels.
    static var environment: [(String, String)] {
        [
            ("processor", KernelInfo.cpuModel), ("features", KernelInfo.cpuFeatures),
            ("kernels", KernelInfo.activeRow),
            ("bf16 products", bfloat16MatMul.rawValue),
            ("threads", "\(threadCount)"), ("system", ProcessInfo.processInfo.operatingSystemVersionString),
            ("memory", "\(ModelSummary.grouped(Int(ProcessInfo.processInfo.physicalMemory >> 20))) MiB"),
        ]
    }
}
