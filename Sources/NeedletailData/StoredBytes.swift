// The bytes of a regular file, or of an array in memory, read in order.
import Foundation
import NeedletailFiles

/// Bytes as they are stored, read in order.
final class StoredBytes {
    let name: String
    /// The number of bytes in all.
    let count: Int
    /// The first two bytes, or fewer where there are no more.
    let prefix: [UInt8]

    private let file: RegularFile?
    private let memory: [UInt8]
    private var position = 0

    /// Opens a file. Throws `DataFileError.unreadable` for what is not a readable regular file.
    init(path: String) throws {
        name = path
        memory = []
        do {
            let file = try RegularFile(FilePath(path))
            self.file = file
            count = file.size
            prefix = try file.bytes(2)
        } catch let error as FileError {
            throw StoredBytes.unreadable(error, path)
        }
    }

    /// Reads from memory.
    init(_ bytes: [UInt8], name: String) {
        self.name = name
        memory = bytes
        file = nil
        count = bytes.count
        prefix = Array(bytes.prefix(2))
    }

    /// Fills `buffer` as far as bytes are left; returns how many were. Throws where the system cannot read.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard let file else {
            let end = min(position + buffer.count, memory.count)
            buffer.copyBytes(from: memory[position..<end])
            defer { position = end }
            return end - position
        }
        do {
            let filled = try file.read(into: buffer, at: position)
            position += filled
            return filled
        } catch let error as FileError {
            throw StoredBytes.unreadable(error, name)
        }
    }

    static func unreadable(_ error: FileError, _ path: String) -> DataFileError {
        if error.reason == RegularFile.expectation {
            return DataFileError(
                .unreadable, file: path, found: "a folder, pipe or device", expected: "a regular file")
        }
        return DataFileError(
            .unreadable, file: path, found: error.reason.lowercased(), expected: "a readable file")
    }
}
