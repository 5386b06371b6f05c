import NeedletailData
import Testing

@Suite struct CRC32Tests {
    /// The check value that the CRC catalogues list for "123456789".
    @Test func knownAnswer() {
        let digits = Array("123456789".utf8)
        #expect(CRC32.checksum(digits) == 0xCBF4_3926)
        #expect(CRC32.text(digits) == "cbf43926")
        #expect(CRC32.text([]) == "00000000")
    }

    @Test func piecesGiveTheChecksumOfTheWhole() {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) }
        let first = CRC32.checksum(Array(bytes[..<333]))
        #expect(CRC32.checksum(Array(bytes[333...]), after: first) == CRC32.checksum(bytes))
    }
}
