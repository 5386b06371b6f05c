// The bytes of a regular file, or of an array in memory, read in order.
import Foundation

/// Bytes as they are stored, read in order.
final class StoredBytes {
    let name: String
    /// The number of bytes in all.
    let count: Int
    /// The first two bytes, or fewer where there are no more.
    let prefix: [UInt8]

    private let descriptor: Int32
    private let memory: [UInt8]
    private var position = 0

    /// Opens a file. Throws `DataFileError.unreadable` for what is not a readable regular file.
    init(path: String) throws {
        name = path
        memory = []
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)  // a pipe would else wait for a writer
        guard descriptor >= 0 else { throw StoredBytes.unreadable(path, errno) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw DataFileError(
                .unreadable, file: path, found: "a folder or device", expected: "a regular file")
        }
        count = Int(status.st_size)
        var start = [UInt8](repeating: 0, count: 2)
        let got = pread(descriptor, &start, 2, 0)
        prefix = Array(start.prefix(max(got, 0)))
    }

    /// Reads from memory.
    init(_ bytes: [UInt8], name: String) {
        self.name = name
        memory = bytes
        descriptor = -1
        count = bytes.count
        prefix = Array(bytes.prefix(2))
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Fills `buffer` as far as bytes are left; returns how many were. Throws where the system cannot read.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if descriptor < 0 {
            let end = min(position + buffer.count, memory.count)
            buffer.copyBytes(from: memory[position..<end])
            defer { position = end }
            return end - position
        }
        var filled = 0
        while filled < buffer.count {
            // One read of at most 1 GB: the system's own limit lies at 2 GB.
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let got = Foundation.read(descriptor, rest.baseAddress, min(rest.count, 1 << 30))
            if got < 0 && errno == EINTR { continue }
            if got < 0 { throw StoredBytes.unreadable(name, errno) }
            if got == 0 { break }
            filled += got
        }
        return filled
    }

    private static func unreadable(_ path: String, _ code: Int32) -> DataFileError {
        DataFileError(
            .unreadable, file: path, found: String(cString: strerror(code)).lowercased(), expected: "a readable file")
    }
}
