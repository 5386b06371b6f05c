// Spans of time in the JSON that chrome://tracing and Perfetto show.
import Foundation
import NeedletailNN

/// Complete events ("ph": "X") of one thread, times in microseconds since the begin of fit.
struct ChromeTrace {
    /// The most events that are kept: about ten megabytes. A trace is for the first steps.
    static let limit = 100_000

    private var events: [String] = []
    private(set) var dropped = 0

    /// How many events are kept.
    var count: Int { events.count }

    /// Adds a span.
    mutating func add(
        _ name: String, _ category: String, from begin: Double, seconds: Double,
        arguments: [(String, JSONValue)] = []
    ) {
        guard events.count < Self.limit else {
            dropped += 1
            return
        }
        let row = category == "action" ? 1 : 2
        let members = arguments.map { JSONValue.quoted($0.0) + ":" + $0.1.text }.joined(separator: ",")
        events.append(
            "{\"name\":\(JSONValue.quoted(name)),\"cat\":\"\(category)\",\"ph\":\"X\",\"pid\":1,\"tid\":\(row),"
                + String(format: "\"ts\":%.3f,\"dur\":%.3f", begin * 1e6, seconds * 1e6)
                + (members.isEmpty ? "}" : ",\"args\":{\(members)}}"))
    }

    /// The file's text.
    var text: String {
        let names = [(1, "parts of a step"), (2, "layers and operations")].map { row, name in
            "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":\(row),\"args\":{\"name\":\"\(name)\"}}"
        }
        let process = "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"needletail\"}}"
        return "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"dropped_events\":\(dropped)},\"traceEvents\":[\n"
            + ([process] + names + events).joined(separator: ",\n") + "\n]}\n"
    }

    func write(to path: String) throws { try PageFile.write(text, to: path) }
}
