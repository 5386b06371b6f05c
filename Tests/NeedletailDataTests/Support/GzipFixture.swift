// gzip data as the tests need them: with header fields, of several members, damaged.
import CZlib

enum GzipFixture {
    /// One member. `extra`, `fileName` and `comment` add those header fields, `headerChecksum` the header's CRC-16.
    static func member(
        _ content: [UInt8], extra: [UInt8]? = nil, fileName: String? = nil, comment: String? = nil,
        headerChecksum: Bool = false
    ) -> [UInt8] {
        let flags: UInt8 =
            (headerChecksum ? 2 : 0) | (extra == nil ? 0 : 4) | (fileName == nil ? 0 : 8) | (comment == nil ? 0 : 16)
        var bytes: [UInt8] = [0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 255]
        if let extra { bytes += [UInt8(extra.count & 255), UInt8(extra.count >> 8)] + extra }
        if let fileName { bytes += Array(fileName.utf8) + [0] }
        if let comment { bytes += Array(comment.utf8) + [0] }
        if headerChecksum {
            let sum = crc32(0, bytes, UInt32(bytes.count))
            bytes += [UInt8(sum & 255), UInt8(sum >> 8 & 255)]
        }
        return bytes + deflated(content) + littleEndian(UInt32(crc32(0, content, UInt32(content.count))))
            + littleEndian(UInt32(content.count))
    }

    static func littleEndian(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(value >> (8 * $0) & 255) } }

    /// Raw deflate data of `content`.
    private static func deflated(_ content: [UInt8]) -> [UInt8] {
        var stream = z_stream()
        var result = [UInt8](repeating: 0, count: content.count + content.count / 1000 + 64)
        var content = content
        content.withUnsafeMutableBufferPointer { input in
            result.withUnsafeMutableBufferPointer { output in
                // One call in one place: zlib's stream does not move between init and end.
                withUnsafeMutablePointer(to: &stream) { stream in
                    deflateInit2_(
                        stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
                        Int32(MemoryLayout<z_stream>.size))
                    stream.pointee.next_in = input.baseAddress
                    stream.pointee.avail_in = UInt32(input.count)
                    stream.pointee.next_out = output.baseAddress
                    stream.pointee.avail_out = UInt32(output.count)
                    deflate(stream, Z_FINISH)
                    deflateEnd(stream)
                }
            }
        }
        return Array(result[..<Int(stream.total_out)])
    }
}
