// A table for a console: columns as wide as they must be, numbers to the right.

/// Titles and rows between rules.
struct TextTable {
    let titles: [String]
    let rows: [[String]]
    /// For each column whether its cells are numbers.
    let isNumber: [Bool]

    /// The table, each line with its end.
    var text: String {
        let all = [titles] + rows
        let widths = titles.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        let rule = String(repeating: "-", count: widths.reduce(0, +) + 3 * (widths.count - 1)) + "\n"
        var text = rule
        for (index, row) in all.enumerated() {
            let cells = row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return isNumber[column] && index > 0 ? padding + cell : cell + padding
            }
            var line = cells.joined(separator: " | ")[...]
            while line.last == " " { line.removeLast() }
            text += line + "\n" + (index == 0 ? rule : "")
        }
        return text + rule
    }
}
