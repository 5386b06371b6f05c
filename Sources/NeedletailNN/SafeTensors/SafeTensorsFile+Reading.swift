// Reading: nothing that the header says is believed, and no memory taken for data, before everything has been checked.
import Foundation
public import NeedletailTensor

extension SafeTensorsFile {
    /// Reads all tensors and the metadata of the file at `path`.
    ///
    /// A file that is not exactly what the format says is refused with a `SafeTensorsError` before any data is read;
    /// refusing takes less than 300 MB and 5 seconds, whatever the file holds.
    public static func read(_ path: String) throws -> (tensors: [String: Tensor], metadata: [String: String]) {
        try withFile(path) { file, byteCount in
            let header = try readHeader(file, byteCount)
            var tensors: [String: Tensor] = [:]
            tensors.reserveCapacity(header.entries.count)
            // Entries are in the order of their data, without holes: the file is read from front to back.
            for entry in header.entries {
                tensors[entry.name] = try tensor(entry, try read(file, entry.range.count))
            }
            return (tensors, header.metadata)
        }
    }

    /// Reads only what the header of the file at `path` says, entries in the order of their data; checks as `read`
    /// does.
    public static func inspect(_ path: String) throws -> (entries: [Entry], metadata: [String: String]) {
        try withFile(path) { file, byteCount in
            let header = try readHeader(file, byteCount)
            return (header.entries, header.metadata)
        }
    }

    /// Reads all tensors and the metadata from a file's bytes.
    public static func decode(_ bytes: [UInt8]) throws -> (tensors: [String: Tensor], metadata: [String: String]) {
        do {
            let headerCount = try headerByteCount(bytes.prefix(8), fileByteCount: bytes.count)
            let dataStart = 8 + headerCount
            let header = try SafeTensorsHeader(
                parsing: Array(bytes[8..<dataStart]), dataByteCount: bytes.count - dataStart)
            var tensors: [String: Tensor] = [:]
            for entry in header.entries {
                let range = dataStart + entry.range.lowerBound..<dataStart + entry.range.upperBound
                tensors[entry.name] = try tensor(entry, bytes[range])
            }
            return (tensors, header.metadata)
        } catch let problem as SafeTensorsError.Problem {
            throw SafeTensorsError(file: nil, problem: problem)
        }
    }

    private static func withFile<R>(_ path: String, _ body: (FileHandle, _ byteCount: Int) throws -> R) throws -> R {
        do {
            let attributes = try FileManager.default.attributesOfItem(atPath: resolvingLinks(path))
            guard attributes[.type] as? FileAttributeType == .typeRegular, let size = attributes[.size] as? NSNumber
            else {
                throw SafeTensorsError.Problem.unreadable("found a folder, pipe or device, expected a file")
            }
            guard let file = FileHandle(forReadingAtPath: path) else {
                throw SafeTensorsError.Problem.unreadable("the file may not be read; check its permissions")
            }
            defer { try? file.close() }
            return try body(file, size.intValue)
        } catch let problem as SafeTensorsError.Problem {
            throw SafeTensorsError(file: path, problem: problem)
        } catch let error as CocoaError where error.code == .fileReadNoSuchFile {
            throw SafeTensorsError(file: path, problem: .unreadable("there is no such file; check the path"))
        } catch let error as CocoaError {
            throw SafeTensorsError(file: path, problem: .unreadable(error.localizedDescription))
        }
    }

    private static func resolvingLinks(_ path: String) -> String {
        URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    }

    private static func readHeader(_ file: FileHandle, _ fileByteCount: Int) throws -> SafeTensorsHeader {
        let headerCount = try headerByteCount(try read(file, min(8, fileByteCount)), fileByteCount: fileByteCount)
        var text: [UInt8] = []
        text.reserveCapacity(headerCount)
        // In pieces: one read of 100 MB would hold the header twice.
        while text.count < headerCount { text += try read(file, min(1 << 20, headerCount - text.count)) }
        return try SafeTensorsHeader(parsing: text, dataByteCount: fileByteCount - 8 - headerCount)
    }

    private static func headerByteCount(_ prefix: some Collection<UInt8>, fileByteCount: Int) throws -> Int {
        guard prefix.count == 8 else { throw SafeTensorsError.Problem.tooShort(byteCount: fileByteCount) }
        let count = prefix.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard count <= UInt64(maximumHeaderByteCount) else {
            throw SafeTensorsError.Problem.headerTooLarge(byteCount: count)
        }
        guard count <= UInt64(fileByteCount - 8) else {
            throw SafeTensorsError.Problem.headerBeyondFile(byteCount: count, available: fileByteCount - 8)
        }
        return Int(count)
    }

    private static func read(_ file: FileHandle, _ count: Int) throws -> Data {
        var data = Data()
        // One system call gives at most 2 GiB.
        while data.count < count {
            guard let piece = try file.read(upToCount: min(1 << 30, count - data.count)), !piece.isEmpty else {
                throw SafeTensorsError.Problem.unreadable("it became shorter while it was being read")
            }
            if data.isEmpty { data = piece } else { data += piece }
        }
        return data
    }

    private static func tensor(_ entry: Entry, _ bytes: some Collection<UInt8>) throws -> Tensor {
        if entry.dtype == .bool, let (index, byte) = bytes.enumerated().first(where: { $0.element > 1 }) {
            throw SafeTensorsError.Problem.invalidBool(tensor: entry.name, index: index, found: byte)
        }
        return Tensor(bytes: bytes, shape: entry.shape, dtype: entry.dtype)
    }
}
