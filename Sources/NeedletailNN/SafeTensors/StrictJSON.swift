// What must hold for JSON text before a parser that is recursive, lenient or generous with memory may see it.

/// Limits of JSON text from a file that nobody vouches for.
package struct StrictJSON: Sendable {
    /// Bytes of text.
    package var byteCount: Int
    /// Values in all: numbers, strings, arrays, objects, …
    package var valueCount: Int
    /// Arrays and objects within one another.
    package var depth: Int

    /// Text within the given limits.
    package init(byteCount: Int, valueCount: Int, depth: Int) {
        self.byteCount = byteCount
        self.valueCount = valueCount
        self.depth = depth
    }

    /// What is wrong with `text`; nil where it is JSON in UTF-8, within the limits, no object has a key twice, and all
    /// numbers are finite as float64.
    package func problem(in text: [UInt8]) -> String? {
        guard text.count <= byteCount else {
            return "found \(text.count) bytes, expected at most \(byteCount)"
        }
        do {
            var scanner = JSONScanner(text)
            var values = 0
            try skipValue(&scanner, depth: 0, &values)
            try scanner.end()
            return nil
        } catch let problem as SafeTensorsError.Problem {
            return describe(problem)
        } catch { return "\(error)" }
    }

    private func describe(_ problem: SafeTensorsError.Problem) -> String {
        switch problem {
        case .malformedHeader(let offset, let found, let expected):
            "byte \(offset): found \(found), expected \(expected)"
        case .notUTF8(let offset): "byte \(offset): found a string that is not UTF-8"
        case .duplicateKey(let key): "found the key '\(String(key.unicodeScalars.prefix(80)))' twice, expected it once"
        case .tooLarge(let what, let limit): "found too many \(what), expected at most \(limit)"
        default: problem.description
        }
    }

    /// Reads one value. Recursion ends at the limit of depth.
    private func skipValue(_ scanner: inout JSONScanner, depth level: Int, _ values: inout Int) throws {
        values += 1
        guard values <= valueCount else { throw JSONScanner.Problem.tooLarge(what: "values", limit: valueCount) }
        scanner.skipSpace()
        switch scanner.next {
        case UInt8(ascii: "{"):
            try checkDepth(level)
            var keys: Set<String> = []
            try scanner.object { key, scanner in
                try SafeTensorsHeader.checkMarks(of: key)
                guard keys.insert(key).inserted else { throw JSONScanner.Problem.duplicateKey(key) }
                try skipValue(&scanner, depth: level + 1, &values)
            }
        case UInt8(ascii: "["):
            try checkDepth(level)
            try scanner.array { try skipValue(&$0, depth: level + 1, &values) }
        case UInt8(ascii: "\""): try SafeTensorsHeader.checkMarks(of: scanner.string(as: "a string"))
        default: try scanner.numberOrWord()
        }
    }

    private func checkDepth(_ level: Int) throws {
        guard level < depth else { throw JSONScanner.Problem.tooLarge(what: "levels of nesting", limit: depth) }
    }
}

extension JSONScanner {
    /// The present byte, if there is one.
    fileprivate var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    /// `[value, …]`; `body` reads each value.
    fileprivate mutating func array(_ body: (inout JSONScanner) throws -> Void) throws {
        try expect(UInt8(ascii: "["), "'['")
        skipSpace()
        if accept(UInt8(ascii: "]")) { return }
        repeat {
            try body(&self)
            skipSpace()
        } while accept(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"), "',' or ']'")
    }

    /// `true`, `false`, `null`, or a number that is finite as float64.
    fileprivate mutating func numberOrWord() throws {
        for word in ["true", "false", "null"] where bytes[position...].starts(with: word.utf8) {
            position += word.utf8.count
            return
        }
        let start = position
        _ = accept(UInt8(ascii: "-"))
        let whole = position
        try digits()
        guard bytes[whole] != UInt8(ascii: "0") || position == whole + 1 else {
            throw unexpected("a leading zero", expected: "a number without it")
        }
        if accept(UInt8(ascii: ".")) { try digits() }
        if accept(UInt8(ascii: "e")) || accept(UInt8(ascii: "E")) {
            _ = accept(UInt8(ascii: "+")) || accept(UInt8(ascii: "-"))
            try digits()
        }
        // Longer ones than any program writes are not worth a conversion.
        let text = String(decoding: bytes[start..<position].prefix(1100), as: UTF8.self)
        guard position - start <= 1100, Double(text)?.isFinite == true else {
            throw unexpected("the number \(text.prefix(40))", expected: "a finite number of at most 1100 digits")
        }
    }

    private mutating func digits() throws {
        let start = position
        while let byte = next, Self.digit(byte) != nil { position += 1 }
        guard position > start else { throw unexpected(found, expected: "a value") }
    }
}
