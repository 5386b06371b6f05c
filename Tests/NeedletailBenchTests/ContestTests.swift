import NeedletailBench
import Testing

@Suite struct ContestTests {
    /// A clock that only contestants, the reference and waiting move.
    final class World {
        var now = 0.0
        var log: [String] = []
        var slept: [Double] = []

        func contestant(_ name: String, seconds: Double, usesOpenBLAS: Bool = false) -> Contestant {
            Contestant(
                name, usesOpenBLAS: usesOpenBLAS,
                run: {
                    self.now += seconds
                    self.log.append(name)
                }, sample: { seconds })
        }

        func contest(minimumSeconds: Double) -> Contest {
            var contest = Contest(minimumSeconds: minimumSeconds)
            contest.clock = { self.now }
            contest.sleep = {
                self.now += $0
                self.slept.append($0)
            }
            return contest
        }
    }

    @Test func repetitionsAreTheSecondsOfACall() {
        let world = World()
        let result = world.contest(minimumSeconds: 1).run([
            world.contestant("quick", seconds: 0.25), world.contestant("slow", seconds: 2),
        ]) {
            world.now += 5  // not part of anyone's time
            return 42
        }
        #expect(result.seconds[0] == [Double](repeating: 0.25, count: Contest.defaultRounds))
        #expect(result.seconds[1] == [Double](repeating: 2, count: Contest.defaultRounds))
        #expect(result.reference == [Double](repeating: 42, count: Contest.defaultRounds))
        #expect(result.checksum == Double(Contest.defaultRounds) * 2.25)
    }

    @Test(arguments: [0.01, 0.0625, 1, 7])
    func countedCallsFillTheMinimumTime(call: Double) {
        let world = World()
        var contest = world.contest(minimumSeconds: 11)
        contest.rounds = 11
        var counted = 0.0
        let contestant = world.contestant("one", seconds: call)
        // What lies between a round's reference and the sample is the uncounted call (if any) and the counted ones.
        var start = 0.0
        _ = contest.run([
            Contestant(
                "one", run: contestant.run,
                sample: {
                    counted += world.now - start; return 0
                })
        ]) {
            start = world.now
            return 1
        }
        // At least the minimum; at most a call more a round, and the uncounted call.
        #expect(counted >= 11)
        #expect(counted <= 11 + 11 * 2 * call + 1e-9)
    }

    @Test func contestantsTakeTurnsAndTheOrderRotates() {
        let world = World()
        var contest = world.contest(minimumSeconds: 1e-9)
        contest.rounds = 3
        var order: [String] = []
        let contestants = ["a", "b", "c"].map { name in
            Contestant(
                name, run: { world.now += 1 },
                sample: {
                    order.append(name); return 0
                })
        }
        _ = contest.run(contestants) { 1 }
        #expect(order.joined() == "abcbcacab")
    }

    @Test func restsWhereTheThreadPoolChanges() {
        let world = World()
        var contest = world.contest(minimumSeconds: 1e-9)
        contest.rounds = 1
        contest.rest = 0.04
        _ = contest.run([
            world.contestant("theirs", seconds: 1, usesOpenBLAS: true), world.contestant("ours", seconds: 1),
            world.contestant("ours too", seconds: 1),
        ]) { 1 }
        // Warm-up: theirs, ours. Round: theirs, ours.
        #expect(world.slept == [0.04, 0.04, 0.04])
    }
}
