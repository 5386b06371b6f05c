// Metrics as JSON, one object a line: what other programs read.
package import NeedletailFiles

/// Writes `{"event":"step"|"epoch","epoch":…,"step":…,"<metric>":…}`, a line for each record, flushed at once.
///
/// A program's own last line, `{"event":"summary",…}`, is written by ``summary(_:)``. JSON has no NaN or infinity: they are
/// the strings "NaN", "Infinity" and "-Infinity".
///
/// The path may be a pipe that is read, or a device. A file that is there is emptied by the first line.
public final class JSONLinesLogger: Logger, OutputWriter {
    private let file: LogFile
    package var outputs: [OutputFile] { [OutputFile(file.path, .lines)] }

    /// A logger that writes the file at `path` anew. Throws ``LogFileError`` where it cannot be written.
    public init(_ path: String) throws { file = try LogFile(path) }

    /// A logger that goes on after the lines of the file at `path`, as a resumed run does; makes the file where there is none.
    public init(appendingTo path: String) throws { file = try LogFile(path, continues: true) }

    /// Appends the record's line.
    public func log(_ record: MetricsRecord) throws {
        var line = "{\"event\":\"\(record.event.rawValue)\",\"epoch\":\(record.epoch),\"step\":\(record.step)"
        for (name, value) in record.values {
            line += "," + JSONValue.quoted(name) + ":" + JSONValue.text(of: value)
        }
        try file.append(line + "}\n")
    }

    /// Appends `{"event":"summary",…}` with the given members in their order.
    public func summary(_ members: KeyValuePairs<String, JSONValue>) throws {
        let rest = members.map { "," + JSONValue.quoted($0.key) + ":" + $0.value.text }.joined()
        try file.append("{\"event\":\"summary\"" + rest + "}\n")
    }
}
