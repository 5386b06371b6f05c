// The table that people read.
import Foundation

/// Lines about a verification.
package enum VerificationReport {
    /// What stands above the table.
    package static let columns = row("row", "check", "cases", "largest error", "allowed", "where")

    /// One check on one row.
    package static func line(_ line: VerificationLine) -> String {
        row(
            line.row, line.check, "\(line.cases)", figure(line.largest) + " " + line.unit, figure(line.limit),
            line.violations == 0
                ? (line.largest == 0 ? "" : line.place)
                : "VIOLATED \(line.violations) times, first: \(line.firstViolation)")
    }

    /// The sentence at the end.
    package static func closing(_ lines: [VerificationLine], seconds: Double) -> String {
        let cases = lines.reduce(0) { $0 + $1.cases }, violated = lines.filter { $0.violations > 0 }
        let time = String(format: "%.0f s", seconds)
        if violated.isEmpty { return "\(lines.count) checks, \(cases) results, \(time): every promise is kept" }
        return "\(lines.count) checks, \(cases) results, \(time): \(violated.count) checks found a violation: "
            + violated.map { "\($0.row) \($0.check)" }.joined(separator: "; ")
    }

    private static func row(
        _ row: String, _ check: String, _ cases: String, _ error: String, _ limit: String, _ place: String
    ) -> String {
        let text =
            pad(row, 14) + pad(check, 38) + left(cases, 11) + "  " + pad(error, 24) + pad(limit, 9) + place
        return String(text.reversed().drop { $0 == " " }.reversed())
    }

    private static func figure(_ value: Double) -> String {
        if value == value.rounded() && abs(value) < 1e6 { return "\(Int(value))" }
        return String(format: abs(value) < 0.001 || abs(value) >= 1e6 ? "%.1e" : "%.3g", value)
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text.count < width ? text + String(repeating: " ", count: width - text.count) : text + " "
    }

    private static func left(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
