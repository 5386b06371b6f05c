// Reading: nothing that the header says is believed, and no memory taken for data, before everything has been checked.
import Foundation
import NeedletailFiles
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
        try withFile(path) { file in
            let (header, _) = try readHeader(file)
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
        try withFile(path) { file in
            let (header, dataStart) = try readHeader(file)
            // Entries are in the order of their data: the file is read from front to back.
            return try content(header, where: isWanted) { range in
                try read(file, range.count, at: dataStart + range.lowerBound)
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

    private static func withFile<R>(_ path: String, _ body: (RegularFile) throws -> R) throws -> R {
        do {
            return try body(RegularFile(FilePath(path)))
        } catch let problem as SafeTensorsError.Problem {
            if case .headerTooLarge = problem, let count = SafeTensorsShard.filesOfIndex(at: FilePath(path)) {
                throw SafeTensorsError(file: path, problem: .shardIndex(count: count))
            }
            throw SafeTensorsError(file: path, problem: problem)
        } catch let error as FileError where error.isMissing {
            if let count = SafeTensorsShard.filesOfIndex(at: FilePath(path).extended(by: ".index.json")) {
                throw SafeTensorsError(file: path, problem: .shardIndex(count: count))
            }
            throw SafeTensorsError(file: path, problem: .unreadable("there is no such file; check the path"))
        } catch let error as FileError where error.systemError == EACCES {
            throw SafeTensorsError(
                file: path, problem: .unreadable("the file may not be read; check its permissions"))
        } catch let error as FileError {
            let index = FilePath(path).appending("model.safetensors.index.json")
            if let count = SafeTensorsShard.filesOfIndex(at: index) {
                throw SafeTensorsError(file: path, problem: .shardIndex(count: count))
            }
            throw SafeTensorsError(file: path, problem: .unreadable(error.reason))
        }
    }

    private static func readHeader(_ file: RegularFile) throws -> (header: SafeTensorsHeader, dataStart: Int) {
        let fileByteCount = file.size
        let headerCount = try headerByteCount(
            try read(file, min(8, fileByteCount), at: 0), fileByteCount: fileByteCount)
        var text: [UInt8] = []
        text.reserveCapacity(headerCount)
        // In pieces: one read of 100 MB would hold the header twice.
        while text.count < headerCount {
            text += try read(file, min(1 << 20, headerCount - text.count), at: 8 + text.count)
        }
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

    private static func read(_ file: RegularFile, _ count: Int, at offset: Int) throws -> [UInt8] {
        let bytes = try file.bytes(count, at: offset)
        guard bytes.count == count else {
            throw SafeTensorsError.Problem.unreadable("it became shorter while it was being read")
        }
        return bytes
    }

    private static func tensor(_ entry: Entry, _ dtype: DType, _ bytes: some Collection<UInt8>) throws -> Tensor {
        if dtype == .bool, let (index, byte) = bytes.enumerated().first(where: { $0.element > 1 }) {
            throw SafeTensorsError.Problem.invalidBool(tensor: entry.name, index: index, found: byte)
        }
        return Tensor(bytes: bytes, shape: entry.shape, dtype: dtype)
    }
}
