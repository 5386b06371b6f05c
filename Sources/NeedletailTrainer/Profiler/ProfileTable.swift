// Times, counts and rates by name.
import Foundation

/// Rows of a profile.
struct ProfileTable {
    private struct Row {
        var calls = 0, seconds = 0.0
        var cost = OperationCost()
    }
    private var rows: [[String]: Row] = [:]

    var isEmpty: Bool { rows.isEmpty }

    /// The seconds of a row.
    func seconds(_ names: [String]) -> Double { rows[names]?.seconds ?? 0 }

    /// The floating-point operations of a row.
    func operations(_ names: [String]) -> Double { rows[names]?.cost.operations ?? 0 }

    /// The names of all rows.
    var names: [[String]] { Array(rows.keys) }

    /// Adds a call.
    mutating func add(_ names: [String], seconds: Double, _ cost: OperationCost = OperationCost()) {
        rows[names, default: Row()].calls += 1
        rows[names, default: Row()].seconds += seconds
        rows[names, default: Row()].cost += cost
    }

    /// Adds to what a row computes and moves.
    mutating func count(_ cost: OperationCost, of names: [String]) { rows[names, default: Row()].cost += cost }

    /// The table, the longest first; `total` is all of the time.
    func text(total: Double, names titles: [String]) -> String {
        let rates = rows.values.contains { $0.cost.bytes > 0 }
        let sorted = rows.sorted { ($1.value.seconds, $0.key.joined()) < ($0.value.seconds, $1.key.joined()) }
        let cells = sorted.map { names, row in
            names + [
                ModelSummary.grouped(row.calls), Self.time(row.seconds / Double(max(1, row.calls))),
                Self.time(row.seconds), String(format: "%.1f%%", 100 * row.seconds / max(total, 1e-12)),
            ] + (rates ? [Self.rate(row.cost.operations, row.seconds), Self.rate(row.cost.bytes, row.seconds)] : [])
        }
        let columns = ["Calls", "Mean", "Total", "Share"] + (rates ? ["GFLOP/s", "GB/s"] : [])
        return TextTable(
            titles: titles + columns, rows: cells,
            isNumber: titles.map { _ in false } + columns.map { _ in true }
        ).text
    }

    private static func rate(_ count: Double, _ seconds: Double) -> String {
        count > 0 && seconds > 0 ? String(format: "%.1f", count / seconds / 1e9) : ""
    }

    /// Seconds in the unit that suits them.
    static func time(_ seconds: Double) -> String {
        switch seconds {
        case ..<1e-3: String(format: "%.1f us", seconds * 1e6)
        case ..<1: String(format: "%.2f ms", seconds * 1e3)
        default: String(format: "%.2f s", seconds)
        }
    }
}
