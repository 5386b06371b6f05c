// Means of losses that are means of nothing: who collects them, and whether a loss is NaN because of one.
import Synchronization

/// Collects the means that the losses of a step form, so that a trainer can tell a loss that is NaN because nothing counted in
/// it (every target ignored, or of class weight 0) from one that is not finite.
///
/// A loss with `emptyMean: .zero` is none of them where nothing counts: its zero is meant.
package final class LossMeans: Sendable {
    private struct Found {
        /// How many means were of something.
        var counted = 0
        /// The places in the graph of those that were of nothing; nil for one that was not recorded.
        var empty: [UInt64?] = []
    }

    @TaskLocal private static var current: LossMeans?
    private let found = Mutex(Found())

    /// Runs `body`; returns its result, and the means that were formed in it.
    package static func collecting<Result>(_ body: () throws -> Result) rethrows -> (Result, LossMeans) {
        let means = LossMeans()
        let result = try $current.withValue(means) { try body() }
        return (result, means)
    }

    /// Whether a mean was of nothing.
    package var hasEmpty: Bool { found.withLock { !$0.empty.isEmpty } }
    /// How many means were of nothing.
    package var emptyCount: Int { found.withLock { $0.empty.count } }
    /// Whether a mean was of something.
    package var hasCounted: Bool { found.withLock { $0.counted > 0 } }

    /// Whether `loss` is NaN because a mean that it is made of is one of nothing, and for no other reason.
    ///
    /// A sum of several terms is looked at more closely: a term that is not finite by itself has gradients that are not finite.
    /// To see them backward is run, and `parameters`, all that the loss may depend on, keep the gradients that they have.
    package func explain(_ loss: Tensor, parameters: [Parameter]) -> Bool {
        guard hasEmpty, loss.count == 1, loss.item().isNaN, let node = loss.node else { return false }
        let places = found.withLock { $0.empty }
        if places.contains(node.sequence) { return true }
        guard places.contains(nil) || node.isMade(ofAnyOf: Set(places.compactMap { $0 })) else { return false }
        return gradientsAreFinite(of: loss, parameters)
    }

    fileprivate static func note(_ mean: Tensor, isEmpty: Bool) {
        current?.found.withLock { found in
            if isEmpty { found.empty.append(mean.node?.sequence) } else { found.counted += 1 }
        }
    }
}

extension Tensor {
    /// This mean of a loss, noted for a trainer; `weight` is what the mean divides by.
    func notedMean(weight: Double, _ emptyMean: EmptyMean) -> Tensor {
        if weight != 0 || emptyMean == .notANumber { LossMeans.note(self, isEmpty: weight == 0) }
        return self
    }
}

extension GradientNode {
    /// Whether one of the nodes that were recorded as `places` is an input of this node, or of its inputs, and so on.
    fileprivate func isMade(ofAnyOf places: Set<UInt64>) -> Bool {
        guard let first = places.min() else { return false }
        var waiting: [GradientNode] = [self]
        var visited: Set<ObjectIdentifier> = []
        while let node = waiting.popLast() {
            if places.contains(node.sequence) { return true }
            for case let input? in node.inputs
            where input.sequence >= first && visited.insert(ObjectIdentifier(input)).inserted {
                waiting.append(input)
            }
        }
        return false
    }
}

/// Whether the gradients of `loss` are finite; those that `parameters` have stay as they are.
private func gradientsAreFinite(of loss: Tensor, _ parameters: [Parameter]) -> Bool {
    let leaves = parameters.compactMap { $0.value.node as? LeafNode }
    let kept = leaves.map { $0.gradient?.copied() }
    for leaf in leaves { leaf.reset() }
    withoutObserver { loss.backward() }
    let areFinite = leaves.allSatisfy { leaf in leaf.gradient.map { finiteCheck($0).firstNonFinite == nil } ?? true }
    for (leaf, gradient) in zip(leaves, kept) {
        leaf.reset()
        if let gradient { leaf.take(gradient) }
    }
    return areFinite
}
