// Metrics as comma-separated values, one row a record.
import Foundation
import NeedletailNN

/// Writes `epoch,step,<metric>,…`, a row for each record, flushed at once. Cells of metrics that a record lacks are empty.
///
/// A metric that appears later becomes a further column: the file is then written anew with the longer header, under
/// another name, and renamed, so a reader never sees half a file. Names are quoted where RFC 4180 asks for it; numbers are
/// the shortest text that reads back as the same double, NaN and infinities are `nan`, `inf` and `-inf`.
public final class CSVLogger: Logger {
    /// The file.
    public let path: String
    private var columns: [String] = []
    private var rows: [[Double?]] = []
    private var keys: [(epoch: Int, step: Int)] = []
    private var file: LogFile?

    /// A logger that writes the file at `path` anew.
    public init(_ path: String) { self.path = path }

    /// Appends the record's row.
    public func log(_ record: MetricsRecord) throws {
        let known = columns.count
        for (name, _) in record.values where !columns.contains(name) { columns.append(name) }
        var row = [Double?](repeating: nil, count: columns.count)
        for (name, value) in record.values { row[columns.firstIndex(of: name)!] = value }
        rows.append(row)
        keys.append((record.epoch, record.step))
        if columns.count > known || file == nil {
            file = nil
            let lines = [header] + rows.indices.map(line)
            if known == 0 { _ = try LogFile(path) }  // makes the directory
            try AtomicFile.write(Array(lines.joined().utf8), to: path, isFlushed: false)
            file = try LogFile(path, appending: true)
        } else {
            try file?.append(line(rows.count - 1))
        }
    }

    private var header: String { (["epoch", "step"] + columns.map(CSVLogger.escaped)).joined(separator: ",") + "\n" }

    private func line(_ index: Int) -> String {
        let row = rows[index] + [Double?](repeating: nil, count: columns.count - rows[index].count)
        let cells = row.map { $0.map(CSVLogger.text) ?? "" }
        return (["\(keys[index].epoch)", "\(keys[index].step)"] + cells).joined(separator: ",") + "\n"
    }

    /// A cell, in quotes where it holds a comma, a quote or a line's end.
    static func escaped(_ text: String) -> String {
        guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
        return "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\""
    }

    private static func text(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        let text = "\(value)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
