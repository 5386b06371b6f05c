// CRC-32 as in zlib and PNG: finds every flipped bit and every burst of up to 32.

/// The CRC-32 of bytes (polynomial 0xEDB88320, reflected), eight bytes a round.
struct CRC32 {
    /// table[k][b] is the checksum of byte b followed by k zero bytes; flattened.
    private static let table: [UInt32] = {
        var table = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var value = UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 0 ? value >> 1 : value >> 1 ^ 0xEDB8_8320 }
            table[byte] = value
        }
        for index in 256..<8 * 256 { table[index] = table[index - 256] >> 8 ^ table[Int(table[index - 256] & 0xFF)] }
        return table
    }()

    /// The checksum of `bytes`.
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        let table = table
        var state = ~UInt32(0), word: UInt64 = 0, filled: UInt64 = 0
        for byte in bytes {
            word |= UInt64(byte) << (8 * filled)
            filled += 1
            guard filled == 8 else { continue }
            word ^= UInt64(state)
            state = 0
            for k in 0..<8 {
                state ^= table[(7 - k) << 8 | Int(truncatingIfNeeded: word >> UInt64(8 * k) & 0xFF)]
            }
            word = 0
            filled = 0
        }
        while filled > 0 {
            state = state >> 8 ^ table[Int((state ^ UInt32(truncatingIfNeeded: word)) & 0xFF)]
            word >>= 8
            filled -= 1
        }
        return ~state
    }

    /// The checksum as eight lower-case hexadecimal digits.
    static func text(_ bytes: some Sequence<UInt8>) -> String {
        let digits = String(checksum(bytes), radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
