// A PNG's chunks, gone through before libpng sees them: it checks neither what follows the last pixel nor that the file
// ends where it should, and it takes memory for whatever size the header claims.
import NeedletailData

/// The size of a PNG whose chunks are whole: every checksum right, IHDR first, IEND last, and nothing after it.
struct PNGChunks {
    let height: Int
    let width: Int

    /// Refused before any pixel is decoded: a small file can claim a size that fills the memory.
    private static let largestSide = 1 << 14

    /// Goes through a file's bytes; throws `DataFileError`.
    init(_ bytes: [UInt8], name: String) throws {
        guard bytes.starts(with: PNGImage.signature) else {
            let isCut = PNGImage.signature.starts(with: bytes)
            throw DataFileError(
                isCut ? .truncated : .magic, file: name, offset: 0,
                found: isCut ? "the end of the file" : "other bytes",
                expected: "the eight bytes that every PNG starts with")
        }
        var offset = PNGImage.signature.count
        var size: (height: Int, width: Int)?
        var storedPixelBytes = 0
        while true {
            let chunk = try PNGChunks.chunk(of: bytes, at: offset, name)
            if size == nil { size = try PNGChunks.size(in: chunk, of: bytes, at: offset, name) }
            offset = chunk.end
            if chunk.type == "IDAT" { storedPixelBytes += chunk.data.count }
            if chunk.type == "IEND" { break }
        }
        guard offset == bytes.count, let size else {
            throw DataFileError(
                .trailing, file: name, offset: offset,
                found: "\(bytes.count - offset) bytes after the PNG's last chunk",
                expected: "the end of the file", advice: "save the image again")
        }
        (height, width) = size
        // A row has a byte for its filter and at least a bit a pixel; zlib makes at most 1032 bytes of one.
        let least = height * (1 + (width + 7) / 8)
        guard storedPixelBytes * 1032 >= least else {
            throw DataFileError(
                .truncated, file: name, found: "\(storedPixelBytes) bytes of compressed pixels",
                expected: "those of \(height) x \(width) pixels, \(least) bytes or more", advice: "save the image again"
            )
        }
    }

    /// A chunk: length, type, data, CRC-32 of type and data; the numbers are big-endian.
    private struct Chunk {
        let type: String
        let data: Range<Int>
        let end: Int
    }

    private static func chunk(of bytes: [UInt8], at offset: Int, _ name: String) throws -> Chunk {
        guard bytes.count - offset >= 12, case let length = number(bytes, at: offset),
            length <= bytes.count - offset - 12
        else {
            throw DataFileError(
                .truncated, file: name, offset: bytes.count, found: "the end of the file",
                expected: "the rest of the PNG chunk at byte \(offset)", advice: "copy or save the image again")
        }
        let data = (offset + 8)..<(offset + 8 + length)
        let type = String(decoding: bytes[(offset + 4)..<(offset + 8)], as: UTF8.self)
        let found = CRC32.text(Array(bytes[(offset + 4)..<data.upperBound]))
        let expected = CRC32.text(number(bytes, at: data.upperBound))
        guard found == expected else {
            throw DataFileError(
                .checksum, file: name, offset: offset, found: "a PNG chunk with CRC-32 \(found)", expected: expected,
                advice: "copy or save the image again")
        }
        return Chunk(type: type, data: data, end: data.upperBound + 4)
    }

    /// The size that the first chunk states.
    private static func size(
        in chunk: Chunk, of bytes: [UInt8], at offset: Int, _ name: String
    ) throws -> (height: Int, width: Int) {
        guard chunk.type == "IHDR", chunk.data.count == 13 else {
            throw DataFileError(
                .content, file: name, offset: offset, found: "a PNG chunk \(chunk.type) of \(chunk.data.count) bytes",
                expected: "IHDR of 13 bytes", advice: "save the image again")
        }
        let width = number(bytes, at: chunk.data.lowerBound)
        let height = number(bytes, at: chunk.data.lowerBound + 4)
        guard (1...largestSide).contains(width), (1...largestSide).contains(height) else {
            throw DataFileError(
                .size, file: name, offset: chunk.data.lowerBound, found: "a PNG of \(height) x \(width) pixels",
                expected: "sides of 1 to \(largestSide)", advice: "scale the image first")
        }
        return (height, width)
    }

    private static func number(_ bytes: [UInt8], at offset: Int) -> Int {
        bytes[offset..<(offset + 4)].reduce(0) { $0 << 8 | Int($1) }
    }
}
