// The safetensors format: eight bytes of header length (little-endian), a JSON header, the tensors' raw data.
// Reading stands in SafeTensorsFile+Reading.swift, the header's grammar in SafeTensorsHeader.swift.
import NeedletailFiles
public import NeedletailTensor

/// Reads and writes safetensors files, the format in which checkpoints keep tensors and which Python reads too.
///
///     try SafeTensorsFile.write(model.stateDictionary(), metadata: ["format": "pt"], to: "model.safetensors")
///     try model.load(safeTensors: "model.safetensors")
///
/// Tensors of the types F64, F32, F16, BF16, I64, I32, U8 and BOOL can be read. Those of the format's other types (I8, I16, U16, U32,
/// U64, C64, and floating point of 8, 6 and 4 bits) are checked and listed by ``inspect(_:)``, and skipped where nobody asks for
/// them; to ask for one is an error that names it.
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
        /// The elements' type in the file.
        public let type: ElementType
        /// The tensor's shape.
        public let shape: [Int]
        /// Where the data lies, in bytes from the data's begin.
        public let range: Range<Int>

        /// The type in which the tensor is read; nil where the package has none for it.
        public var dtype: DType? { type.dtype }
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
        var isFirst = true
        try emit(tensors, metadata) { piece in
            // The first piece is the header: with the tensors' bytes all is known, and the array need not grow to twice of it.
            if isFirst { bytes.reserveCapacity(piece.count + tensors.reduce(0) { $0 + $1.tensor.byteCount }) }
            isFirst = false
            bytes += piece
        }
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
        let ordered = ElementType.allCases.reversed().flatMap { type in
            tensors.filter { $0.tensor.dtype == type.dtype }
                .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
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
