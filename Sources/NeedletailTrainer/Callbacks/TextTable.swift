// A table for a console: columns as wide as they must be, numbers to the right.

/// Titles and rows between rules.
struct TextTable {
    let titles: [String]
    let rows: [[String]]
    /// For each column whether its cells are numbers.
    let isNumber: [Bool]

    /// The table, each line with its end.
    var text: String { text(width: nil) }

    /// The table; where it is wider than `width`, the longest texts (names, types, shapes) are cut short and end with "…".
    func text(width: Int?) -> String {
        var widths = titles.indices.map { column in ([titles] + rows).map { $0[column].count }.max() ?? 0 }
        while let width, widths.reduce(3 * (widths.count - 1), +) > width {
            let longest = widths.indices.filter { !isNumber[$0] }.max { widths[$0] < widths[$1] }
            guard let longest, widths[longest] > 4 else { break }
            widths[longest] -= 1
        }
        let all = ([titles] + rows).map { row in
            row.enumerated().map { $1.count > widths[$0] ? $1.prefix(widths[$0] - 1) + "…" : $1 }
        }
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
