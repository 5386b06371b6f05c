// PNG files through libpng's simplified interface. The only file that knows libpng.
import CPNG
import Foundation
import NeedletailData
import NeedletailFiles

/// A PNG as 8-bit grayscale.
///
/// Any intact PNG is accepted. Colour becomes luminance by libpng's rule (the sRGB primaries' weights 0.2126, 0.7152,
/// 0.0722 in linear light, encoded as sRGB again), 16 bits a channel become 8, and transparency is composed on black.
/// Every chunk's checksum is verified, and nothing may follow the last one.
package struct PNGImage {
    /// The number of rows.
    package let height: Int
    /// The number of columns.
    package let width: Int
    /// Row by row, height x width bytes; 0 is black.
    package let pixels: [UInt8]

    /// The eight bytes that every PNG starts with.
    package static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    /// The size of the largest file that is read.
    package static let maximumByteCount = 64 << 20

    /// Reads the file at `path`, whose image must have the given size; throws `DataFileError`.
    package init(path: String, height: Int, width: Int) throws {
        let bytes: [UInt8]
        do {
            let file = try RegularFile(FilePath(path))
            guard file.size <= PNGImage.maximumByteCount else {
                throw DataFileError(
                    .size, file: path, found: "a PNG of \(file.size) bytes",
                    expected: "at most \(PNGImage.maximumByteCount) bytes", advice: "scale the image first")
            }
            bytes = try file.bytes(file.size)
        } catch let error as FileError {
            throw DataFileError(.unreadable, file: path, found: error.reason, expected: "a readable file")
        }
        try self.init(bytes, name: path, size: (height, width))
    }

    /// Decodes a file's bytes; `name` stands in errors, and another size than `size` is one. Throws `DataFileError`.
    package init(_ bytes: [UInt8], name: String, size: (height: Int, width: Int)? = nil) throws {
        let chunks = try PNGChunks(bytes, name: name)
        if let size, size != (chunks.height, chunks.width) {
            throw DataFileError(
                .size, file: name, found: "a PNG of \(chunks.height) x \(chunks.width) pixels",
                expected: "\(size.height) x \(size.width)", advice: "scale the image first")
        }
        (height, width) = (chunks.height, chunks.width)
        pixels = try PNGImage.decode(bytes, name: name, count: chunks.height * chunks.width)
    }

    private static func decode(_ bytes: [UInt8], name: String, count: Int) throws -> [UInt8] {
        var image = png_image()
        image.version = UInt32(PNG_IMAGE_VERSION)
        defer { png_image_free(&image) }
        // Without a background colour libpng composes on what the buffer holds: black.
        var decoded = [UInt8](repeating: 0, count: count)
        // libpng keeps the bytes' address from the beginning to the end.
        let isDecoded = bytes.withUnsafeBytes { bytes in
            guard png_image_begin_read_from_memory(&image, bytes.baseAddress, bytes.count) != 0,
                Int(image.width) * Int(image.height) == count
            else { return false }
            image.format = UInt32(PNG_FORMAT_GRAY)
            // Without it libpng takes 16-bit samples of a file that says nothing for linear light, and brightens them.
            image.flags |= UInt32(PNG_IMAGE_FLAG_16BIT_sRGB)
            return png_image_finish_read(&image, nil, &decoded, png_int_32(image.width), nil) != 0
        }
        guard isDecoded else {
            let message = withUnsafeBytes(of: image.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            throw DataFileError(
                .content, file: name, found: "a PNG with the fault \"\(message)\"", expected: "an intact PNG",
                advice: "save the image again")
        }
        return decoded
    }
}
