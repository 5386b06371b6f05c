// The order in which a loader takes the samples of an epoch.
import NeedletailTensor

/// The order of the samples in each epoch: as they stand, or a random permutation that is a function of seed and epoch
/// only.
public struct Sampler: Sendable, Hashable {
    /// The number of samples.
    public let count: Int
    /// The seed of the permutations; nil for the order in which the samples stand.
    public let seed: UInt64?

    /// The order 0, 1, …, count - 1 in every epoch, or with a seed another permutation in each.
    public init(count: Int, seed: UInt64? = nil) {
        require(count >= 0, "Sampler: found \(count) samples, expected 0 or more")
        self.count = count
        self.seed = seed
    }

    /// The indices in the order of this epoch.
    public func order(epoch: Int) -> [Int] {
        guard let seed else { return Array(0..<count) }
        var generator = SeededGenerator(seed: seed, stream: RandomStream.epochs + UInt64(epoch))
        return generator.permutation(count)
    }
}

/// The streams that this module draws from under a user's seed: far from 0, 1, 2, …, which the user is likely to take.
enum RandomStream {
    static let split: UInt64 = 0x5350_4C49_5400_0000  // "SPLIT"
    static let epochs: UInt64 = 0x4F52_4445_0000_0000  // "ORDE", the lower half counts epochs
}
