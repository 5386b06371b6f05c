// An image given to `needletail predict`: PNG, raw bytes or IDX, told apart by content.
import Foundation
import Needletail
import NeedletailFiles
import NeedletailPNG

struct InputImage {
    let path: String
    /// The position in a file of several images.
    let index: Int
    let isOneOfMany: Bool
    /// Row by row, height x width bytes; 0 is black.
    let pixels: [UInt8]

    /// The images of a file, each of the size that the model takes.
    static func read(_ path: String, height: Int, width: Int) throws -> [InputImage] {
        let start: [UInt8]
        let size: Int
        do {
            let file = try RegularFile(FilePath(path))
            (start, size) = (try file.bytes(PNGImage.signature.count), file.size)
            if start != PNGImage.signature, size == height * width {
                return [InputImage(path: path, index: 0, isOneOfMany: false, pixels: try file.bytes(size))]
            }
        } catch let error as FileError {
            throw CommandError.data("\(path): cannot be read: \(error.reason)")
        }
        if start == PNGImage.signature { return [try readPNG(path, height, width)] }
        let isIDX = start.starts(with: [0, 0]) && start.count >= 4 && (8...14).contains(start[2])
        guard isIDX || start.starts(with: [0x1F, 0x8B]) else {
            throw CommandError.data(
                "\(path): found \(size) bytes that are neither PNG nor IDX, expected \(height * width) raw bytes "
                    + "(\(height) x \(width)), a PNG or an IDX file")
        }
        return try readIDX(path, height, width)
    }

    private static func readPNG(_ path: String, _ height: Int, _ width: Int) throws -> InputImage {
        let image = try PNGImage(path: path, height: height, width: width)
        return InputImage(path: path, index: 0, isOneOfMany: false, pixels: image.pixels)
    }

    private static func readIDX(_ path: String, _ height: Int, _ width: Int) throws -> [InputImage] {
        let array = try IDX.read(path)
        guard array.dtype == .uint8, array.shape.suffix(2) == [height, width], array.rank <= 3 else {
            throw CommandError.data(
                "\(path): found \(array.dtype) of shape \(array.shape), expected uint8 of shape [images, \(height), \(width)]"
            )
        }
        let pixels = array.bytes
        let area = height * width
        return stride(from: 0, to: pixels.count, by: area).map {
            InputImage(
                path: path, index: $0 / area, isOneOfMany: array.rank == 3, pixels: Array(pixels[$0..<($0 + area)]))
        }
    }
}
