// Every callback of the package, to test what holds for all of them.
import Foundation
import Needletail
import Testing

/// Time that moves by a second whenever it is looked at, and what callbacks have written on their console.
final class Surroundings {
    var now = 0.0
    var shown = ""
    let folder: String

    init(_ folder: String) { self.folder = folder }

    var clock: () -> Double {
        {
            self.now += 1
            return self.now
        }
    }

    var console: Console { Console(isTerminal: true, width: 120) { self.shown += $0 } }

    /// The bytes of all files below the folder by name, but for those that identify a run.
    var files: [String: [UInt8]] {
        let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        let kept = names.filter { !$0.hasSuffix("run.json") && !bytes(folder + "/" + $0).isEmpty }
        return Dictionary(uniqueKeysWithValues: kept.map { ($0, bytes(folder + "/" + $0)) })
    }
}

/// A callback under test.
struct CallbackCase: Sendable, CustomTestStringConvertible {
    /// The name of its class.
    let name: String
    let make: @Sendable (Surroundings) -> Callback

    var testDescription: String { name }

    static let all: [CallbackCase] = [
        CallbackCase(name: "BackboneFineTuning") { _ in BackboneFineTuning("hidden.*", unfreezeAtEpoch: 1) },
        CallbackCase(name: "BatchSizeFinder") { BatchSizeFinder(4...8, tolerance: 0.5, clock: $0.clock) },
        CallbackCase(name: "EarlyStopping") { _ in EarlyStopping(monitor: "val_loss", minDelta: 0.05, patience: 9) },
        CallbackCase(name: "GradientAccumulationScheduler") { _ in GradientAccumulationScheduler([0: 2, 1: 1]) },
        CallbackCase(name: "LambdaCallback") { _ in LambdaCallback { _ in } },
        CallbackCase(name: "LearningRateFinder") {
            LearningRateFinder(LearningRateRange(steps: 20), plot: $0.folder + "/rates.svg")
        },
        CallbackCase(name: "LearningRateMonitor") { _ in LearningRateMonitor(.epoch) },
        CallbackCase(name: "ModelCheckpoint") {
            let around = $0
            nonisolated(unsafe) let clock = around.clock
            return ModelCheckpoint(directory: around.folder, monitor: "val_loss", saveTopK: 2) {
                $0.clock = { clock() }
            }
        },
        CallbackCase(name: "ModelSummary") { ModelSummary(console: $0.console) },
        CallbackCase(name: "NumericsReport") {
            NumericsReport(every: 2, to: $0.folder + "/page.html", console: $0.console)
        },
        CallbackCase(name: "OnExceptionCheckpoint") { OnExceptionCheckpoint(directory: $0.folder + "/failed") },
        CallbackCase(name: "ParameterHistograms") { _ in ParameterHistograms() },
        CallbackCase(name: "ProgressBar") { ProgressBar(console: $0.console, clock: $0.clock) },
        CallbackCase(name: "RunReport") { RunReport(to: $0.folder + "/report.html", clock: $0.clock) },
        CallbackCase(name: "ShadowPrecision") { _ in ShadowPrecision(every: 2) },
        CallbackCase(name: "ThroughputMonitor") { ThroughputMonitor(peak: { 1e6 }, clock: $0.clock) },
        CallbackCase(name: "TrainingTimer") { TrainingTimer(.seconds(1000), clock: $0.clock) },
        CallbackCase(name: "WeightAveraging") { _ in WeightAveraging(.exponential(decay: 0.5), learningRate: 1e-3) },
    ]
}

/// What a value holds, as text: stored properties of any access, tensors by their bytes. Left out are closures, folders and who has them,
/// the process's memory, and objects of classes, which stand for others.
func content(of value: Any, _ name: String = "", depth: Int = 0) -> [String] {
    if let tensor = value as? Tensor { return ["\(name) \(tensor.shape) \(tensor.bytes)"] }
    let mirror = Mirror(reflecting: value)
    let isLeaf = value is String || value is any Numeric || value is Bool || value is ObjectIdentifier
    if isLeaf || mirror.children.isEmpty { return isClosure(value) ? [] : ["\(name) \(value)"] }
    if mirror.displayStyle == .class, depth > 0 { return [] }
    let isUnordered = mirror.displayStyle == .dictionary || mirror.displayStyle == .set
    var children = mirror.children.enumerated().map { ($1.label ?? (isUnordered ? "" : "\($0)"), $1.value) }
    children.removeAll { ["path", "plot", "directory", "folder", "place", "owners", "bytes"].contains($0.0) }
    let lines = children.flatMap { content(of: $0.1, name + "." + $0.0, depth: depth + 1) }
    return isUnordered ? lines.sorted() : lines
}

private func isClosure(_ value: Any) -> Bool { "\(type(of: value))".contains("->") }
