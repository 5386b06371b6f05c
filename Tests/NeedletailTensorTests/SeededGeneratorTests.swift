// Philox against the known answers of Random123, positions, and the distributions made from it.
import Foundation
import NeedletailTensor
import Testing

@Suite struct SeededGeneratorTests {
    /// The three vectors of Random123's kat_vectors file for philox4x32 with 10 rounds.
    @Test func knownAnswers() {
        typealias Four = (UInt32, UInt32, UInt32, UInt32)
        let cases: [(Four, (UInt32, UInt32), Four)] = [
            ((0, 0, 0, 0), (0, 0), (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)),
            (
                (.max, .max, .max, .max), (.max, .max), (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd)
            ),
            (
                (0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), (0xa409_3822, 0x299f_31d0),
                (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1)
            ),
        ]
        for (counter, key, expected) in cases {
            #expect(SeededGenerator.philox(counter: counter, key: key) == expected)
        }
        var zero = SeededGenerator(seed: 0)
        #expect(zero.next() == 0xe169_c58d_6627_e8d5 && zero.next() == 0x9b00_dbd8_bc57_ac4c)
        var full = SeededGenerator(seed: .max, stream: .max, position: .max - 1)
        // Position 2^64 - 2 is block 2^63 - 1, so this is not the second vector; its counter is (2^63 - 1, 2^64 - 1).
        let block = SeededGenerator.philox(counter: (.max, .max >> 1, .max, .max), key: (.max, .max))
        #expect(full.next() == UInt64(block.0) | UInt64(block.1) << 32)
        #expect(full.next() == UInt64(block.2) | UInt64(block.3) << 32 && full.position == 0)
    }

    @Test func skipEqualsDrawing() {
        for (before, count) in [(0, 0), (0, 1), (1, 1), (1, 2), (2, 5), (3, 1000)] {
            var drawn = SeededGenerator(seed: 9, stream: 4)
            for _ in 0..<(before + count) { _ = drawn.next() }
            var skipped = SeededGenerator(seed: 9, stream: 4)
            for _ in 0..<before { _ = skipped.next() }
            skipped.skip(UInt64(count))
            #expect(skipped == drawn && skipped.hashValue == drawn.hashValue)
            #expect(skipped.next() == drawn.next() && skipped.next() == drawn.next())
        }
    }

    @Test func stateSurvivesJSON() throws {
        var generator = SeededGenerator(seed: .max, stream: 7)
        for _ in 0..<5 { _ = generator.next() }
        var restored = try JSONDecoder().decode(SeededGenerator.self, from: JSONEncoder().encode(generator))
        #expect(restored == generator && restored.position == 5)
        #expect((0..<4).map { _ in restored.next() } == (0..<4).map { _ in generator.next() })
    }

    @Test func seedsAndStreamsDiffer() {
        var words = Set<UInt64>()
        for seed in UInt64(0)..<32 {
            for stream in UInt64(0)..<32 {
                var generator = SeededGenerator(seed: seed, stream: stream)
                words.insert(generator.next())
            }
        }
        #expect(words.count == 1024)
    }

    /// Means of n draws lie within 5 standard deviations of the truth: uniform 1/√(12n), normal 1/√n, its square √(2/n).
    @Test func distributions() {
        var generator = SeededGenerator(seed: 1)
        let count = 40_000
        var (sum, normalSum, squareSum) = (0.0, 0.0, 0.0)
        for _ in 0..<count {
            let u = generator.nextUniform()
            #expect(u >= 0 && u < 1)
            sum += u
            let z = generator.nextNormal()
            normalSum += z
            squareSum += z * z
        }
        let n = Double(count)
        #expect(abs(sum / n - 0.5) <= 5 / (12 * n).squareRoot())
        #expect(abs(normalSum / n) <= 5 / n.squareRoot())
        #expect(abs(squareSum / n - 1) <= 5 * (2 / n).squareRoot())
        #expect(generator.position == UInt64(3 * count))
    }

    /// Each of k equally likely outcomes of n draws lies within 5 standard deviations, √(n/k), of n/k.
    @Test func integersAndPermutationsAreUniform() {
        var generator = SeededGenerator(seed: 2)
        var faces = [Int](repeating: 0, count: 7)
        for _ in 0..<14_000 { faces[generator.nextInteger(below: 7)] += 1 }
        for face in faces { #expect(abs(face - 2000) <= 5 * 45) }

        var orders: [[Int]: Int] = [:]
        for _ in 0..<12_000 { orders[generator.permutation(4), default: 0] += 1 }
        #expect(orders.count == 24)
        for (order, times) in orders {
            #expect(order.sorted() == [0, 1, 2, 3])
            #expect(abs(times - 500) <= 5 * 23)
        }
        #expect(generator.permutation(0) == [] && generator.permutation(1) == [0])
        // Without rejection, ⌊word · 3/8⌋ would have remainder 2 modulo 3 in a quarter of the draws, not a third.
        let bound = 3 << 61
        let draws = (0..<3000).map { _ in generator.nextInteger(below: bound) }
        #expect(draws.allSatisfy { (0..<bound).contains($0) })
        #expect(abs(draws.count { $0 % 3 == 2 } - 1000) <= 5 * 26)  // √(3000 · 1/3 · 2/3) = 25.8
    }
}
