// Two runs beside each other, and whether they differ by more than their noise.

/// What a comparison says of one measurement.
package enum Verdict: String, Sendable {
    case faster
    case slower
    case noDifference = "no difference"
}

/// The measurements that two runs have in common.
package struct BenchmarkComparison {
    /// One measurement in both runs.
    package struct Row {
        package let before: BenchmarkResult
        package let after: BenchmarkResult
        package let verdict: Verdict

        /// Time before over time after.
        package var speedup: Double { before.medianSeconds / after.medianSeconds }
    }

    package let rows: [Row]
    /// Names that only the first run has.
    package let onlyBefore: [String]
    /// Names that only the second run has.
    package let onlyAfter: [String]

    /// Pairs the measurements by name. Differences of less than `tolerance` (0.02 for 2%) never count.
    package init(before: [BenchmarkResult], after: [BenchmarkResult], tolerance: Double) throws {
        var rows: [Row] = []
        for first in before {
            guard let second = after.first(where: { $0.name == first.name }) else { continue }
            rows.append(Row(before: first, after: second, verdict: Self.verdict(first, second, tolerance: tolerance)))
        }
        guard !rows.isEmpty else {
            throw BenchmarkError(
                "the two files have no measurement in common: run the same families, shapes, types and threads")
        }
        self.rows = rows
        let names = (Set(before.map(\.name)), Set(after.map(\.name)))
        onlyBefore = before.map(\.name).filter { !names.1.contains($0) }
        onlyAfter = after.map(\.name).filter { !names.0.contains($0) }
    }

    /// Whether the time changed by more than noise explains.
    ///
    /// Each run's interval is median ± interquartile range, which holds nearly all of an undisturbed sample (of a normal one
    /// 82%), widened to what the run would have taken at the other run's clock (by the ratio of the references) and by half of
    /// the tolerance. The verdict is a difference only where the intervals do not meet.
    package static func verdict(_ before: BenchmarkResult, _ after: BenchmarkResult, tolerance: Double) -> Verdict {
        func interval(_ own: BenchmarkResult, otherReference: Double) -> ClosedRange<Double> {
            let clock = own.referenceRate / otherReference
            let factors = (min(1, clock) * (1 - tolerance / 2), max(1, clock) * (1 + tolerance / 2))
            return (max(0, own.medianSeconds - own.spread) * factors.0)...((own.medianSeconds + own.spread) * factors.1)
        }
        // Compute scales with the clock: both intervals as they are, and the second one also at the first one's clock.
        let first = interval(before, otherReference: before.referenceRate)
        let second = interval(after, otherReference: before.referenceRate)
        if second.upperBound < first.lowerBound { return .faster }
        if second.lowerBound > first.upperBound { return .slower }
        return .noDifference
    }

    /// The table, the references, and what the runs do not share.
    package var text: String {
        let width = (rows.map(\.before.name.count).max() ?? 0) + 2
        func pad(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        func time(_ measurement: BenchmarkResult) -> String {
            let spread = 100 * measurement.spread / measurement.medianSeconds
            return pad(BenchmarkReport.seconds(measurement.medianSeconds), 9) + " " + pad("(\(figure(spread))%)", 10)
        }
        var lines = [
            pad("", width) + pad("before (spread)", 21) + pad("after (spread)", 21) + "before/after  verdict"
        ]
        for row in rows {
            lines.append(
                pad(row.before.name, width) + time(row.before) + " " + time(row.after) + " "
                    + pad(figure(row.speedup), 12) + "  " + row.verdict.rawValue)
        }
        let clocks = rows.map { $0.after.referenceRate / $0.before.referenceRate }
        let clock = SampleStatistics(clocks)
        lines.append(
            "reference rate, after over before: median \(String(figure(clock.median))), quartiles "
                + "\(figure(clock.lowerQuartile)) and \(figure(clock.upperQuartile))")
        for name in onlyBefore { lines.append("only before: \(name)") }
        for name in onlyAfter { lines.append("only after: \(name)") }
        let counts = [Verdict.faster, .slower, .noDifference].map { verdict in
            "\(rows.count { $0.verdict == verdict }) \(verdict.rawValue)"
        }
        lines.append(counts.joined(separator: ", "))
        return lines.joined(separator: "\n")
    }
}
