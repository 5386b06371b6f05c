// The part of JSON that safetensors headers use: objects, strings, arrays of non-negative integers. Strict, and not
// recursive. StrictJSON.swift reads the rest of JSON with it.

/// Reads a header's text from front to back; every error names the byte at which it was found.
struct JSONScanner {
    typealias Problem = SafeTensorsError.Problem
    let bytes: [UInt8]
    var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// `{ "key": value, … }`; `body` reads each value.
    mutating func object(
        allowingSpaceBefore: Bool = true, _ body: (_ key: String, inout JSONScanner) throws -> Void
    ) throws {
        if allowingSpaceBefore { skipSpace() }
        try expect(UInt8(ascii: "{"), "'{'")
        skipSpace()
        if accept(UInt8(ascii: "}")) { return }
        repeat {
            let key = try string(as: "a key in quotes")
            skipSpace()
            try expect(UInt8(ascii: ":"), "':'")
            try body(key, &self)
            skipSpace()
        } while accept(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"), "',' or '}'")
    }

    /// `[1, 2, …]` of at most `limit` integers from 0 to 2^63 - 1.
    mutating func integers(atMost limit: Int, what: String) throws -> [Int] {
        skipSpace()
        try expect(UInt8(ascii: "["), "'['")
        skipSpace()
        var values: [Int] = []
        if accept(UInt8(ascii: "]")) { return values }
        repeat {
            guard values.count < limit else { throw Problem.tooLarge(what: what, limit: limit) }
            values.append(try integer())
            skipSpace()
        } while accept(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"), "',' or ']'")
        return values
    }

    /// A string with its escapes resolved.
    mutating func string(as expected: String) throws -> String {
        skipSpace()
        try expect(UInt8(ascii: "\""), expected)
        let start = position
        let (end, hasEscapes) = try endOfString()
        guard hasEscapes else {
            position = end + 1
            guard let text = String(validating: bytes[start..<end], as: UTF8.self) else {
                throw Problem.notUTF8(offset: start)
            }
            return text
        }
        // In pieces of whole scalars: beside the header there is never more than one copy of the text.
        var text = ""
        text.reserveCapacity(end - start)
        var piece: [UInt8] = []
        while position < end {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\\") {
                piece += UTF8.encode(try escape()) ?? UTF8.encodedReplacementCharacter
            } else {
                piece.append(byte)
            }
            let isWhole = bytes[position] & 0xC0 != 0x80  // what follows begins a scalar; there is a quote at `end`
            guard position == end || piece.count >= 1 << 16 && (isWhole || piece.count > 2 << 16) else { continue }
            guard let valid = String(validating: piece, as: UTF8.self) else { throw Problem.notUTF8(offset: start) }
            text += valid
            piece.removeAll(keepingCapacity: true)
        }
        position = end + 1
        return text
    }

    /// The place of the quote that ends the string which begins at the present byte, and whether a backslash stands before.
    private mutating func endOfString() throws -> (end: Int, hasEscapes: Bool) {
        let start = position
        var hasEscapes = false
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            if bytes[position] < 0x20 { throw unexpected(found, expected: "no control character in a string") }
            if bytes[position] == UInt8(ascii: "\\") {
                hasEscapes = true
                position += 1
            }
            position += 1
        }
        guard position < bytes.count else { throw unexpected("the header's end", expected: "the string's end") }
        defer { position = start }
        return (position, hasEscapes)
    }

    /// Only white space up to the end.
    mutating func end() throws {
        skipSpace()
        if position < bytes.count {
            throw unexpected(found, expected: "nothing but spaces after the header's last '}'")
        }
    }

    /// An error at the present byte.
    func unexpected(_ found: String, expected: String) -> Problem {
        .malformedHeader(offset: position, found: found, expected: expected)
    }

    private mutating func integer() throws -> Int {
        skipSpace()
        let start = position
        var value = 0
        while position < bytes.count, let digit = Self.digit(bytes[position]) {
            let (tens, overflow1) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflow2) = tens.addingReportingOverflow(digit)
            guard !overflow1 && !overflow2 else { throw unexpected("a larger number", expected: "at most 2^63 - 1") }
            value = sum
            position += 1
        }
        guard position > start else { throw unexpected(found, expected: "an integer, zero or more") }
        guard bytes[start] != UInt8(ascii: "0") || position == start + 1 else {
            throw unexpected("a leading zero", expected: "an integer without it")
        }
        return value
    }

    private mutating func escape() throws -> Unicode.Scalar {
        guard position < bytes.count else { throw unexpected(found, expected: "an escape") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): break
        default: throw unexpected("an unknown escape", expected: "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
        }
        let first = try fourHexDigits()
        if let scalar = Unicode.Scalar(first) { return scalar }
        // A surrogate: the second half must follow at once.
        guard first < 0xDC00, accept(UInt8(ascii: "\\")), accept(UInt8(ascii: "u")) else {
            throw unexpected("half a surrogate pair", expected: "both halves")
        }
        let second = try fourHexDigits()
        guard (0xDC00..<0xE000).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw unexpected("half a surrogate pair", expected: "both halves") }
        return scalar
    }

    private mutating func fourHexDigits() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard position < bytes.count, let digit = Self.hexDigit(bytes[position]) else {
                throw unexpected(found, expected: "four hexadecimal digits")
            }
            value = value << 4 | digit
            position += 1
        }
        return value
    }

    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    mutating func accept(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    mutating func expect(_ byte: UInt8, _ expected: String) throws {
        guard accept(byte) else { throw unexpected(found, expected: expected) }
    }

    // What stands at the present byte, for an error.
    var found: String {
        guard position < bytes.count else { return "the header's end" }
        let byte = bytes[position]
        return byte >= 0x20 && byte < 0x7F ? "'\(Character(Unicode.Scalar(byte)))'" : "the byte \(byte)"
    }

    static func digit(_ byte: UInt8) -> Int? {
        byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") ? Int(byte - UInt8(ascii: "0")) : nil
    }

    private static func hexDigit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    /// `text` as a JSON string, escaped as the reference implementation does: only what must be.
    static func quoted(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "\"")]
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x08: bytes += Array("\\b".utf8)
            case 0x09: bytes += Array("\\t".utf8)
            case 0x0A: bytes += Array("\\n".utf8)
            case 0x0C: bytes += Array("\\f".utf8)
            case 0x0D: bytes += Array("\\r".utf8)
            case 0..<0x20: bytes += Array((byte < 0x10 ? "\\u000" : "\\u00").utf8) + Array(String(byte, radix: 16).utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
        return bytes
    }
}
