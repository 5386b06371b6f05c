// Everything that can be wrong with a safetensors file.
import NeedletailFiles

/// Why a safetensors file was refused, or could not be written; says what was found, what was expected and what to do.
public struct SafeTensorsError: Error, Equatable, CustomStringConvertible {
    /// The file's path; nil for bytes in memory.
    public let file: String?
    /// What is wrong.
    public let problem: Problem

    /// What is wrong with a file.
    public enum Problem: Error, Equatable, Sendable {
        /// The file cannot be opened or read, or is a folder, pipe or device.
        case unreadable(String)
        /// Fewer bytes than the eight of the header's length.
        case tooShort(byteCount: Int)
        /// A header of more than `SafeTensorsFile.maximumHeaderByteCount` bytes.
        case headerTooLarge(byteCount: UInt64)
        /// A header that is longer than the file.
        case headerBeyondFile(byteCount: UInt64, available: Int)
        /// Header text that breaks the grammar, at a byte of the header.
        case malformedHeader(offset: Int, found: String, expected: String)
        /// Text that is not UTF-8, in a string that begins at a byte of the header.
        case notUTF8(offset: Int)
        /// A key that appears twice in one object; Unicode's canonically equivalent spellings count as one.
        case duplicateKey(String)
        /// More tensors, metadata, name bytes or axes than are accepted.
        case tooLarge(what: String, limit: Int)
        /// A tensor lacks one of its three fields.
        case missingField(tensor: String, field: String)
        /// A data type that is none of the format's.
        case unknownType(tensor: String, found: String)
        /// A tensor that was asked for has a type of the format that cannot be read.
        case unreadableType(tensor: String, type: SafeTensorsFile.ElementType)
        /// A tensor that was asked for is not in the file.
        case missingTensor(String)
        /// Elements of fewer than eight bits that do not fill their last byte.
        case partOfByte(tensor: String, type: SafeTensorsFile.ElementType, shape: [Int])
        /// A shape whose element or byte count does not fit into 64 bits.
        case shapeOverflow(tensor: String, shape: [Int])
        /// Data offsets that hold another number of bytes than shape and type need.
        case sizeMismatch(tensor: String, found: Int, expected: Int)
        /// Data offsets that run backwards.
        case reversedOffsets(tensor: String, begin: Int, end: Int)
        /// Data that does not begin where the tensor before it ends: an overlap or a hole.
        case notContiguous(tensor: String, begin: Int, expected: Int)
        /// Tensors that do not end where the file ends: it is truncated, or has bytes to spare.
        case wrongFileSize(found: Int, expected: Int)
        /// A byte of a BOOL tensor that is neither 0 nor 1.
        case invalidBool(tensor: String, index: Int, found: UInt8)
        /// The file is one of several that hold a model, and lacks tensors that are in others: number `number` of `count`.
        case shard(number: Int, count: Int)
        /// The file is the index of a model that was saved in several files, or the folder has only that: `count` files, 0 where
        /// their number is not known.
        case shardIndex(count: Int)
        /// A tensor to be written is named `__metadata__`.
        case reservedName
        /// Two tensors to be written have the same name.
        case duplicateName(String)
    }

    /// The whole story, beginning with the file's path.
    public var description: String { (file.map { "\(FilePath($0)): " } ?? "") + problem.description }
}

extension SafeTensorsError.Problem: CustomStringConvertible {
    /// Found, expected, and what to do; long names are shortened.
    public var description: String {
        switch self.shortened {
        case .unreadable(let why):
            "cannot be read: \(why)"
        case .tooShort(let count):
            "found \(count) bytes, expected at least the 8 of a safetensors header's length; "
                + "the file is truncated or foreign"
        case .headerTooLarge(let count):
            "found a header of \(count) bytes, expected at most \(SafeTensorsFile.maximumHeaderByteCount); "
                + "this is not a safetensors file"
        case .headerBeyondFile(let count, let available):
            "found a header length of \(count) bytes, expected at most the \(available) that follow; "
                + "the file is truncated or foreign"
        case .malformedHeader(let offset, let found, let expected):
            "header byte \(offset): found \(found), expected \(expected); the file is damaged or foreign"
        case .notUTF8(let offset):
            "header byte \(offset): found a string that is not UTF-8; the file is damaged or foreign"
        case .duplicateKey(let key):
            "found the key '\(key)' twice, expected it once; write the file again with distinct names"
        case .tooLarge(let what, let limit):
            "found too many \(what), expected at most \(limit); split the file"
        case .missingField(let tensor, let field):
            "tensor '\(tensor)': found no '\(field)', expected dtype, shape and data_offsets; the file is damaged"
        case .unknownType(let tensor, let found):
            "tensor '\(tensor)': found type '\(found)', expected one of \(SafeTensorsFile.ElementType.allNames); "
                + "the file is damaged, or of a later version of the format"
        case .unreadableType(let tensor, let type):
            "tensor '\(tensor)': found type \(type.rawValue), expected one that can be read, "
                + "\(SafeTensorsFile.ElementType.readableNames); convert the tensor before saving, or leave it out"
        case .missingTensor(let tensor):
            "found no tensor '\(tensor)', expected it; SafeTensorsFile.inspect lists the file's"
        case .partOfByte(let tensor, let type, let shape):
            "tensor '\(tensor)': found shape \(shape) of \(type.bitCount)-bit elements, expected a whole number of bytes; "
                + "the file is damaged"
        case .shapeOverflow(let tensor, let shape):
            "tensor '\(tensor)': found shape \(shape), whose size does not fit into 64 bits; the file is damaged"
        case .sizeMismatch(let tensor, let found, let expected):
            "tensor '\(tensor)': found \(found) bytes of data, expected \(expected) from shape and type; "
                + "the file is damaged"
        case .reversedOffsets(let tensor, let begin, let end):
            "tensor '\(tensor)': found data_offsets [\(begin), \(end)], expected begin <= end; the file is damaged"
        case .notContiguous(let tensor, let begin, let expected):
            "tensor '\(tensor)': found data at offset \(begin), expected \(expected); "
                + (begin < expected ? "tensors overlap" : "tensors leave a hole") + ", the file is damaged"
        case .wrongFileSize(let found, let expected):
            "found \(found) bytes of data, expected \(expected) from the header; "
                + (found < expected ? "the file is truncated" : "there are bytes after the last tensor")
        case .invalidBool(let tensor, let index, let found):
            "tensor '\(tensor)', element \(index): found the byte \(found), expected 0 or 1 in a BOOL tensor"
        case .shard(let number, let count):
            "found file \(number) of the \(count) that hold the model, expected one with all tensors; \(Self.joining)"
        case .shardIndex(let count):
            "found the index of a model in \(count > 0 ? "\(count)" : "several") files, expected one file with all tensors; "
                + Self.joining
        case .reservedName:
            "found a tensor named '__metadata__', expected another name: the format reserves this one"
        case .duplicateName(let name):
            "found two tensors named '\(name)', expected distinct names"
        }
    }

    /// How several files become one.
    private static let joining =
        "join them in Python: model.save_pretrained(folder, max_shard_size=\"1000GB\"), or safetensors.torch.save_file of the "
        + "tensors of all of them"

    // The same problem with names of at most 80 characters, since a hostile file's may be very long.
    private var shortened: Self {
        func short(_ text: String) -> String {
            let scalars = text.unicodeScalars
            guard let end = scalars.index(scalars.startIndex, offsetBy: 80, limitedBy: scalars.endIndex),
                end < scalars.endIndex
            else { return text }
            return text[..<end] + "…"
        }
        return switch self {
        case .malformedHeader(let offset, let found, let expected):
            .malformedHeader(offset: offset, found: short(found), expected: expected)
        case .duplicateKey(let key): .duplicateKey(short(key))
        case .missingField(let tensor, let field): .missingField(tensor: short(tensor), field: field)
        case .unknownType(let tensor, let found): .unknownType(tensor: short(tensor), found: short(found))
        case .unreadableType(let tensor, let type): .unreadableType(tensor: short(tensor), type: type)
        case .missingTensor(let tensor): .missingTensor(short(tensor))
        case .partOfByte(let tensor, let type, let shape): .partOfByte(tensor: short(tensor), type: type, shape: shape)
        case .shapeOverflow(let tensor, let shape): .shapeOverflow(tensor: short(tensor), shape: shape)
        case .sizeMismatch(let tensor, let found, let expected):
            .sizeMismatch(tensor: short(tensor), found: found, expected: expected)
        case .reversedOffsets(let tensor, let begin, let end):
            .reversedOffsets(tensor: short(tensor), begin: begin, end: end)
        case .notContiguous(let tensor, let begin, let expected):
            .notContiguous(tensor: short(tensor), begin: begin, expected: expected)
        case .invalidBool(let tensor, let index, let found):
            .invalidBool(tensor: short(tensor), index: index, found: found)
        case .duplicateName(let name): .duplicateName(short(name))
        default: self
        }
    }
}
