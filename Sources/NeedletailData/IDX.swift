// The IDX format of the MNIST files: 0, 0, element type, rank, then rank sizes and the elements, all big-endian.
public import NeedletailTensor

/// IDX files, gzipped or not.
public enum IDX {
    /// Reads a file into a tensor.
    ///
    /// Element types: unsigned bytes become uint8; signed bytes, 16-bit and 32-bit integers int32; float and double
    /// float32 and float64. Errors: `DataFileError` for a wrong magic or element type, rank 0, sizes whose product
    /// wraps or that the file cannot hold (nothing is allocated for them), a truncated file, trailing bytes, and faults
    /// of gzip.
    public static func read(_ path: String) throws -> Tensor {
        try IDXArray(ByteStream(path: path)).tensor
    }
}

/// What an IDX file holds, elements in the machine's byte order.
package struct IDXArray: Sendable {
    /// The six element types, by their code in the third byte.
    package enum ElementType: UInt8, Sendable, CaseIterable {
        case uint8 = 0x08, int8 = 0x09, int16 = 0x0B, int32 = 0x0C, float32 = 0x0D, float64 = 0x0E

        /// Bytes of one element.
        package var byteCount: Int {
            switch self {
            case .uint8, .int8: 1
            case .int16: 2
            case .int32, .float32: 4
            case .float64: 8
            }
        }
    }

    /// The sizes of the dimensions.
    package let shape: [Int]
    /// The type of the stored elements.
    package let elementType: ElementType
    /// The elements, little-endian, row-major: uint8 ones as the tensor that they become.
    private let elements: Elements
    /// The place in the content of the first element.
    package let dataOffset: Int

    /// Parses a file's content, which must end where the elements do.
    package init(_ stream: ByteStream) throws {
        let file = stream.name
        let magic = try IDXArray.header(4, "the four bytes of an IDX header", stream)
        guard magic[0] == 0 && magic[1] == 0 else {
            throw DataFileError(
                .magic, file: file, offset: 0, found: "bytes \(magic[0]), \(magic[1])",
                expected: "0, 0, as every IDX file starts", advice: "is this an IDX file?")
        }
        guard let elementType = ElementType(rawValue: magic[2]) else {
            let known = ElementType.allCases.map { "\($0.rawValue)" }.joined(separator: ", ")
            throw DataFileError(
                .elementType, file: file, offset: 2, found: "element type \(magic[2])", expected: "one of \(known)")
        }
        guard magic[3] > 0 else {
            throw DataFileError(.rank, file: file, offset: 3, found: "0 dimensions", expected: "1 to 255")
        }
        let sizes = try IDXArray.header(4 * Int(magic[3]), "\(magic[3]) sizes of four bytes", stream)
        shape = stride(from: 0, to: sizes.count, by: 4).map { start in
            sizes[start..<(start + 4)].reduce(0) { $0 << 8 | Int($1) }
        }
        self.elementType = elementType
        dataOffset = stream.offset
        elements = try IDXArray.elements(shape, elementType, stream)
    }

    private enum Elements {
        case tensor(Tensor)
        case bytes([UInt8])
    }

    /// The elements, little-endian, row-major.
    package var bytes: [UInt8] {
        switch elements {
        case .tensor(let tensor): tensor.bytes
        case .bytes(let bytes): bytes
        }
    }

    private static func header(_ count: Int, _ meaning: String, _ stream: ByteStream) throws -> [UInt8] {
        let start = stream.offset
        let bytes = try stream.read(count)
        guard bytes.count == count else {
            throw DataFileError(
                .truncated, file: stream.name, offset: stream.offset, found: "the end of the file",
                expected: "\(meaning) at byte \(start)")
        }
        return bytes
    }

    private static func elements(_ shape: [Int], _ type: ElementType, _ stream: ByteStream) throws -> Elements {
        let (file, start) = (stream.name, stream.offset)
        // The sizes other than zero, since a tensor's strides are their products.
        var size = type.byteCount
        var wraps = false
        for length in shape where length != 0 {
            let (product, overflow) = size.multipliedReportingOverflow(by: length)
            size = product
            wraps = wraps || overflow
        }
        if shape.contains(0) { size = 0 }
        guard !wraps else {
            throw DataFileError(
                .size, file: file, offset: 4, found: "shape \(shape) of \(type)",
                expected: "a size in bytes that fits 63 bits")
        }
        // Before memory is taken: can the file hold what the header claims?
        guard size <= stream.greatestSize - (stream.isCompressed ? 0 : start) else {
            let held =
                stream.isCompressed
                ? "gzip data of at most \(stream.greatestSize) bytes" : "\(stream.greatestSize - start) bytes"
            throw DataFileError(
                .truncated, file: file, offset: stream.isCompressed ? start : stream.greatestSize,
                found: "\(held) after the header", expected: "\(size) bytes for shape \(shape) of \(type)")
        }
        var bytes: [UInt8] = []
        var tensor: Tensor?
        let count: Int
        if type == .uint8 {
            var filled = 0
            tensor = try Tensor(bytesOfShape: shape) { filled = try stream.read(into: $0) }
            count = filled
        } else {
            bytes = try stream.read(size)
            count = bytes.count
        }
        guard count == size else {
            throw DataFileError(
                .truncated, file: file, offset: stream.offset, found: "\(count) bytes after the header",
                expected: "\(size) bytes for shape \(shape) of \(type)")
        }
        // One byte more than there should be: it also makes a gzip file show its checksum.
        guard try stream.read(1).isEmpty else {
            throw DataFileError(
                .trailing, file: file, offset: start + size, found: "more bytes",
                expected: "the end of the file after \(size) bytes for shape \(shape) of \(type)")
        }
        if let tensor { return .tensor(tensor) }
        if type.byteCount > 1 {
            for element in stride(from: 0, to: size, by: type.byteCount) {
                bytes[element..<(element + type.byteCount)].reverse()
            }
        }
        return .bytes(bytes)
    }

    /// The array as a tensor; see `IDX.read` for the types.
    package var tensor: Tensor {
        if case .tensor(let tensor) = elements { return tensor }
        let bytes = bytes
        return switch elementType {
        case .uint8: Tensor(bytes: bytes, shape: shape, dtype: .uint8)
        case .int8: Tensor(bytes.map { Int32(Int8(bitPattern: $0)) }, shape: shape)
        case .int16:
            Tensor(
                stride(from: 0, to: bytes.count, by: 2).map {
                    Int32(Int16(bitPattern: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8))
                }, shape: shape)
        case .int32: Tensor(bytes: bytes, shape: shape, dtype: .int32)
        case .float32: Tensor(bytes: bytes, shape: shape, dtype: .float32)
        case .float64: Tensor(bytes: bytes, shape: shape, dtype: .float64)
        }
    }
}
