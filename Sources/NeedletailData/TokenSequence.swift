// A long row of tokens in as little memory as it needs.
import NeedletailTensor

/// Tokens in order: one, two or four bytes each, whichever holds the greatest, or none where they are a file's bytes.
///
/// A slice shares the memory of the whole.
public struct TokenSequence: Sendable {
    private enum Storage: Sendable {
        case oneByte([UInt8])
        case twoBytes([UInt16])
        case fourBytes([Int32])
        case file(TokenFile)
    }

    private let storage: Storage
    private let range: Range<Int>

    /// The tokens of an array.
    public init(_ tokens: [Int]) {
        let least = tokens.min() ?? 0, most = tokens.max() ?? 0
        require(
            least >= Int32.min && most <= Int32.max,
            "TokenSequence: found tokens from \(least) to \(most), expected numbers of 32 bits")
        if least >= 0, most <= UInt8.max {
            self.init(oneByte: tokens.map { UInt8($0) })
        } else if least >= 0, most <= UInt16.max {
            self.init(twoBytes: tokens.map { UInt16($0) })
        } else {
            self.init(fourBytes: tokens.map { Int32($0) })
        }
    }

    init(oneByte tokens: [UInt8]) { (storage, range) = (.oneByte(tokens), tokens.indices) }
    init(twoBytes tokens: [UInt16]) { (storage, range) = (.twoBytes(tokens), tokens.indices) }
    init(fourBytes tokens: [Int32]) { (storage, range) = (.fourBytes(tokens), tokens.indices) }
    init(file: TokenFile) { (storage, range) = (.file(file), 0..<file.count) }

    private init(_ storage: Storage, _ range: Range<Int>) { (self.storage, self.range) = (storage, range) }

    /// The number of tokens.
    public var count: Int { range.count }

    /// The tokens at these places, which share this sequence's memory.
    public subscript(bounds: Range<Int>) -> TokenSequence {
        require(
            bounds.lowerBound >= 0 && bounds.upperBound <= count,
            "TokenSequence: found places \(bounds), expected some within 0..<\(count)")
        return TokenSequence(storage, range.lowerBound + bounds.lowerBound..<range.lowerBound + bounds.upperBound)
    }

    /// The tokens as an array, eight bytes each.
    /// - Throws: ``DataFileError`` where they are a file's bytes and the file has changed since it was opened.
    public func values() throws -> [Int] {
        switch storage {
        case .oneByte(let tokens): tokens[range].map { Int($0) }
        case .twoBytes(let tokens): tokens[range].map { Int($0) }
        case .fourBytes(let tokens): tokens[range].map { Int($0) }
        case .file(let file): try file.bytes(range).map { Int($0) }
        }
    }
}
