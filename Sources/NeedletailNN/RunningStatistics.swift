// Running statistics of batches: who keeps them, how they are computed anew, and what has too few values for them.
import Synchronization

/// A module that keeps statistics of the batches that it sees in training, such as ``BatchNorm``.
///
/// A layer of your own that does so takes part in ``Module/recomputingStatistics(_:)`` by conforming.
public protocol RunningStatisticsHolder: Module {
    /// The share of a batch in the statistics; nil for the mean over all batches since the last reset.
    var momentum: Double? { get set }
    /// Whether the layer uses, and moves by, the statistics of its batch: in training mode, unless it is frozen.
    var usesBatchStatistics: Bool { get }
    /// Puts the statistics back to those of a new layer.
    func resetStatistics()
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
    ///     let batches = DataLoader(train, batchSize: 64).batches(epoch: 0)
    ///     try model.recomputingStatistics {
    ///         try withoutGradients { while let batch = try batches.next() { _ = model.layers(batch.inputs) } }
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
    }

    @TaskLocal private static var current: SingleValueLayers?
    private let found = Mutex<Found?>(nil)

    /// Runs `body`; returns its result, and the first layer of it that had one value a channel.
    package static func collecting<Result>(_ body: () throws -> Result) rethrows -> (Result, Found?) {
        let layers = SingleValueLayers()
        let result = try $current.withValue(layers) { try body() }
        return (result, layers.found.withLock { $0 })
    }

    /// Notes `layer`; false where nobody collects.
    static func note(_ layer: Module, _ shape: [Int]) -> Bool {
        guard let current else { return false }
        current.found.withLock { found in
            if found == nil { found = Found(layer: ObjectIdentifier(layer), shape: shape) }
        }
        return true
    }
}
