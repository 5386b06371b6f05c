// Timing: contestants by turns, in rounds, with a measurement of the machine itself in each round.
import Foundation

/// Something that is timed.
package struct Contestant {
    /// What it is called in reports.
    package let name: String
    /// Whether its threads are OpenBLAS's pool instead of OpenMP's.
    package let usesOpenBLAS: Bool
    /// One call.
    package let run: () -> Void
    /// A number that depends on the result of the last call, so that the result counts as used.
    package let sample: () -> Double

    package init(
        _ name: String, usesOpenBLAS: Bool = false, run: @escaping () -> Void, sample: @escaping () -> Double
    ) {
        self.name = name
        self.usesOpenBLAS = usesOpenBLAS
        self.run = run
        self.sample = sample
    }
}

/// Rounds in which every contestant gets a turn, so that all of them meet the same weather.
///
/// Before the first round each contestant is called until the length of a turn is known: these calls warm up and do not
/// count. A turn is one call that does not count (where calls are short: it finds the caches as another contestant left them)
/// and as many calls as fill its share of the minimum time, at least one; the turn's mean is one repetition. The order
/// rotates from round to round. Each round begins with `reference`, a measurement of the machine that does not depend on the
/// contestants: where its figures differ, the clock frequency or the load of the machine did.
package struct Contest {
    /// Seconds that the counted calls of each contestant take together, at least.
    package var minimumSeconds: Double
    /// Repetitions of each contestant.
    package var rounds = Contest.defaultRounds
    /// An odd number above ten, so that the median is one of the repetitions.
    package static let defaultRounds = 11
    /// Seconds to wait where a turn follows one of the other thread pool: both pools' threads go on looking for work after a
    /// call, on the CPUs that the other one needs.
    package var rest = 0.0
    /// Seconds of a clock that never goes back.
    package var clock: () -> Double = { Double(DispatchTime.now().uptimeNanoseconds) * 1e-9 }
    /// Waits.
    package var sleep: (Double) -> Void = { Thread.sleep(forTimeInterval: $0) }

    package init(minimumSeconds: Double) { self.minimumSeconds = minimumSeconds }

    /// Seconds a call, one repetition a round for each contestant; the reference's figures; the sum of all samples.
    package struct Result {
        package var seconds: [[Double]]
        package var reference: [Double]
        package var checksum: Double
    }

    /// Runs all rounds.
    package func run(_ contestants: [Contestant], reference: () -> Double) -> Result {
        var result = Result(seconds: contestants.map { _ in [] }, reference: [], checksum: 0)
        var previousPool: Bool?
        func enter(_ contestant: Contestant) {
            if rest > 0, let previousPool, previousPool != contestant.usesOpenBLAS { sleep(rest) }
            previousPool = contestant.usesOpenBLAS
        }
        let turn = minimumSeconds / Double(rounds)
        let calls = contestants.map { contestant in
            enter(contestant)
            return callsOfATurn(contestant, turn)
        }
        for round in 0..<rounds {
            result.reference.append(reference())
            for place in contestants.indices {
                let index = (place + round) % contestants.count
                let contestant = contestants[index]
                enter(contestant)
                if calls[index] > 1 { contestant.run() }
                let start = clock()
                for _ in 0..<calls[index] { contestant.run() }
                result.seconds[index].append((clock() - start) / Double(calls[index]))
                result.checksum += contestant.sample()
            }
        }
        return result
    }

    /// How many calls last at least `turn` seconds, by doubling until a trial lasts a quarter of that.
    private func callsOfATurn(_ contestant: Contestant, _ turn: Double) -> Int {
        contestant.run()
        var calls = 1
        while true {
            let start = clock()
            for _ in 0..<calls { contestant.run() }
            let elapsed = clock() - start
            if elapsed >= turn { return calls }
            if elapsed >= turn / 4 { return Int((Double(calls) * turn / elapsed).rounded(.up)) }
            calls *= 2
        }
    }
}
