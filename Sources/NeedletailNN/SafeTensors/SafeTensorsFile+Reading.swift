// Reading: nothing that the header says is believed, and no memory taken for data, before everything has been checked.
import Foundation
public import NeedletailTensor

extension SafeTensorsFile {
    /// Reads the tensors and the metadata of the file at `path`. Tensors of types that cannot be read are skipped; ``inspect(_:)``
    /// lists them too, and ``Module/load(safeTensors:except:strict:)`` says which of them a module needs.
    ///
    /// A file that is not exactly what the format says is refused with a `SafeTensorsError` before any data is read;
    /// refusing takes less than 300 MB and 5 seconds, whatever the file holds.
    public static func read(_ path: String) throws -> (tensors: [String: Tensor], metadata: [String: String]) {
        let content = try content(of: path)
        return (content.tensors, content.metadata)
    }

    /// Reads the tensors of these names of the file at `path`, and no other.
    ///
    /// - Throws: `SafeTensorsError` as `read(_:)`, where a name is not in the file, and where its tensor has a type that cannot be
    ///   read.
    public static func read(_ path: String, names: [String]) throws -> [String: Tensor] {
        let wanted = Set(names)
        let content = try content(of: path) { wanted.contains($0) }
        if let entry = content.unread.first {
            throw SafeTensorsError(file: path, problem: .unreadableType(tensor: entry.name, type: entry.type))
        }
        if let name = names.first(where: { content.tensors[$0] == nil }) {
            throw SafeTensorsError(file: path, problem: .missingTensor(name))
        }
        return content.tensors
    }

    /// Reads only what the header of the file at `path` says, entries in the order of their data and of all types; checks as
    /// `read` does.
    public static func inspect(_ path: String) throws -> (entries: [Entry], metadata: [String: String]) {
        try withFile(path) { file, byteCount in
            let (header, _) = try readHeader(file, byteCount)
            return (header.entries, header.metadata)
        }
    }

    /// Reads the tensors and the metadata from a file's bytes; skips as `read` does.
    public static func decode(_ bytes: [UInt8]) throws -> (tensors: [String: Tensor], metadata: [String: String]) {
        let content = try content(decoding: bytes)
        return (content.tensors, content.metadata)
    }

    /// Reads those tensors of the file at `path` whose names are wanted.
    package static func content(
        of path: String, where isWanted: (_ name: String) -> Bool = { _ in true }
    ) throws -> Content {
        try withFile(path) { file, byteCount in
            let (header, dataStart) = try readHeader(file, byteCount)
            // Entries are in the order of their data: the file is read from front to back.
            return try content(header, where: isWanted) { range in
                try file.seek(toOffset: UInt64(dataStart + range.lowerBound))
                return try read(file, range.count)
            }
        }
    }

    /// Reads the tensors from a file's bytes.
    package static func content(decoding bytes: [UInt8]) throws -> Content {
        do {
            let headerCount = try headerByteCount(bytes.prefix(8), fileByteCount: bytes.count)
            let dataStart = 8 + headerCount
            let header = try SafeTensorsHeader(
                parsing: Array(bytes[8..<dataStart]), dataByteCount: bytes.count - dataStart)
            return try content(header, where: { _ in true }) { range in
                bytes[dataStart + range.lowerBound..<dataStart + range.upperBound]
            }
        } catch let problem as SafeTensorsError.Problem {
            throw SafeTensorsError(file: nil, problem: problem)
        }
    }

    private static func content<Bytes: Collection<UInt8>>(
        _ header: SafeTensorsHeader, where isWanted: (String) -> Bool, _ data: (Range<Int>) throws -> Bytes
    ) throws -> Content {
        var content = Content(metadata: header.metadata)
        for entry in header.entries where isWanted(entry.name) {
            if let dtype = entry.dtype {
                content.tensors[entry.name] = try tensor(entry, dtype, data(entry.range))
            } else {
                content.unread.append(entry)
            }
        }
        return content
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

    private static func readHeader(
        _ file: FileHandle, _ fileByteCount: Int
    ) throws -> (header: SafeTensorsHeader, dataStart: Int) {
        let headerCount = try headerByteCount(try read(file, min(8, fileByteCount)), fileByteCount: fileByteCount)
        var text: [UInt8] = []
        text.reserveCapacity(headerCount)
        // In pieces: one read of 100 MB would hold the header twice.
        while text.count < headerCount { text += try read(file, min(1 << 20, headerCount - text.count)) }
        return (try SafeTensorsHeader(parsing: text, dataByteCount: fileByteCount - 8 - headerCount), 8 + headerCount)
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

    private static func tensor(_ entry: Entry, _ dtype: DType, _ bytes: some Collection<UInt8>) throws -> Tensor {
        if dtype == .bool, let (index, byte) = bytes.enumerated().first(where: { $0.element > 1 }) {
            throw SafeTensorsError.Problem.invalidBool(tensor: entry.name, index: index, found: byte)
        }
        return Tensor(bytes: bytes, shape: entry.shape, dtype: dtype)
    }
}
