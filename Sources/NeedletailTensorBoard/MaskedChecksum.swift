// CRC-32C (Castagnoli), as event files carry it: rotated and offset, so that data which holds checksums stays safe.

/// The masked checksums of event files.
package enum MaskedChecksum {
    /// rotate right by 15 of the CRC-32C of `bytes`, + 0xA282EAD8.
    package static func of(_ bytes: some Sequence<UInt8>) -> UInt32 {
        let crc = crc32c(bytes)
        return (crc >> 15 | crc << 17) &+ 0xA282_EAD8
    }

    /// The CRC-32C of `bytes`: polynomial 0x1EDC6F41, bits reflected, begun and ended with all ones.
    package static func crc32c(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes { crc = table[Int((crc ^ UInt32(byte)) & 0xFF)] ^ (crc >> 8) }
        return ~crc
    }

    private static let table: [UInt32] = (0..<256).map { (byte: UInt32) in
        (0..<8).reduce(byte) { crc, _ in crc & 1 == 0 ? crc >> 1 : crc >> 1 ^ 0x82F6_3B78 }
    }
}
