// The package's one source of randomness: a counter-based generator, so that its state is three integers, any position
// can be reached at once, and the same seed gives the same words on every machine.
import Foundation

/// A counter-based random generator: Philox4x32-10.
///
/// Block i of the sequence is ten Philox rounds of the 128-bit counter (i, `stream`) under the key `seed`, and gives
/// two 64-bit words. The state is (`seed`, `stream`, `position`): a generator can be saved, restored and moved at no
/// cost, and generators that differ in seed or stream are unrelated.
///
/// Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
///
///     var generator = SeededGenerator(seed: 1)
///     let order = generator.permutation(60_000)
public struct SeededGenerator: RandomNumberGenerator, Sendable, Equatable {
    /// The key.
    public let seed: UInt64
    /// The upper half of the counter.
    public let stream: UInt64
    /// The number of 64-bit words consumed so far.
    public private(set) var position: UInt64

    /// The second word of the block in which `position` lies; meaningful where `position` is odd.
    private var secondWord: UInt64

    /// A generator that has consumed `position` words of stream `stream` of `seed`.
    public init(seed: UInt64, stream: UInt64 = 0, position: UInt64 = 0) {
        self.seed = seed
        self.stream = stream
        self.position = position
        secondWord = 0
        if position & 1 == 1 { secondWord = words(ofBlock: position >> 1).1 }
    }

    /// The next 64 random bits.
    public mutating func next() -> UInt64 {
        defer { position &+= 1 }
        if position & 1 == 1 { return secondWord }
        let (first, second) = words(ofBlock: position >> 1)
        secondWord = second
        return first
    }

    /// Moves on as if `count` words had been drawn, at once; the position wraps at 2⁶⁴.
    public mutating func skip(_ count: UInt64) {
        self = SeededGenerator(seed: seed, stream: stream, position: position &+ count)
    }

    /// A number in [0, 1): the upper 53 bits of one word, times 2⁻⁵³.
    public mutating func nextUniform() -> Double {
        Double(next() >> 11) * 0x1p-53
    }

    /// A number of the standard normal distribution: √(-2 log u₁) cos(2π u₂), u₁ in (0, 1] and u₂ in [0, 1).
    ///
    /// Takes exactly two words, so that positions stay countable; the sine half of the Box-Muller pair is not used.
    /// Logarithm and cosine are the platform's: another C library may differ in the last bit.
    public mutating func nextNormal() -> Double {
        let radius = (-2 * log(1 - nextUniform())).squareRoot()
        return radius * cos(2 * .pi * nextUniform())
    }

    /// An integer in 0 ..< `bound`, every one equally likely; traps unless `bound` is positive.
    ///
    /// Source: Lemire, "Fast random integer generation in an interval", ACM TOMACS 29, 2019: the upper half of word ·
    /// bound, and the words whose lower half falls in the first 2⁶⁴ mod bound are drawn again.
    public mutating func nextInteger(below bound: Int) -> Int {
        require(bound > 0, "nextInteger(below:): found \(bound), expected a positive bound")
        let range = UInt64(bound)
        var (high, low) = next().multipliedFullWidth(by: range)
        if low < range {
            let biased = (0 &- range) % range
            while low < biased { (high, low) = next().multipliedFullWidth(by: range) }
        }
        return Int(high)
    }

    /// The integers 0 ..< `count` in random order (Fisher-Yates, from the end), every order equally likely.
    public mutating func permutation(_ count: Int) -> [Int] {
        var order = Array(0..<count)
        for last in stride(from: count - 1, to: 0, by: -1) {
            order.swapAt(last, nextInteger(below: last + 1))
        }
        return order
    }

    private func words(ofBlock block: UInt64) -> (UInt64, UInt64) {
        let x = SeededGenerator.philox(
            counter: (
                UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32),
                UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32)
            ),
            key: (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
        return (UInt64(x.0) | UInt64(x.1) << 32, UInt64(x.2) | UInt64(x.3) << 32)
    }

    /// Philox4x32-10 of one counter under one key.
    package static func philox(
        counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
    ) -> (UInt32, UInt32, UInt32, UInt32) {
        var (x, k) = (counter, key)
        for _ in 0..<10 {
            let p = UInt64(x.0) &* 0xD251_1F53
            let q = UInt64(x.2) &* 0xCD9E_8D57
            x = (
                UInt32(truncatingIfNeeded: q >> 32) ^ x.1 ^ k.0, UInt32(truncatingIfNeeded: q),
                UInt32(truncatingIfNeeded: p >> 32) ^ x.3 ^ k.1, UInt32(truncatingIfNeeded: p)
            )
            k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85)
        }
        return x
    }
}

extension SeededGenerator: Hashable, Codable {
    private enum CodingKeys: String, CodingKey { case seed, stream, position }

    /// Reads seed, stream and position.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            seed: try container.decode(UInt64.self, forKey: .seed),
            stream: try container.decode(UInt64.self, forKey: .stream),
            position: try container.decode(UInt64.self, forKey: .position))
    }

    /// Writes seed, stream and position.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(seed, forKey: .seed)
        try container.encode(stream, forKey: .stream)
        try container.encode(position, forKey: .position)
    }

    /// Whether both would give the same words from here on.
    public static func == (a: SeededGenerator, b: SeededGenerator) -> Bool {
        a.seed == b.seed && a.stream == b.stream && a.position == b.position
    }

    /// Feeds seed, stream and position.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(seed)
        hasher.combine(stream)
        hasher.combine(position)
    }
}
