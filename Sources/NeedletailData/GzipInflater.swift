// gzip by zlib, pulled by the reader: no more is inflated than is asked for, so a gzip bomb costs only what it is
// claimed to hold.
import CZlib

/// Inflates gzip data of one or more members, in order.
///
/// Refused, as `DataFileError`: data that end inside a member, a wrong checksum or length, codes that make no sense,
/// and bytes after the last member that start no other one. Extra fields, names, comments and header checksums are
/// accepted.
final class GzipInflater {
    /// The most bytes that one byte of deflate data can stand for (zlib's documented limit).
    static let greatestRatio = 1032

    private let source: StoredBytes
    // zlib keeps the stream's address, so the stream must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private let input: UnsafeMutableRawBufferPointer
    /// The number of stored bytes handed to zlib.
    private var supplied = 0
    /// The place in `source` where the present member starts.
    private var memberStart = 0
    private var isBetweenMembers = false

    init(_ source: StoredBytes) throws {
        self.source = source
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        input = .allocate(byteCount: 1 << 16, alignment: 16)
        // 15 is the greatest window; adding 16 takes gzip and nothing else.
        let code = inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard code == Z_OK else { throw failure(code) }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        input.deallocate()
    }

    /// Fills `buffer` as far as there are data left; returns how many bytes were. Where it returns less than asked for,
    /// the checksums of all members have been verified.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var filled = 0
        while filled < buffer.count {
            if isBetweenMembers {
                if stream.pointee.avail_in == 0 {
                    guard try refill() else { break }
                }
                inflateReset(stream)
                memberStart = consumed
                isBetweenMembers = false
            }
            let rest = buffer[filled...].prefix(1 << 30)
            stream.pointee.next_out = rest.baseAddressOfBytes
            stream.pointee.avail_out = UInt32(rest.count)
            let code = inflate(stream, Z_NO_FLUSH)
            filled += rest.count - Int(stream.pointee.avail_out)
            switch code {
            case Z_OK: break
            case Z_STREAM_END: isBetweenMembers = true
            case Z_BUF_ERROR:  // nothing can be done without more input
                guard try refill() else { throw truncated }
            default: throw failure(code)
            }
        }
        return filled
    }

    /// The number of stored bytes that zlib has used.
    private var consumed: Int { supplied - Int(stream.pointee.avail_in) }

    /// Takes the next stored bytes; false where there are none.
    private func refill() throws -> Bool {
        let count = try source.read(into: input)
        supplied += count
        stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_in = UInt32(count)
        return count > 0
    }

    private var truncated: DataFileError {
        // The shortest member has 18 bytes.
        if memberStart > 0 && supplied - memberStart < 18 { return trailing }
        return DataFileError(
            .truncated, file: source.name, offset: supplied, found: "the end of the file inside gzip data",
            expected: "the rest of the gzip data", advice: "copy or download the file again")
    }

    private var trailing: DataFileError {
        DataFileError(
            .trailing, file: source.name, offset: memberStart, found: "bytes after the gzip data",
            expected: "the end of the file or another gzip member")
    }

    private func failure(_ code: Int32) -> DataFileError {
        if memberStart > 0 && stream.pointee.total_out == 0 && stream.pointee.total_in <= 2 {
            return trailing
        }
        let reason = stream.pointee.msg.map { String(cString: $0) } ?? "zlib's code \(code)"
        return DataFileError(
            .gzip, file: source.name, offset: consumed, found: "gzip data with the fault \"\(reason)\"",
            expected: "intact gzip data", advice: "copy or download the file again")
    }
}

extension Slice<UnsafeMutableRawBufferPointer> {
    /// The address of the slice's first byte.
    fileprivate var baseAddressOfBytes: UnsafeMutablePointer<UInt8>? {
        UnsafeMutableRawBufferPointer(rebasing: self).baseAddress?.assumingMemoryBound(to: UInt8.self)
    }
}
