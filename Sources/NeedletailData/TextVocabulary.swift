// Text to numbers and back.

/// Which numbers stand for a text: one for each kind of character in it, or its UTF-8 bytes.
public enum TextVocabulary: Codable, Equatable, Sendable {
    /// The code points that there are, in ascending order; a token is a place among them.
    case characters([UInt32])
    /// The 256 bytes.
    case bytes

    /// The characters of a text.
    public init(charactersOf text: String) {
        self = .characters(Set(text.unicodeScalars.map(\.value)).sorted())
    }

    /// Tokens that there are.
    public var count: Int {
        switch self {
        case .characters(let scalars): scalars.count
        case .bytes: 256
        }
    }

    /// The tokens of a text, such as a prompt; ``TokenizedText`` reads a file's in less memory.
    /// - Throws: ``UnknownCharacterError`` for a character that the vocabulary has not.
    public func encode(_ text: String) throws -> [Int] {
        guard case .characters(let scalars) = self else { return text.utf8.map { Int($0) } }
        let places = Dictionary(zip(scalars, scalars.indices), uniquingKeysWith: { first, _ in first })
        return try text.unicodeScalars.map { scalar in
            guard let place = places[scalar.value] else {
                throw UnknownCharacterError(scalar: scalar, known: scalars.count)
            }
            return place
        }
    }

    /// The token that a text begins with where nothing else is given: a line's end, else a space, else the first one; nil where the
    /// vocabulary is empty.
    public var firstToken: Int? {
        switch self {
        case .bytes: Int(UInt8(ascii: "\n"))
        case .characters(let scalars):
            scalars.firstIndex(of: 0x0A) ?? scalars.firstIndex(of: 0x20) ?? scalars.indices.first
        }
    }

    /// The bytes of UTF-8 that tokens stand for; tokens outside the vocabulary stand for nothing.
    public func decode(_ tokens: some Sequence<Int>) -> [UInt8] {
        switch self {
        case .bytes: return tokens.compactMap { UInt8(exactly: $0) }
        case .characters(let scalars):
            return tokens.flatMap { token -> [UInt8] in
                guard scalars.indices.contains(token), let scalar = Unicode.Scalar(scalars[token]) else { return [] }
                return Array(String(Character(scalar)).utf8)
            }
        }
    }
}

/// A character that a vocabulary has not.
public struct UnknownCharacterError: Error, CustomStringConvertible {
    /// The character.
    public let scalar: Unicode.Scalar
    /// How many the vocabulary has.
    public let known: Int

    /// What was found, what was expected and what to do.
    public var description: String {
        "the character \(scalar.debugDescription) (U+\(String(scalar.value, radix: 16, uppercase: true))) is none of the \(known) of "
            + "the text that the model was trained on; leave it out"
    }
}
