// Hostile headers as long as allowed: refused or read within TRUST.md's 5 seconds and 300 MB.
import Foundation
import NeedletailNN
import NeedletailTensor
import Testing

/// A header made of many pieces, `opening` piece `separator` piece … `closing`, up to a given length.
private struct HostileHeader: CustomTestStringConvertible, Sendable {
    let testDescription: String
    var opening = "{"
    /// The piece with this number.
    let piece: @Sendable (Int) -> String
    var separator = ""
    var closing = "}"

    /// Writes a safetensors file of this header and no data.
    func write(to path: String, headerByteCount: Int) throws {
        try Data().write(to: URL(fileURLWithPath: path))
        let file = try #require(FileHandle(forWritingAtPath: path))
        defer { try? file.close() }
        try file.write(contentsOf: Data(count: 8))
        var block = opening
        var written = 0
        var number = 0
        while written + block.utf8.count < headerByteCount - 8192 {
            if number > 0 { block += separator }
            // Pieces by the thousand, or writing them takes longer than reading.
            block += separator.isEmpty ? String(repeating: piece(number), count: 1000) : piece(number)
            number += 1
            if block.utf8.count > 1 << 20 {
                try file.write(contentsOf: Data(block.utf8))
                written += block.utf8.count
                block = ""
            }
        }
        block += closing
        try file.write(contentsOf: Data(block.utf8))
        written += block.utf8.count
        try file.seek(toOffset: 0)
        try file.write(contentsOf: Data((0..<8).map { UInt8(truncatingIfNeeded: written >> (8 * $0)) }))
    }

    static let all = [
        HostileHeader(testDescription: "spaces", opening: "{}", piece: { _ in " " }, closing: ""),
        HostileHeader(testDescription: "brackets", opening: "{\"a\":", piece: { _ in "[" }),
        HostileHeader(testDescription: "a long name", opening: "{\"", piece: { _ in "n" }, closing: "\":{}}"),
        HostileHeader(
            testDescription: "a long value", opening: "{\"__metadata__\":{\"k\":\"", piece: { _ in "v" },
            closing: "\"}}"),
        HostileHeader(
            testDescription: "a long value and an escape", opening: "{\"__metadata__\":{\"k\":\"",
            piece: { _ in "v" }, closing: "\\n\"}}"),
        HostileHeader(
            testDescription: "escapes", opening: "{\"__metadata__\":{\"k\":\"", piece: { _ in "\\n" }, closing: "\"}}"),
        HostileHeader(
            testDescription: "tensors",
            piece: { "\"\($0)\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}" }, separator: ","),
        HostileHeader(
            testDescription: "metadata", opening: "{\"__metadata__\":{", piece: { "\"\($0)\":\"\"" }, separator: ",",
            closing: "}}"),
        HostileHeader(
            testDescription: "axes", opening: "{\"a\":{\"shape\":[", piece: { _ in "1" }, separator: ",", closing: "]}}"
        ),
        HostileHeader(testDescription: "digits", opening: "{\"a\":{\"shape\":[", piece: { _ in "1" }, closing: "]}}"),
        HostileHeader(
            testDescription: "metadata keys to be normalised", opening: "{\"__metadata__\":{",
            piece: { "\"\($0)" + String(repeating: "e\u{323}\u{301}", count: 100) + "\":\"\"" }, separator: ",",
            closing: "}}"),
        HostileHeader(
            testDescription: "a key of one character", opening: "{\"__metadata__\":{\"k",
            piece: { _ in "\u{301}\u{323}" }, closing: "\":\"\"}}"),
        HostileHeader(
            testDescription: "a field of one character", opening: "{\"a\":{\"dtype\":\"F32\",\"k",
            piece: { _ in "\u{301}\u{323}" }, closing: "\":\"\"}}"),
    ]
}

@Suite struct SafeTensorsLimitTests {
    // Debug builds scan more than ten times slower: there the headers are shorter, the bounds the same.
    #if DEBUG
        private static let headerByteCount = SafeTensorsFile.maximumHeaderByteCount / 16
    #else
        private static let headerByteCount = SafeTensorsFile.maximumHeaderByteCount
    #endif

    @Test(arguments: HostileHeader.all)
    fileprivate func stayWithinTimeAndMemory(_ header: HostileHeader) throws {
        try withTemporaryFolder { folder in
            let path = folder + "/hostile.safetensors"
            try header.write(to: path, headerByteCount: Self.headerByteCount)
            let before = Self.resetPeakMemory()
            let start = ContinuousClock.now
            do { _ = try SafeTensorsFile.read(path) } catch let error as SafeTensorsError {
                // Refused for what the header holds, in a message that does not hold all of it.
                if case .headerTooLarge = error.problem { Issue.record(error) }
                #expect(error.description.utf8.count < 10_000)
            }
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            #expect(seconds < 5)
            if let before, let after = Self.memory("VmHWM") {
                #expect(after - before < 300_000_000, "\(seconds) s, \(after - before) bytes")
            }
        }
    }

    /// Sets the process's peak of resident memory back; its resident memory now, or nil where the system has neither.
    private static func resetPeakMemory() -> Int? {
        guard (try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))) != nil else { return nil }
        return memory("VmRSS")
    }

    /// A line of /proc/self/status in bytes.
    private static func memory(_ key: String) -> Int? {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
        let line = status.split(separator: "\n").first { $0.hasPrefix(key + ":") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
}
