// Damage of every kind to a file of every kind: a clear error within bounds of time and memory, never a crash.
import Foundation
import Needletail
import NeedletailPNG
import NeedletailSettings
import Testing
import UntrustedInputs

/// A malformed input, and what its error must say.
struct MalformedFile: CustomTestStringConvertible, Sendable {
    let reader: UntrustedReader
    let name: String
    let bytes: @Sendable () throws -> [UInt8]
    let says: String
    var testDescription: String { "\(reader): \(name)" }
}

@Suite struct MalformedFileTests {
    /// What refusing any of these inputs may take beyond the input itself.
    private static let seconds = 5.0
    private static let growth = 100 << 20

    /// The message with which `reader` refuses `bytes`; nil where it accepts them. Any error but the readers' own is a fault.
    private func refusal(_ reader: UntrustedReader, _ bytes: [UInt8], _ what: String) -> String? {
        do {
            try reader.read(bytes)
            return nil
        } catch {
            #expect(
                error is DataFileError || error is SafeTensorsError || error is CheckpointError
                    || error is ConfigurationError, "\(what): \(error)")
            let message = "\(error)"
            #expect(message.utf8.count < 10_000, "\(what): the message has \(message.utf8.count) bytes")
            return message
        }
    }

    @Test(arguments: MalformedFile.all)
    func refusedClearlyAndCheaply(_ file: MalformedFile) throws {
        let bytes = try file.bytes()
        var message: String?
        let (seconds, growth) = Resources.measure { message = refusal(file.reader, bytes, file.testDescription) }
        #expect(message?.contains(file.says) == true, "\(message ?? "accepted")")
        #expect(seconds < Self.seconds)
        #expect(growth < Self.growth, "\(growth) bytes")
    }

    @Test(arguments: UntrustedReader.allCases)
    func theSampleIsAccepted(_ reader: UntrustedReader) throws { try reader.read(Sample.bytes(for: reader)) }

    @Test(arguments: UntrustedReader.allCases)
    func truncatedAtEveryByteAndExtended(_ reader: UntrustedReader) throws {
        let whole = try Sample.bytes(for: reader)
        // Shorter than their two magic bytes gzip data are not told from others; an empty configuration sets no option.
        let shortest = reader == .gzip ? 2 : reader == .configuration ? 1 : 0
        for length in shortest..<whole.count {
            #expect(refusal(reader, Array(whole[..<length]), "\(length)") != nil, "\(length) bytes were accepted")
        }
        for rest in [[0], [7], Array("x".utf8), whole] where reader != .gzip || rest != whole {  // gzip may go on
            #expect(refusal(reader, whole + rest, "more") != nil, "\(rest.count) more bytes were accepted")
        }
    }

    /// Every bit flipped, every byte replaced by four others. Where the format has checksums each is an error; elsewhere some
    /// only change a value, and none may do harm.
    @Test(arguments: UntrustedReader.allCases)
    func everyBitAndByteChanged(_ reader: UntrustedReader) throws {
        let whole = try Sample.bytes(for: reader)
        for index in whole.indices {
            let others: [UInt8] = (0..<8).map { whole[index] ^ 1 << $0 } + [0, 0xFF, 0x30, 0x22]
            for other in others where other != whole[index] {
                var changed = whole
                changed[index] = other
                let message = refusal(reader, changed, "byte \(index) = \(other)")
                if reader == .png { #expect(message != nil, "byte \(index) = \(other) was accepted") }
            }
        }
    }

    /// Pieces left out, doubled or exchanged, at seeded places.
    @Test(arguments: UntrustedReader.allCases)
    func piecesMoved(_ reader: UntrustedReader) throws {
        let whole = try Sample.bytes(for: reader)
        var generator = SeededGenerator(seed: 11)
        for turn in 0..<2000 {
            let a = generator.nextInteger(below: whole.count)
            let b = a + generator.nextInteger(below: min(64, whole.count - a))
            let place = generator.nextInteger(below: whole.count)
            var changed = whole
            switch turn % 3 {
            case 0: changed.removeSubrange(a..<b)
            case 1: changed.insert(contentsOf: whole[a..<b], at: place)
            default: for index in a..<b { changed.swapAt(index, (index + place) % whole.count) }
            }
            _ = refusal(reader, changed, "turn \(turn)")
        }
    }

    /// What is no regular file is refused at once: a pipe that nobody writes to would else be waited for.
    @Test func pipesAndFolders() throws {
        let scratch = try Scratch()
        try trainTiny(scratch("run"))
        let pipe = scratch("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        for path in [pipe, scratch.path, "/dev/zero"] {
            #expect(throws: DataFileError.self) { try IDX.read(path) }
            #expect(throws: SafeTensorsError.self) { try SafeTensorsFile.read(path) }
            #expect(throws: ConfigurationError.self) { try ConfigurationFile(path, allowed: []) }
        }
        for name in scratch.names(in: "run/last") {
            let path = scratch("run/last/" + name)
            let whole = contents(path)
            try FileManager.default.removeItem(atPath: path)
            #expect(mkfifo(path, 0o600) == 0)
            let error = #expect(throws: CheckpointError.self) { try Checkpoint(scratch("run/last")) }
            #expect(error?.description.contains(name) == true)
            try FileManager.default.removeItem(atPath: path)
            try write(whole, to: path)
        }
        _ = try Checkpoint(scratch("run/last"))
    }

    /// One flipped bit, at every bit of every file of a small checkpoint, is an error that names the file.
    @Test func everyBitOfACheckpoint() throws {
        let scratch = try Scratch()
        try trainTiny(scratch("run"))
        for name in scratch.names(in: "run/last") {
            let path = scratch("run/last/" + name)
            let whole = contents(path)
            let file = try #require(FileHandle(forUpdatingAtPath: path))
            defer { try? file.close() }
            for bit in 0..<(whole.count * 8) {
                for byte in [whole[bit / 8] ^ 1 << UInt8(bit % 8), whole[bit / 8]] {
                    try file.seek(toOffset: UInt64(bit / 8))
                    try file.write(contentsOf: [byte])
                    guard byte != whole[bit / 8] else { continue }
                    do {
                        _ = try Checkpoint(scratch("run/last"))
                        Issue.record("\(name), bit \(bit): accepted")
                    } catch let error as CheckpointError {
                        #expect(error.description.contains(name) || error.description.contains("state.json"))
                    }
                }
            }
            _ = try Checkpoint(scratch("run/last"))
        }
    }
}
