// What precision `auto` has measured, the rule that picks from it, and the table that it prints.
import Foundation

/// Seconds of a training step by mode, and the mode that they speak for.
public struct PrecisionTimings: Sendable {
    /// One mode's measurements.
    public struct Row: Sendable {
        /// The mode.
        public let precision: Precision
        /// Seconds a step (forward, backward, update) of each repetition.
        public let seconds: [Double]
        /// Whether the loss of the batch was finite in this mode.
        public let isLossFinite: Bool

        /// A row of measurements.
        public init(_ precision: Precision, seconds: [Double], isLossFinite: Bool = true) {
            self.precision = precision
            self.seconds = seconds
            self.isLossFinite = isLossFinite
        }

        /// The median of the repetitions, the mean of the two in the middle where their number is even; NaN of none.
        public var median: Double {
            let sorted = seconds.sorted()
            guard !sorted.isEmpty else { return .nan }
            return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
        }
    }

    /// The modes in the order in which they were measured; `32-true` is among them.
    public let rows: [Row]
    /// What was measured and on what: the table's first line.
    public let title: String

    /// Measurements under a title.
    public init(title: String, rows: [Row]) {
        self.title = title
        self.rows = rows
    }

    /// The mode to take: among the mixed modes whose loss is finite and whose median is not above that of `32-true`, the
    /// one with the least median, the first of equals; `32-true` where there is none.
    public var choice: Precision {
        let limit = rows.first { $0.precision == .float32 }?.median ?? .nan
        let allowed = rows.filter { row in
            (row.precision == .mixedBFloat16 || row.precision == .mixedFloat16) && row.isLossFinite
                && row.median <= limit
        }
        return allowed.min { $0.median < $1.median }?.precision ?? .float32
    }

    /// The measurements and the choice, for people: milliseconds a step and speed relative to `32-true`.
    public var table: String {
        let base = rows.first { $0.precision == .float32 }?.median ?? .nan
        let choice = self.choice
        var lines = ["precision auto: " + title, "mode       |  ms a step |    least -       most |  speed |"]
        for row in rows {
            func milliseconds(_ seconds: Double?) -> String { String(format: "%10.3f", 1e3 * (seconds ?? .nan)) }
            let remark =
                row.precision == choice ? " chosen" : row.isLossFinite ? "" : " its loss is not finite on this batch"
            lines.append(
                row.precision.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0)
                    + " | \(milliseconds(row.median)) | \(milliseconds(row.seconds.min()))"
                    + " - \(milliseconds(row.seconds.max())) | \(String(format: "%6.2f", base / row.median)) |\(remark)"
            )
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
