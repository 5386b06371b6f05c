// Text files as tokens, without the whole text in memory.

/// A text file as tokens, read in pieces.
///
/// Characters are numbered by ``TextVocabulary/init(charactersOf:)``'s rule, the code points in ascending order, and take one byte each
/// where there are at most 256 kinds, two up to 65,536, else four; the file is read twice. Bytes stay in the file.
///
///     let text = try TokenizedText(path: "input.txt")
///     let split = text.tokens.count * 9 / 10
///     let training = TokenDataset(text.tokens[0..<split], context: 64)
public struct TokenizedText: Sendable {
    /// What a token stands for.
    public enum Unit: Sendable {
        /// A code point; the file must be UTF-8. A byte order mark at its beginning is no part of the text.
        case character
        /// A byte.
        case byte
    }

    /// What the tokens stand for.
    public let vocabulary: TextVocabulary
    /// The tokens of the whole text.
    public let tokens: TokenSequence

    /// Reads the regular file at `path`.
    /// - Throws: ``DataFileError`` where it cannot be read, is a folder, pipe or device, or is not UTF-8.
    public init(path: String, unit: Unit = .character) throws {
        if unit == .byte {
            vocabulary = .bytes
            tokens = TokenSequence(file: try TokenFile(path: path))
            return
        }
        let file = try StoredBytes(path: path)
        var seen = ScalarSet(), count = 0
        try ScalarReader(file).forEach { scalar in
            seen.insert(scalar)
            count += 1
        }
        let scalars = seen.scalars
        vocabulary = .characters(scalars)
        let again = try StoredBytes(path: path)
        switch scalars.count {
        case ...256: tokens = TokenSequence(oneByte: try Self.encode(again, scalars, count))
        case ...65536: tokens = TokenSequence(twoBytes: try Self.encode(again, scalars, count))
        default: tokens = TokenSequence(fourBytes: try Self.encode(again, scalars, count))
        }
    }

    /// The places of the file's code points in `scalars`.
    private static func encode<Token: FixedWidthInteger>(
        _ file: StoredBytes, _ scalars: [UInt32], _ count: Int
    ) throws -> [Token] {
        var places = [Int32](repeating: -1, count: Int(scalars.last ?? 0) + 1)
        for (place, scalar) in scalars.enumerated() { places[Int(scalar)] = Int32(place) }
        var tokens: [Token] = []
        tokens.reserveCapacity(count)
        var isKnown = true
        try ScalarReader(file).forEach { scalar in
            let place = Int(scalar) < places.count ? places[Int(scalar)] : -1
            if place < 0 || tokens.count == count { isKnown = false } else { tokens.append(Token(place)) }
        }
        guard isKnown, tokens.count == count else {
            throw DataFileError(
                .truncated, file: file.name, found: "a file that was changed while it was being read",
                expected: "the \(count) characters that were there", advice: "start again with the file as it is now")
        }
        return tokens
    }
}

/// A set of code points: a bit for each that there is.
private struct ScalarSet {
    private var words = [UInt64](repeating: 0, count: 0x110000 / 64)

    mutating func insert(_ scalar: UInt32) { words[Int(scalar >> 6)] |= 1 << UInt64(scalar & 63) }

    /// The members in ascending order.
    var scalars: [UInt32] {
        words.indices.flatMap { index -> [UInt32] in
            words[index] == 0
                ? [] : (0..<64).filter { words[index] >> UInt64($0) & 1 == 1 }.map { UInt32(index * 64 + $0) }
        }
    }
}

/// The code points of a file in UTF-8, decoded in pieces.
private struct ScalarReader {
    private let file: StoredBytes

    init(_ file: StoredBytes) { self.file = file }

    /// Calls `body` with each code point. Throws ``DataFileError`` at the first byte that is not UTF-8.
    func forEach(_ body: (UInt32) -> Void) throws {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        // Where the piece begins in the file, and how many bytes of it are there: the rest of an unfinished character first.
        var start = 0, held = 0
        while true {
            let got = try buffer.withUnsafeMutableBytes { bytes in
                try file.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[held...]))
            }
            let end = held + got
            // A mark of the byte order says how a text is stored and is none of its characters.
            var at = start == 0 && end >= 3 && buffer[..<3] == [0xEF, 0xBB, 0xBF] ? 3 : 0
            let rest = try buffer.withUnsafeBufferPointer { bytes -> Int in
                while at < end {
                    let first = bytes[at]
                    if first < 0x80 {
                        body(UInt32(first))
                        at += 1
                        continue
                    }
                    let length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0
                    guard at + length <= end || got == 0 else { return end - at }
                    guard length > 0, at + length <= end, let scalar = Self.scalar(bytes, at, length) else {
                        throw DataFileError(
                            .content, file: file.name, offset: start + at,
                            found: "the byte \(first), which begins no character of UTF-8", expected: "a text in UTF-8",
                            advice: "convert it, or read it as bytes")
                    }
                    body(scalar)
                    at += length
                }
                return 0
            }
            guard got > 0 else { return }
            for index in 0..<rest { buffer[index] = buffer[end - rest + index] }
            start += end - rest
            held = rest
        }
    }

    /// The code point in the `length` bytes from `at` on; nil where they are none's shortest form.
    private static func scalar(_ bytes: UnsafeBufferPointer<UInt8>, _ at: Int, _ length: Int) -> UInt32? {
        var scalar = UInt32(bytes[at]) & (0xFF >> UInt32(length + 1))
        for index in at + 1..<at + length {
            guard bytes[index] & 0xC0 == 0x80 else { return nil }
            scalar = scalar << 6 | UInt32(bytes[index] & 0x3F)
        }
        guard Unicode.Scalar(scalar) != nil, scalar >= (length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000) else {
            return nil
        }
        return scalar
    }
}
