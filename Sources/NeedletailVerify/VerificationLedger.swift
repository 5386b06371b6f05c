// What has been checked: one line a kernel row and check, with the largest error and where it was.
import Foundation

/// The largest error of one check on one row.
package struct VerificationLine: Sendable {
    /// The kernel row, such as `avx2` or `avx512 native`.
    package let row: String
    /// What was checked.
    package let check: String
    /// What errors are counted in.
    package let unit: String
    /// Results that were compared.
    package fileprivate(set) var cases = 0
    /// The largest error, in `unit`; NaN where a result was one that it must not be.
    package fileprivate(set) var largest = 0.0
    /// The most that is allowed where the largest error was.
    package fileprivate(set) var limit: Double
    /// Where the largest error was.
    package fileprivate(set) var place = ""
    /// Comparisons that were beyond their limits.
    package fileprivate(set) var violations = 0
    /// The first of them.
    package fileprivate(set) var firstViolation = ""
}

/// One comparison, or the worst of several that share a place.
package struct Comparison {
    /// Results that were compared.
    package var cases: Int
    /// The largest error among them.
    package var error: Double
    /// The most that is allowed.
    package var limit: Double

    package init(cases: Int = 1, error: Double, limit: Double) {
        (self.cases, self.error, self.limit) = (cases, error, limit)
    }

    /// Whether the error is within the limit; never where it is NaN.
    package var isWithin: Bool { error <= limit }

    /// The worse of two: a NaN, or what is larger in units of its limit.
    func isWorse(than other: Comparison) -> Bool {
        if error.isNaN != other.error.isNaN { return error.isNaN }
        return limit > 0 && other.limit > 0 ? error / limit > other.error / other.limit : error > other.error
    }
}

/// Collects comparisons, from one thread.
package final class VerificationLedger {
    /// One a row and check, in the order in which they began.
    package private(set) var lines: [VerificationLine] = []
    private var index: [String: Int] = [:]
    /// What the comparisons of now belong to: named in violations.
    package var round = ""

    package init() {}

    /// Adds a comparison to the line of its row and check; `place` is asked for where it is the worst so far.
    package func record(
        _ row: String, _ check: String, in unit: String, _ comparison: Comparison, at place: () -> String
    ) {
        let key = row + "\n" + check
        let at = index[key] ?? lines.count
        if at == lines.count {
            index[key] = at
            lines.append(VerificationLine(row: row, check: check, unit: unit, limit: comparison.limit))
        }
        lines[at].cases += comparison.cases
        let before = Comparison(error: lines[at].largest, limit: lines[at].limit)
        if comparison.isWorse(than: before) || lines[at].place.isEmpty {
            lines[at].largest = comparison.error
            lines[at].limit = comparison.limit
            lines[at].place = place()
        }
        if !comparison.isWithin {
            if lines[at].violations == 0 { lines[at].firstViolation = "\(round), \(place())" }
            lines[at].violations += 1
        }
    }
}
