// A table for a console: columns as wide as they must be, numbers to the right.

/// Titles and rows between rules.
struct TextTable {
    let titles: [String]
    let rows: [[String]]
    /// For each column whether its cells are numbers.
    let isNumber: [Bool]

    /// The table, each line with its end.
    var text: String { text(width: nil) }

    /// The table; where it is wider than `width`, the last columns are left out, and named below it, and the longest texts that
    /// stay (names, types, shapes) are cut short and end with "…".
    func text(width: Int?) -> String {
        var widths = titles.indices.map { column in ([titles] + rows).map { $0[column].count }.max() ?? 0 }
        let least = widths.indices.map { isNumber[$0] ? widths[$0] : min(widths[$0], Self.leastText) }
        var shown = titles.count
        while let width, shown > 1, Self.total(least[..<shown]) > width { shown -= 1 }
        widths.removeLast(titles.count - shown)
        while let width, Self.total(widths[...]) > width {
            let longest = widths.indices.filter { shown == 1 || !isNumber[$0] }.max { widths[$0] < widths[$1] }
            guard let longest, widths[longest] > 1 else { break }
            widths[longest] -= 1
        }
        let all = ([titles] + rows).map { row in
            row.prefix(shown).enumerated().map { $1.count > widths[$0] ? $1.prefix(widths[$0] - 1) + "…" : $1 }
        }
        let rule = String(repeating: "-", count: Self.total(widths[...])) + "\n"
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
        guard let width, shown < titles.count else { return text + rule }
        let note = "not shown here: " + titles[shown...].joined(separator: ", ")
        return text + rule + (note.count > width ? note.prefix(width - 1) + "…" : note) + "\n"
    }

    /// A text is not cut shorter than this while columns can be left out.
    private static let leastText = 12

    /// The width of columns with " | " between them.
    private static func total(_ widths: ArraySlice<Int>) -> Int { widths.reduce(3 * (widths.count - 1), +) }
}
