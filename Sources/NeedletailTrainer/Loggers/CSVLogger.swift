// Metrics as comma-separated values, one row a record.
import Foundation
import NeedletailFiles
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
    private var file: LogFile?

    /// A logger that writes the file at `path` anew.
    public init(_ path: String) { self.path = path }

    /// A logger that goes on after the rows of the file at `path`, as a resumed run does; makes the file where there is none.
    /// Throws ``LogFileError``, also where the file has another header.
    public init(appendingTo path: String) throws {
        self.path = path
        let file = try LogFile.continued(path)
        columns = try split(readRecords()).columns
        self.file = try readRecords().isEmpty ? nil : file
    }

    /// Appends the record's row.
    public func log(_ record: MetricsRecord) throws {
        let names = record.values.map(\.0)
        let new = names.indices.filter { !columns.contains(names[$0]) && !names[..<$0].contains(names[$0]) }
        if !new.isEmpty || file == nil { try widen(by: new.map { names[$0] }) }
        var row = [Double?](repeating: nil, count: columns.count)
        for (name, value) in record.values { row[columns.firstIndex(of: name)!] = value }
        let cells = ["\(record.epoch)", "\(record.step)"] + row.map { $0.map(CSVLogger.text) ?? "" }
        try file?.append(cells.joined(separator: ",") + "\n")
    }

    /// Writes the file anew with further columns, empty in the rows so far.
    private func widen(by new: [String]) throws {
        let rows = file == nil ? "" : try split(readRecords()).rows
        if file == nil { _ = try LogFile(path) }  // makes the directory
        columns += new
        let commas = String(repeating: ",", count: new.count)
        let header = (["epoch", "step"] + columns.map(CSVLogger.escaped)).joined(separator: ",") + "\n"
        let text = header + rows.split(separator: "\n").map { "\($0)\(commas)\n" }.joined()
        file = nil
        try AtomicFile.write(Array(text.utf8), to: path, isFlushed: false)
        file = try LogFile(path, appending: true)
    }

    private func readRecords() throws -> String {
        let bytes: [UInt8]
        do { bytes = try RegularFile.bytes(of: FilePath(path), limit: .max - 1) } catch let error as FileError {
            throw LogFileError(path: path, why: "cannot read the rows so far: \(error.reason)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw LogFileError(
                path: path, why: "cannot read the rows so far: they are not UTF-8", advice: "give another file")
        }
        return text
    }

    /// A file's metrics, and its text after the header. Names may hold commas, quotes and ends of lines, within quotes.
    private func split(_ text: String) throws -> (columns: [String], rows: Substring) {
        if text.isEmpty { return ([], "") }
        var names = [""], isQuoted = false, hasClosed = false
        var index = text.startIndex
        while index < text.endIndex, isQuoted || text[index] != "\n" {
            let character = text[index]
            index = text.index(after: index)
            defer { hasClosed = character == "\"" && !isQuoted }
            if character == "\"" {
                if hasClosed { names[names.count - 1] += "\"" }  // a doubled one
                isQuoted.toggle()
            } else if character == ",", !isQuoted {
                names.append("")
            } else {
                names[names.count - 1].append(character)
            }
        }
        guard names.prefix(2) == ["epoch", "step"], index < text.endIndex else {
            throw LogFileError(
                path: path, why: "its first line is not that of metrics to go on with, epoch,step,…",
                advice: "give another file")
        }
        return (Array(names.dropFirst(2)), text[text.index(after: index)...])
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
