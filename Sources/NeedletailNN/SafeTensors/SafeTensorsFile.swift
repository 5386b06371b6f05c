// The safetensors format: eight bytes of header length (little-endian), a JSON header, the tensors' raw data.
// Reading stands in SafeTensorsFile+Reading.swift, the header's grammar in SafeTensorsHeader.swift.
public import NeedletailTensor

/// Reads and writes safetensors files, the format in which checkpoints keep tensors and which Python reads too.
///
///     try SafeTensorsFile.write(model.stateDictionary(), metadata: ["format": "pt"], to: "model.safetensors")
///     try model.load(stateDictionary: SafeTensorsFile.read("model.safetensors").tensors)
///
/// Source: github.com/huggingface/safetensors, whose writer gives the same bytes (with at most one metadata entry; with
/// more its order is random, here sorted).
public enum SafeTensorsFile {
    /// Headers are at most this long, as in the format's reference implementation.
    public static let maximumHeaderByteCount = 100_000_000
    /// A file holds at most this many tensors, and as many metadata entries: bounds the memory that a hostile header
    /// takes.
    public static let maximumEntryCount = 131_072
    /// Names of tensors and keys of metadata are together at most this long in bytes.
    public static let maximumNameByteCount = 8_388_608
    /// Tensors have at most this many axes.
    public static let maximumRank = 64

    /// What the header says about one tensor.
    public struct Entry: Sendable, Equatable {
        /// The tensor's name.
        public let name: String
        /// The elements' type.
        public let dtype: DType
        /// The tensor's shape.
        public let shape: [Int]
        /// Where the data lies, in bytes from the data's begin.
        public let range: Range<Int>
    }

    /// The file's bytes: a function of names, types, shapes, values and metadata, not of the tensors' order.
    ///
    /// Tensors go by type, widest first as in the reference implementation, then by name; so each is aligned to its
    /// element size, and spaces after the header align the data's begin to 8 bytes.
    /// - Throws: `SafeTensorsError` for a tensor named `__metadata__`, equal names, or more than the limits allow.
    public static func encode(
        tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:]
    ) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try emit(tensors, metadata) { bytes += $0 }
        return bytes
    }

    /// Writes the file so that a crash at any byte leaves the old file or the new one at `path`.
    ///
    /// - Throws: `SafeTensorsError` as `encode`, or an error of the file system; the old file is then unharmed.
    public static func write(
        _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], to path: String
    ) throws {
        do {
            try AtomicFile.write(to: path) { try emit(tensors, metadata, $0) }
        } catch let error as SafeTensorsError {
            throw SafeTensorsError(file: path, problem: error.problem)
        }
    }

    private static func emit(
        _ tensors: [(name: String, tensor: Tensor)], _ metadata: [String: String], _ write: ([UInt8]) throws -> Void
    ) throws {
        let ordered = tensors.sorted { a, b in
            let (rankA, rankB) = (a.tensor.dtype.safeTensorsRank, b.tensor.dtype.safeTensorsRank)
            return rankA == rankB ? a.name.utf8.lexicographicallyPrecedes(b.name.utf8) : rankA > rankB
        }
        var header = try SafeTensorsHeader.encode(ordered.map { ($0.name, $0.tensor.dtype, $0.tensor.shape) }, metadata)
        header += Array(repeating: UInt8(ascii: " "), count: (8 - header.count % 8) % 8)
        guard header.count <= maximumHeaderByteCount else {
            throw SafeTensorsError(file: nil, problem: .headerTooLarge(byteCount: UInt64(header.count)))
        }
        try write((0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) } + header)
        for (_, tensor) in ordered { try write(tensor.bytes) }
    }
}

extension DType {
    /// The type's name in safetensors.
    var safeTensorsName: String {
        switch self {
        case .float64: "F64"
        case .float32: "F32"
        case .float16: "F16"
        case .bfloat16: "BF16"
        case .int64: "I64"
        case .int32: "I32"
        case .uint8: "U8"
        case .bool: "BOOL"
        }
    }

    /// The type with this name in safetensors, if it is supported.
    init?(safeTensorsName name: String) {
        // Byte by byte: comparing strings would normalise a text of any length.
        let match = DType.allCases.first { $0.safeTensorsName.utf8.elementsEqual(name.utf8) }
        guard let type = match else { return nil }
        self = type
    }

    /// The type's place in the reference implementation's order, in which tensors are written from the last to the
    /// first.
    fileprivate var safeTensorsRank: Int {
        switch self {
        case .bool: 0
        case .uint8: 1
        case .float16: 2
        case .bfloat16: 3
        case .int32: 4
        case .float32: 5
        case .float64: 6
        case .int64: 7
        }
    }
}
