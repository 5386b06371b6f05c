// PNG files through libpng's simplified interface. The only file that knows libpng.
import CPNG

/// A PNG as 8-bit grayscale.
///
/// Any PNG is accepted. Colour becomes luminance by libpng's rule (the sRGB primaries' weights 0.2126, 0.7152, 0.0722
/// in linear light, encoded as sRGB again), 16 bits a channel become 8, and transparency is composed on black.
struct PNGImage {
    let height: Int
    let width: Int
    /// Row by row, height x width bytes; 0 is black.
    let pixels: [UInt8]

    static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    /// Refused before any pixel is decoded: a small file can claim a size that fills the memory.
    private static let largestSide = 1 << 14

    init(path: String) throws {
        var image = png_image()
        image.version = UInt32(PNG_IMAGE_VERSION)
        defer { png_image_free(&image) }
        guard png_image_begin_read_from_file(&image, path) != 0 else {
            throw CommandError.data("\(path): not a readable PNG: \(Self.message(of: image))")
        }
        guard Int(image.width) <= Self.largestSide, Int(image.height) <= Self.largestSide else {
            throw CommandError.data(
                "\(path): the PNG is \(image.height) x \(image.width); no side may exceed \(Self.largestSide)")
        }
        image.format = UInt32(PNG_FORMAT_GRAY)
        // Without it libpng takes 16-bit samples of a file that says nothing for linear light, and brightens them.
        image.flags |= UInt32(PNG_IMAGE_FLAG_16BIT_sRGB)
        // Without a background colour libpng composes on what the buffer holds: black.
        var decoded = [UInt8](repeating: 0, count: Int(image.width) * Int(image.height))
        guard png_image_finish_read(&image, nil, &decoded, png_int_32(image.width), nil) != 0 else {
            throw CommandError.data("\(path): damaged PNG: \(Self.message(of: image))")
        }
        height = Int(image.height)
        width = Int(image.width)
        pixels = decoded
    }

    private static func message(of image: png_image) -> String {
        withUnsafeBytes(of: image.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
