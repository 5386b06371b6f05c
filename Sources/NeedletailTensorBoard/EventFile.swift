// The file that TensorBoard reads: records of protocol buffers with checksums.
import Foundation
import NeedletailFiles
import NeedletailTrainer
import SwiftProtobuf

/// Appends events to a file of its own.
///
/// A record is length (8 bytes), masked CRC-32C of these (4), the event, masked CRC-32C of the event (4), all
/// little-endian, written at once: a reader, also after a crash, finds whole records and at most a part of the last one.
final class EventFile {
    let path: String
    private let file: LogFile
    private let clock: () -> Double

    /// A new file in `directory`, which is made where it is missing; a file that another writer has begun is left alone.
    init(in directory: String, clock: @escaping () -> Double) throws {
        let stem =
            "\(directory)/events.out.tfevents.\(Int(clock())).needletail.\(ProcessInfo.processInfo.processIdentifier)."
        file = try LogFile.unused { stem + "\($0)" }
        path = file.path
        self.clock = clock
        do { try write { $0.fileVersion = "brain.Event:2" } } catch {
            try? FileSystem.removeFile(FilePath(path))
            throw error
        }
    }

    /// Appends one value.
    func write(_ tag: String, step: Int, _ fill: (inout ProtoSummary.Value) -> Void) throws {
        var value = ProtoSummary.Value()
        value.tag = tag
        fill(&value)
        try write([value], step: step)
    }

    /// Appends values of one step as one event.
    func write(_ values: [ProtoSummary.Value], step: Int) throws {
        try write {
            $0.step = Int64(step)
            $0.summary.value = values
        }
    }

    private func write(_ fill: (inout ProtoEvent) -> Void) throws {
        var event = ProtoEvent()
        event.wallTime = clock()
        fill(&event)
        try file.append(EventFile.record(of: try event.serializedBytes()))
    }

    /// The bytes of a record.
    static func record(of event: [UInt8]) -> [UInt8] {
        let length = littleEndian(UInt64(event.count))
        return length + littleEndian(MaskedChecksum.of(length)) + event + littleEndian(MaskedChecksum.of(event))
    }

    private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
