// state.json with the right checksum and content that no run writes.
import Foundation
import Needletail

extension MalformedFile {
    /// A real state.json with the first match of `pattern` replaced.
    private static func state(_ name: String, _ pattern: String, _ replacement: String, _ says: String) -> MalformedFile
    {
        MalformedFile(
            reader: .checkpoint, name: name,
            bytes: {
                let text = String(decoding: try Sample.stateJSON(), as: UTF8.self)
                let range = text.range(of: pattern, options: .regularExpression)
                guard let range else { throw NoMatch(pattern: pattern) }
                return Array(text.replacingCharacters(in: range, with: replacement).utf8)
            }, says: says)
    }

    private struct NoMatch: Error { let pattern: String }

    private static func whole(_ name: String, _ says: String, _ bytes: @escaping @Sendable () -> [UInt8])
        -> MalformedFile
    {
        MalformedFile(reader: .checkpoint, name: name, bytes: bytes, says: says)
    }

    private static func deep(_ opening: String) -> String { String(repeating: opening, count: 100_000) }

    static let checkpoint: [MalformedFile] = [
        state("a negative epoch", #""epoch" : [0-9]+"#, #""epoch" : -1"#, "epoch is -1"),
        state("an epoch of 2^63 - 1", #""epoch" : [0-9]+"#, #""epoch" : 9223372036854775807"#, "expected 0 to 2^53"),
        state("an epoch of 2^63", #""epoch" : [0-9]+"#, #""epoch" : 9223372036854775808"#, "does not fit its field"),
        state("an epoch of 1e999", #""epoch" : [0-9]+"#, #""epoch" : 1e999"#, "finite number"),
        state("an epoch of NaN", #""epoch" : [0-9]+"#, #""epoch" : NaN"#, "expected a value"),
        state("\"NaN\" as an epoch", #""epoch" : [0-9]+"#, #""epoch" : "NaN""#, "trainer.epoch"),
        state("an epoch with a fraction", #""epoch" : [0-9]+"#, #""epoch" : 0.5"#, "does not fit its field"),
        state("no epoch", #""epoch" : [0-9]+,"#, "", "epoch"),
        state("null as an epoch", #""epoch" : [0-9]+"#, #""epoch" : null"#, "trainer.epoch"),
        state("a negative batch", #""batchInEpoch" : [0-9]+"#, #""batchInEpoch" : -7"#, "batchInEpoch is -7"),
        state("negative skips", #""consecutiveSkips" : \[[^]]*\]"#, #""consecutiveSkips" : [-1]"#, "consecutiveSkips"),
        state("a schedule's negative count", #""count" : [0-9]+"#, #""count" : -1"#, "count is -1"),
        state("a file of negative size", #""bytes" : [0-9]+"#, #""bytes" : -1"#, "expected 0 to 2^53"),
        state("a loss scale of 0", #""scale" : [0-9.]+"#, #""scale" : 0"#, "loss scale"),
        state("a negative loss scale", #""scale" : [0-9.]+"#, #""scale" : -1"#, "loss scale"),
        state("\"NaN\" as a loss scale", #""scale" : [0-9.]+"#, #""scale" : "NaN""#, "loss scale"),
        state("a loss scale above float32", #""scale" : [0-9.]+"#, #""scale" : 1e300"#, "does not fit its field"),
        state(
            "a tracker above the interval", #""growthTracker" : [0-9]+"#, #""growthTracker" : 9223372036854775807"#,
            "tracker"),
        state("a growth of 1e300 and more", #""growth" : [0-9.]+"#, #""growth" : "Infinity""#, "growth"),
        state("an unknown precision", #""precision" : "[^"]*""#, #""precision" : "8-mixed""#, "precision"),
        state("a newer format", #""formatVersion" : 1"#, #""formatVersion" : 2"#, "format version 2"),
        state(
            "a format of 2^63 - 1", #""formatVersion" : 1"#, #""formatVersion" : 9223372036854775807"#,
            "9223372036854775807"),
        state("a negative format", #""formatVersion" : 1"#, #""formatVersion" : -1"#, "formatVersion is -1"),
        state("a key twice", #""epoch" : [0-9]+"#, #""epoch" : 1, "epoch" : 1"#, "'epoch' twice"),
        state("a key twice, once escaped", #""epoch" : [0-9]+"#, #""epoch" : 1, "\u0065poch" : 1"#, "'epoch' twice"),
        state("100,000 arrays", #""metrics" : \{"#, #""metrics" : {"x" : "# + deep("[") + ",", "levels of nesting"),
        state(
            "100,000 objects", #""metrics" : \{"#, #""metrics" : {"x" : "# + deep("{\"a\":") + ",", "levels of nesting"),
        state("a leading zero", #""epoch" : "#, #""epoch" : 0"#, "leading zero"),
        state("a list as random states", #""random" : \{"#, #""random" : [], "spare" : {"#, "random"),
        whole("a million values", "too many values") {
            Array("{\"a\":[\(String(repeating: "0,", count: 1_000_000))0]}".utf8)
        },
        whole("17 MB", "expected at most 16777216") {
            Array("{\"a\":\"\(String(repeating: "a", count: 17 << 20))\"}".utf8)
        },
        whole("16 MB of brackets", "levels of nesting") {
            Array(("{\"a\":" + String(repeating: "[", count: 15 << 20)).utf8)
        },
        whole("a key of combining marks", "combining marks") {
            Array(("{\"a" + String(repeating: "\u{301}\u{323}", count: 1 << 20) + "\":1}").utf8)
        },
        whole("a value of combining marks", "combining marks") {
            Array(("{\"precision\":\"a" + String(repeating: "\u{301}\u{323}", count: 1 << 20) + "\"}").utf8)
        },
        whole("a number of a million digits", "finite number") {
            Array("{\"formatVersion\":\(String(repeating: "1", count: 1 << 20))}".utf8)
        },
        whole("text that is not UTF-8", "not UTF-8") { [0x7B, 0x22, 0xC0, 0x80, 0x22] + Array(":1}".utf8) },
        whole("half a surrogate pair", "surrogate") { Array(#"{"\ud800":1}"#.utf8) },
        whole("UTF-16", "a key in quotes") { Array("{}".utf8).flatMap { [$0, 0] } },
        whole("an empty object", "formatVersion") { Array("{}".utf8) },
        whole("an empty file behind the checksum", "checksum") { [] },
        whole("two values", "nothing but spaces") { Array("{\"a\":1} {}".utf8) },
    ]
}
