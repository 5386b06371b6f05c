// The numerics report as a plain table, and how its numbers are written.
import Foundation
import NeedletailTensor

/// The report for a console.
enum NumericsText {
    /// A line for each layer's values, then each layer's recommendation.
    static func table(of layers: [LayerNumerics], heading: String) -> String {
        var rows = [
            [
                "Layer", "Values", "Smallest", "Largest", "fp16 zero", "subnormal", "infinite", "bf16 zero",
                "subnormal", "infinite", "inf/nan",
            ]
        ]
        for layer in layers {
            for (index, values) in layer.seen.enumerated() {
                rows.append([index == 0 ? layer.title : "", values.rawValue] + numbers(layer[values]))
            }
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var text = "Numerics \(heading); shares of the values that are not zero\n"
        let rule = String(repeating: "-", count: widths.reduce(0, +) + 3 * (widths.count - 1)) + "\n"
        text += rule
        for (index, row) in rows.enumerated() {
            let cells = row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column < 2 ? cell + padding : padding + cell
            }
            text += cells.joined(separator: " | ") + "\n" + (index == 0 ? rule : "")
        }
        text += rule
        let width = layers.map(\.title.count).max() ?? 0
        for layer in layers {
            let padding = String(repeating: " ", count: width - layer.title.count)
            text += "\(layer.title)\(padding)  \(layer.recommendation)\n"
        }
        return text
    }

    /// Smallest, largest, then for float16 and bfloat16 the shares that become zero, subnormal and infinite.
    static func numbers(_ histogram: ExponentHistogram) -> [String] {
        var cells = ["-", "-"]
        if histogram.finiteNonZero > 0 { cells = [magnitude(histogram.smallest), magnitude(histogram.largest)] }
        for losses in [histogram.float16, histogram.bfloat16] {
            cells += [losses.flushed, losses.subnormal, losses.saturated].map { percent(histogram.share($0)) }
        }
        return cells + ["\(histogram.nonFinite)"]
    }

    /// A share as a percentage: "0" for none at all, "<0.01%" for less than is shown.
    static func percent(_ share: Double) -> String {
        if share == 0 { return "0" }
        if share < 0.0001 { return "<0.01%" }
        return String(format: share < 0.1 ? "%.2f%%" : "%.1f%%", share * 100)
    }

    /// A magnitude with two digits.
    static func magnitude(_ value: Double) -> String { String(format: "%.1e", value) }
}
