// IDX, gzip and PNG files that lie. The full list of IDX's refusals, with offsets, is in NeedletailDataTests.
import Needletail
import NeedletailPNG

extension MalformedFile {
    static let all = idx + gzip + png + safetensors + checkpoint + configuration

    private static func idx(_ shape: [UInt32], _ elements: [UInt8] = [], type: UInt8 = 8) -> [UInt8] {
        [0, 0, type, UInt8(shape.count)] + shape.flatMap { Sample.bigEndian($0) } + elements
    }

    private static let zeros = [UInt8](repeating: 0, count: 1 << 24)

    /// gzip data of 256 MB of zeros behind `start`.
    private static func bomb(_ start: [UInt8]) -> [UInt8] {
        let member = Sample.gzip(zeros)
        return Sample.gzip(start) + (0..<16).flatMap { _ in member }
    }

    private static let idx: [MalformedFile] = [
        ("2^60 bytes", idx([1 << 20, 1 << 20, 1 << 20], [1]), "expected 1152921504606846976 bytes"),
        (
            "2^60 bytes, gzipped", Sample.gzip(idx([1 << 20, 1 << 20, 1 << 20], [1])),
            "expected 1152921504606846976 bytes"
        ),
        ("a product that wraps to 0", idx([1 << 31, 1 << 31, 4]), "fits 63 bits"),
        ("a product that wraps, behind a zero", idx([0, .max, .max, .max]), "fits 63 bits"),
        ("a product that wraps, before a zero", idx([.max, .max, .max, 0]), "fits 63 bits"),
        ("255 sizes of 2^32 - 1", idx([UInt32](repeating: .max, count: 255)), "fits 63 bits"),
        ("255 sizes that are not there", [0, 0, 8, 255, 0, 0], "255 sizes"),
        ("no dimension", [0, 0, 8, 0], "0 dimensions"),
        ("an unknown type", idx([1], [1], type: 10), "element type 10"),
        ("another magic", [1] + idx([1], [1]), "0, 0"),
        ("half an element", idx([2], [1, 2, 3], type: 11), "expected 4 bytes"),
        ("bytes to spare", idx([2], [1, 2, 3]), "found more bytes"),
        ("8 bytes that are 256 MB", bomb(idx([8])), "found more bytes"),
        ("2^30 bytes that cannot be in 100", Sample.gzip(idx([1 << 30], [1])), "gzip data of at most"),
    ].map { name, bytes, says in MalformedFile(reader: .idx, name: name, bytes: { bytes }, says: says) }

    private static let gzip: [MalformedFile] = {
        let whole = Sample.gzip(Array("some text, some more text".utf8))
        func changed(_ index: Int, _ change: (inout UInt8) -> Void) -> [UInt8] {
            var bytes = whole
            change(&bytes[index])
            return bytes
        }
        return [
            ("a wrong checksum", changed(whole.count - 8) { $0 ^= 1 }, "incorrect data check"),
            ("a wrong length", changed(whole.count - 4) { $0 ^= 1 }, "incorrect length check"),
            ("another method", changed(2) { $0 = 9 }, "unknown compression method"),
            ("reserved flags", changed(3) { $0 = 0xE0 }, "unknown header flags"),
            (
                "an extra field longer than the file", Array(changed(3) { $0 = 4 }[..<10]) + [0xFF, 0xFF, 1],
                "end of the file"
            ),
            (
                "a name that never ends", Array(changed(3) { $0 = 8 }[..<10]) + [UInt8](repeating: 65, count: 1 << 20),
                "end of the file"
            ),
            ("an invalid block", Array(whole[..<10]) + [7, 0, 0, 0, 0, 0, 0, 0, 0], "invalid block type"),
            (
                "a distance before the beginning",
                Array(whole[..<10]) + [0x03, 0x02] + [UInt8](repeating: 0, count: 8), "invalid distance"
            ),
            ("nothing after the header", Array(whole[..<10]), "end of the file"),
            ("zeros after the last member", whole + [UInt8](repeating: 0, count: 512), "bytes after the gzip data"),
            ("a broken second member", whole + Array(whole[..<20]), "end of the file"),
        ].map { name, bytes, says in MalformedFile(reader: .gzip, name: name, bytes: { bytes }, says: says) }
    }()

    private static let png: [MalformedFile] = {
        let signature = PNGImage.signature
        let end = Sample.chunk("IEND", [])
        let pixels = Sample.chunk("IDAT", Sample.deflated([0, 1, 2, 3, 0, 4, 5, 6], windowBits: 15))
        let header = Sample.header(width: 3, height: 2)
        func sized(_ width: Int, _ height: Int) -> [UInt8] {
            signature + Sample.header(width: width, height: height) + pixels + end
        }
        let long: [UInt8] = [0x7F, 0xFF, 0xFF, 0xFF] + Array("IDAT".utf8)
        return [
            ("nothing", [], "eight bytes"),
            ("half a signature", Array(signature[..<4]), "eight bytes"),
            ("text", Array("P2\n3 2\n255\n".utf8), "eight bytes"),
            ("only a signature", signature, "end of the file"),
            ("a chunk of 2 GB", signature + header + long, "end of the file"),
            (
                "a chunk of 4 GB", signature + header + [0xFF, 0xFF, 0xFF, 0xFF] + Array("IDAT".utf8) + pixels,
                "end of the file"
            ),
            ("2^31 - 1 pixels a side", sized(1 << 31 - 1, 1 << 31 - 1), "2147483647"),
            ("negative sides", sized(0xFFFF_FFFF, 0x8000_0000), "4294967295"),
            ("no column", sized(0, 2), "2 x 0 pixels"),
            ("no row", sized(3, 0), "0 x 3 pixels"),
            ("a side above the limit", sized(16_385, 1), "1 x 16385"),
            (
                "a header of 12 bytes",
                signature + Sample.chunk("IHDR", [UInt8](repeating: 0, count: 12)) + pixels + end, "IHDR"
            ),
            ("another first chunk", signature + pixels + header + end, "IHDR"),
            ("no first chunk", signature + end, "IHDR"),
            ("no pixels", signature + header + end, "compressed pixels"),
            ("fewer pixels than claimed", sized(3, 3), "fault"),
            ("pixels that are no zlib data", signature + header + Sample.chunk("IDAT", [1, 2, 3, 4]) + end, "fault"),
            ("an unknown filter", Sample.png(width: 3, height: 2, rows: [9, 1, 2, 3, 9, 4, 5, 6]), "fault"),
            ("a bit depth of 3", signature + Sample.header(width: 3, height: 2, bitDepth: 3) + pixels + end, "fault"),
            ("an unknown critical chunk", signature + header + Sample.chunk("XXXX", [1]) + pixels + end, "fault"),
            ("no end", signature + header + pixels, "end of the file"),
            ("bytes to spare", Sample.png(width: 3, height: 2, rows: [0, 1, 2, 3, 0, 4, 5, 6]) + [0], "1 bytes after"),
            (
                "a wrong checksum", signature + header + pixels.dropLast() + [pixels.last! ^ 1] + end, "CRC-32"
            ),
            ("the largest sides without pixels", sized(1 << 14, 1 << 14), "compressed pixels"),
        ].map { name, bytes, says in MalformedFile(reader: .png, name: name, bytes: { bytes }, says: says) }
    }()
}
