// Metrics as comma-separated values, one row a record.
import Foundation
package import NeedletailFiles

/// Writes `epoch,step,<metric>,…`, a row for each record, flushed at once. Cells of metrics that a record lacks are empty.
///
/// A metric that appears later becomes a further column: the file is then written anew with the longer header, under
/// another name, and renamed, so a reader never sees half a file. A pipe or device cannot be written anew: it has the columns
/// of the first record, and a notice says that later metrics are left out (``JSONLinesLogger`` leaves out none). Names are
/// quoted where RFC 4180 asks for it; numbers are the shortest text that reads back as the same double, NaN and infinities
/// are `nan`, `inf` and `-inf`.
///
/// A path that cannot be written is an error when fit begins. What is there stays until the first row is written.
public final class CSVLogger: Logger, OutputWriter {
    /// The file.
    public let path: String
    private var columns: [String] = []
    private var hasToldOfLeftOut = false
    private var hasHeader = false
    private var file: LogFile?

    /// A logger that writes the file at `path` anew.
    public init(_ path: String) { self.path = path }

    /// A logger that goes on after the rows of the file at `path`, as a resumed run does; makes the file where there is none.
    /// Throws ``LogFileError``, also where the file has another header.
    public init(appendingTo path: String) throws {
        self.path = path
        let file = try LogFile(path, continues: true, isTable: true)
        self.file = file
        guard file.isFile, FileSystem.exists(FilePath(path)) else { return }
        let records = try readRecords()
        // A header that a killed process has begun is none.
        (hasHeader, columns) = (records.contains("\n"), records.contains("\n") ? try split(records).columns : [])
    }

    package var outputs: [OutputFile] { [OutputFile(path, .table)] }

    package func openOutputs() throws { _ = try opened() }

    private func opened() throws -> LogFile {
        if let file { return file }
        let file = try LogFile(path, isTable: true)
        self.file = file
        return file
    }

    /// Appends the record's row.
    public func log(_ record: MetricsRecord) throws {
        let file = try opened()
        let names = record.values.map(\.0)
        let new = names.indices.filter { !columns.contains(names[$0]) && !names[..<$0].contains(names[$0]) }
        if !new.isEmpty || !hasHeader { try widen(file, by: new.map { names[$0] }) }
        var row = [Double?](repeating: nil, count: columns.count)
        for (name, value) in record.values {
            if let column = columns.firstIndex(of: name) { row[column] = value }
        }
        let cells = ["\(record.epoch)", "\(record.step)"] + row.map { $0.map(CSVLogger.text) ?? "" }
        try file.append(cells.joined(separator: ",") + "\n")
    }

    /// Writes the file anew with further columns, empty in the rows so far.
    private func widen(_ file: LogFile, by new: [String]) throws {
        guard file.isFile || !hasHeader else { return leaveOut(new) }
        let rows = hasHeader ? try split(readRecords()).rows : ""
        let all = columns + new
        let commas = String(repeating: ",", count: new.count)
        let header = (["epoch", "step"] + all.map(CSVLogger.escaped)).joined(separator: ",") + "\n"
        if file.isFile {
            try file.replace(by: header + rows.split(separator: "\n").map { "\($0)\(commas)\n" }.joined())
        } else {
            try file.append(header)
        }
        (columns, hasHeader) = (all, true)
    }

    private func leaveOut(_ new: [String]) {
        guard !hasToldOfLeftOut, !OutputIdentity.isNull(path) else { return }
        hasToldOfLeftOut = true
        Console.standardError.write(
            "note: \(FilePath(path)) is no file, so it keeps the columns of its first row; what is logged later under other "
                + "names (\(new.joined(separator: ", "))) is left out; a file or JSON lines would have it\n")
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
