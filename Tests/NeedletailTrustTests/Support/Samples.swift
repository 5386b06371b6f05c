// A small valid file for each reader.
import CZlib
import Needletail
import NeedletailPNG
import UntrustedInputs

enum Sample {
    /// A small valid input of `reader`.
    static func bytes(for reader: UntrustedReader) throws -> [UInt8] {
        switch reader {
        case .idx: idx
        case .gzip: gzip(idx)
        case .safetensors:
            try SafeTensorsFile.encode(
                tensors: [
                    ("a", .ones([2, 3])), ("b", .ones([2], dtype: .bool)), ("c", .zeros([3, 0], dtype: .float16)),
                ],
                metadata: ["k": "v"])
        case .checkpoint: try stateJSON()
        case .png: png(width: 3, height: 2, rows: [[0, 1, 2, 3], [0, 4, 5, 6]].flatMap { $0 })
        case .configuration: configuration
        }
    }

    static let idx: [UInt8] = [0, 0, 11, 2, 0, 0, 0, 2, 0, 0, 0, 3] + (1...12).map { UInt8($0) }

    /// A value of each kind that options have.
    static let configuration = Array(
        #"{"epochs": 3, "learning-rate": 1e-3, "keep": ["a.*=float32", 'b'], "quiet": true, "data": null}"#.utf8)

    /// The JSON of a real state.json, without its checksum.
    static func stateJSON() throws -> [UInt8] {
        let scratch = try Scratch()
        try trainTiny(scratch("run"))
        return [UInt8(ascii: "{")] + contents(scratch("run/last/state.json")).dropFirst(20)  // {"crc32":"xxxxxxxx",
    }

    /// One member of gzip data.
    static func gzip(_ content: [UInt8]) -> [UInt8] {
        let length = UInt32(truncatingIfNeeded: content.count)
        return [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255] + deflated(content, windowBits: -15)
            + bigEndian(CRC32.checksum(content)).reversed() + bigEndian(length).reversed()
    }

    /// A chunk of a PNG, with its checksum.
    static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        bigEndian(UInt32(data.count)) + Array(type.utf8) + data + bigEndian(CRC32.checksum(Array(type.utf8) + data))
    }

    /// An 8-bit grayscale PNG; `rows` are its lines, each with a filter byte before it.
    static func png(width: Int, height: Int, rows: [UInt8], bitDepth: UInt8 = 8) -> [UInt8] {
        PNGImage.signature + header(width: width, height: height, bitDepth: bitDepth)
            + chunk("IDAT", deflated(rows, windowBits: 15)) + chunk("IEND", [])
    }

    /// The IHDR chunk of a grayscale PNG.
    static func header(width: Int, height: Int, bitDepth: UInt8 = 8) -> [UInt8] {
        chunk("IHDR", bigEndian(UInt32(width)) + bigEndian(UInt32(height)) + [bitDepth, 0, 0, 0, 0])
    }

    static func bigEndian(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
    }

    /// zlib data of `content`: raw for a negative window, else with zlib's header.
    static func deflated(_ content: [UInt8], windowBits: Int32) -> [UInt8] {
        var stream = z_stream()
        var result = [UInt8](repeating: 0, count: content.count + content.count / 1000 + 64)
        var content = content
        content.withUnsafeMutableBufferPointer { input in
            result.withUnsafeMutableBufferPointer { output in
                // One call in one place: zlib's stream does not move between init and end.
                withUnsafeMutablePointer(to: &stream) { stream in
                    deflateInit2_(
                        stream, 6, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
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
