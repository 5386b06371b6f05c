// Tables on terminals of any width.
import Testing

@testable import NeedletailTrainer

@Suite struct TextTableTests {
    private let table = TextTable(
        titles: ["Name", "Type", "Params", "In", "Stored / computed", "Gradient"],
        rows: [
            [
                "encoder.layers.11.attention.query", "Linear", "1,234,567,890", "[1, 512, 64]", "float32 / bfloat16",
                "8",
            ],
            ["b", "LayerNorm", "2", "", "float32 / float32", "1,234,567"],
        ],
        isNumber: [false, false, true, false, false, true])

    /// No line is wider than the terminal; numbers are whole or not there; what is left out is named.
    @Test(arguments: 1...160) func noLineIsWiderThanTheTerminal(_ width: Int) {
        let lines = table.text(width: width).split(separator: "\n")
        for line in lines { #expect(line.count <= width, "\(line)") }
        // The titles stand between two rules.
        let shown = lines[1].split(separator: "|").count
        #expect((lines.last?.hasPrefix("n") ?? false) == (shown < table.titles.count && width > 1))
        if shown > 2 { #expect(lines[3].contains("1,234,567,890") && lines[4].hasPrefix("b ")) }
        if width >= 56 { #expect(lines[3].hasPrefix("encoder.lay")) }  // eleven characters and the sign of a cut
        if width >= 80 { #expect(shown >= 4) }
    }

    @Test func withoutAWidthNothingIsCut() {
        #expect(table.text(width: nil) == table.text(width: 1000) && table.text(width: nil).hasPrefix("-----"))
        for cell in table.rows.joined() where !cell.isEmpty { #expect(table.text.contains(cell)) }
        #expect(!table.text.contains("…") && !table.text.contains("not shown"))
    }
}
