// CRC-32 as in gzip and PNG, by zlib: finds every flipped bit and every burst of up to 32.
import CZlib

/// The checksum of bytes that files carry beside them.
package enum CRC32 {
    /// The checksum continued over more bytes; of nothing it is 0.
    package static func checksum(_ bytes: [UInt8], after previous: UInt32 = 0) -> UInt32 {
        if bytes.isEmpty { return previous }  // zlib takes an empty buffer for a request of the initial value
        return UInt32(truncatingIfNeeded: crc32_z(uLong(previous), bytes, bytes.count))
    }

    /// The checksum as eight lower-case hexadecimal digits.
    package static func text(_ bytes: [UInt8]) -> String { text(Int(checksum(bytes))) }

    /// A checksum, a number of 32 bits, as eight lower-case hexadecimal digits.
    package static func text(_ checksum: Int) -> String {
        let digits = String(checksum, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
