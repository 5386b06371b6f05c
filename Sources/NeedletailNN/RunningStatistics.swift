// Running statistics of batches: who keeps them, how they are computed anew, and what has too few values for them.
import NeedletailTensor
import Synchronization

/// A module that keeps statistics of the batches that it sees in training, such as ``BatchNorm``.
///
/// A layer of your own that moves a ``Buffer`` by its batches conforms and does so where ``usesBatchStatistics`` says so: then
/// freezing it keeps its statistics, and averaged weights get their own.
///
///     final class Centering: Module, Layer, RunningStatisticsHolder {
///         let offset = Parameter(.zeros([1]))
///         let mean = Buffer(.zeros([1])), batches = Buffer(.zeros([1]))
///         var momentum: Double? = 0.1
///         func resetStatistics() { for buffer in [mean, batches] { try! buffer.assign(.zeros([1])) } }
///         func forward(_ x: Tensor) -> Tensor {
///             guard usesBatchStatistics else { return x - mean.value + offset.value }
///             let batch = x.detached().mean().reshape([1])
///             try! batches.assign(batches.value + 1)
///             let share = momentum ?? 1 / batches.value.item()
///             try! mean.assign(mean.value * (1 - share) + batch * share)
///             return x - batch + offset.value
///         }
///     }
public protocol RunningStatisticsHolder: Module {
    /// The share of a batch in the statistics; nil for the mean over all batches since the last reset.
    var momentum: Double? { get set }
    /// Whether the layer uses, and moves by, the statistics of its batch: in training mode, unless it has parameters and all
    /// of them are frozen.
    var usesBatchStatistics: Bool { get }
    /// Puts the statistics back to those of a new layer.
    func resetStatistics()
}

extension RunningStatisticsHolder {
    /// In training mode, unless the layer has parameters and all of them are frozen.
    public var usesBatchStatistics: Bool {
        guard isTraining else { return false }
        let parameters = parameters()
        return parameters.isEmpty || !parameters.allSatisfy(\.isFrozen)
    }
}

extension Module {
    /// The layers of this module that normalise by the statistics of their batch.
    package var statisticsHolders: [any RunningStatisticsHolder] {
        namedModules().compactMap { $0.module as? any RunningStatisticsHolder }.filter(\.usesBatchStatistics)
    }

    /// Runs `body`, which is to run the module on training batches, and makes running statistics the means over them.
    ///
    /// Each batch counts the same, as in PyTorch's `torch.optim.swa_utils.update_bn`. Layers that are in evaluation mode
    /// or frozen keep their statistics.
    ///
    ///     let batches = train.batches(epoch: 0)
    ///     try classifier.recomputingStatistics {
    ///         try withoutGradients { while let batch = try batches.next() { _ = try classifier.trainingStep(batch, 0) } }
    ///     }
    public func recomputingStatistics<Result>(_ body: () throws -> Result) rethrows -> Result {
        let holders = statisticsHolders
        let momenta = holders.map(\.momentum)
        for holder in holders {
            holder.resetStatistics()
            holder.momentum = nil
        }
        defer { for (holder, momentum) in zip(holders, momenta) { holder.momentum = momentum } }
        return try body()
    }
}

/// Collects the layers that were to take statistics of a single value a channel, so that a trainer can throw an error that
/// names them; where nobody collects, such a layer traps.
package final class SingleValueLayers: Sendable {
    /// A layer and the shape of its input.
    package struct Found: Sendable {
        package let layer: ObjectIdentifier
        package let shape: [Int]
        /// What has a single value, and what to do.
        package let unit: String, advice: String
    }

    @TaskLocal private static var current: SingleValueLayers?
    private let found = Mutex<Found?>(nil)

    /// Runs `body`; returns its result, and the first layer of it that had one value a channel.
    package static func collecting<Result>(_ body: () throws -> Result) rethrows -> (Result, Found?) {
        let layers = SingleValueLayers()
        let result = try $current.withValue(layers) { try body() }
        return (result, layers.found.withLock { $0 })
    }

    /// Notes `layer`, whose result is then not to be used; where nobody collects, stops with an error.
    ///
    /// - Parameters:
    ///   - unit: what has a single value, such as "channel".
    ///   - advice: what to do.
    static func refuse(_ layer: Module, _ shape: [Int], unit: String, advice: String) {
        guard let current else {
            require(
                false,
                "\(type(of: layer)): input \(shape) has one value per \(unit), of which there is no variance; expected more "
                    + "than one value per \(unit): \(advice)")
            return
        }
        current.found.withLock { found in
            if found == nil { found = Found(layer: ObjectIdentifier(layer), shape: shape, unit: unit, advice: advice) }
        }
    }
}
