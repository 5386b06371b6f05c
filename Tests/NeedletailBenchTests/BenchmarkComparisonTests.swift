import NeedletailBench
import Testing

@Suite struct BenchmarkComparisonTests {
    private func verdict(
        _ before: (seconds: Double, spread: Double), _ after: (seconds: Double, spread: Double), clock: Double = 1,
        tolerance: Double = 0
    ) -> Verdict {
        BenchmarkComparison.verdict(
            BenchmarkResultTests.result(seconds: before.seconds, spread: before.spread, reference: 200),
            BenchmarkResultTests.result(seconds: after.seconds, spread: after.spread, reference: 200 * clock),
            tolerance: tolerance)
    }

    @Test func differsWhereIntervalsDoNotMeet() {
        #expect(verdict((1, 0.1), (0.7, 0.1)) == .faster)
        #expect(verdict((1, 0.1), (1.3, 0.1)) == .slower)
        #expect(verdict((1, 0.1), (1.19, 0.1)) == .noDifference)
        #expect(verdict((1, 0.1), (0.81, 0.1)) == .noDifference)
        #expect(verdict((1, 0), (1, 0)) == .noDifference)
        #expect(verdict((1, 0), (1.001, 0)) == .slower)
        // A spread wider than the median does not turn the interval round.
        #expect(verdict((1, 3), (0.5, 0.1)) == .noDifference)
    }

    @Test func smallDifferencesDoNotCount() {
        #expect(verdict((1, 0), (1.019, 0), tolerance: 0.02) == .noDifference)
        #expect(verdict((1, 0), (0.981, 0), tolerance: 0.02) == .noDifference)
        #expect(verdict((1, 0), (1.021, 0), tolerance: 0.02) == .slower)
        #expect(verdict((1, 0), (0.979, 0), tolerance: 0.02) == .faster)
    }

    /// A run on a clock that is a fifth slower takes a fifth longer, and that is not the kernel's doing.
    @Test func theClockExplainsDifferences() {
        #expect(verdict((1, 0.01), (1.25, 0.01), clock: 0.8) == .noDifference)
        #expect(verdict((1, 0.01), (0.8, 0.01), clock: 1.25) == .noDifference)
        #expect(verdict((1, 0.01), (1.4, 0.01), clock: 0.8) == .slower)
        #expect(verdict((1, 0.01), (0.7, 0.01), clock: 1.25) == .faster)
        // Faster in spite of a slower clock.
        #expect(verdict((1, 0.01), (0.9, 0.01), clock: 0.8) == .faster)
    }

    @Test func measurementsArePairedByWhatTheyAreOf() throws {
        let first = BenchmarkResultTests.result()
        var second = first
        second.medianSeconds = 0.25
        var foreign = first
        foreign.threads = 1
        let comparison = try BenchmarkComparison(before: [foreign, first], after: [second], tolerance: 0.02)
        #expect(comparison.rows.count == 1)
        #expect(comparison.rows[0].verdict == .faster && comparison.rows[0].speedup == 2)
        #expect(comparison.onlyBefore == [foreign.name] && comparison.onlyAfter == [])
        for part in [first.name, "faster", "2.00", "only before", "1 faster, 0 slower, 0 no difference"] {
            #expect(comparison.text.contains(part), "\(part) in \(comparison.text)")
        }
        #expect(throws: BenchmarkError.self) {
            try BenchmarkComparison(before: [foreign], after: [second], tolerance: 0.02)
        }
    }
}
