// The content of a data file, gzipped or not, as a stream of bytes.

/// The content of a data file in order: inflated where the file starts with gzip's two magic bytes, else as it is.
package final class ByteStream {
    /// The file's path, for error messages.
    package let name: String
    /// The number of content bytes read so far.
    package private(set) var offset = 0
    /// An upper bound of the content's size; exact where the file is not compressed.
    package let greatestSize: Int
    /// Whether the file is gzip.
    package let isCompressed: Bool

    private let source: StoredBytes
    private let inflater: GzipInflater?

    /// The content of a file. Throws `DataFileError.unreadable`.
    package convenience init(path: String) throws { try self.init(StoredBytes(path: path)) }

    /// Content from memory, named for error messages.
    package convenience init(_ bytes: [UInt8], name: String) throws { try self.init(StoredBytes(bytes, name: name)) }

    private init(_ source: StoredBytes) throws {
        name = source.name
        self.source = source
        isCompressed = source.prefix == [0x1F, 0x8B]
        inflater = isCompressed ? try GzipInflater(source) : nil
        let (product, overflow) = source.count.multipliedReportingOverflow(by: GzipInflater.greatestRatio)
        greatestSize = isCompressed ? (overflow ? .max : product) : source.count
    }

    /// The next `count` bytes, fewer only at the end of the content. Memory for all of them is taken at once: ask for
    /// no more than `greatestSize`.
    package func read(_ count: Int) throws -> [UInt8] {
        let bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = try take(into: UnsafeMutableRawBufferPointer(buffer))
        }
        offset += bytes.count
        return bytes
    }

    /// The next bytes into `buffer`; returns how many there were, fewer than it holds only at the end of the content.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try take(into: buffer)
        offset += count
        return count
    }

    /// Reads on to the end, or to `limit` bytes; returns the number of bytes read and their CRC-32.
    package func checksum(limit: Int) throws -> (count: Int, crc32: UInt32) {
        var (count, checksum) = (0, UInt32(0))
        while count < limit {
            let bytes = try read(min(1 << 20, limit - count))
            if bytes.isEmpty { break }
            checksum = CRC32.checksum(bytes, after: checksum)
            count += bytes.count
        }
        return (count, checksum)
    }

    private func take(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try inflater?.read(into: buffer) ?? source.read(into: buffer)
    }
}
