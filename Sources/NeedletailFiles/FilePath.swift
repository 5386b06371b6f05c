// Paths as the system has them: bytes.

/// A path of the file system: any bytes but zero, told apart by `/` alone.
///
/// A path need not be text. Where it travels as text, through options, configuration files, checkpoints and the library's
/// `String` parameters, it is ``text``: valid UTF-8 as it is, and each byte that is no part of it as one of the scalars
/// U+10FF80 to U+10FFFF, which stand for the bytes 0x80 to 0xFF. (Python's `surrogateescape` does the same with surrogates,
/// which a Swift string cannot hold.) Bytes that are the UTF-8 of such a scalar are written that way too, so bytes to text
/// to bytes is the identity for all bytes. As texts are joined their paths are joined: `a.text + "/" + b.text` is the text
/// of a path whose bytes are those of `a`, a slash and those of `b`.
package struct FilePath: Hashable, Sendable, CustomStringConvertible {
    /// The path's bytes, without a zero at the end.
    package let bytes: [UInt8]

    /// The path of these bytes.
    package init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    /// The path that a text stands for: see ``FilePath``.
    package init(_ text: String) {
        // The scalars that stand for bytes begin with 0xF4 in UTF-8.
        guard text.utf8.contains(0xF4) else {
            bytes = Array(text.utf8)
            return
        }
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            if let byte = Self.byte(for: scalar) {
                bytes.append(byte)
            } else {
                bytes += Array(UTF8.encode(scalar) ?? .init())
            }
        }
        self.bytes = bytes
    }

    // MARK: Text

    /// The path as text, from which `init(_:)` makes the same bytes: see ``FilePath``.
    package var text: String {
        if !bytes.contains(0xF4), let text = String(validating: bytes, as: UTF8.self) { return text }
        var scalars = String.UnicodeScalarView()
        var rest = bytes[...]
        while !rest.isEmpty {
            var parser = Unicode.UTF8.ForwardParser()
            var iterator = rest.makeIterator()
            let piece: ArraySlice<UInt8>
            switch parser.parseScalar(from: &iterator) {
            case .valid(let encoded):
                piece = rest.prefix(encoded.count)
                let scalar = Unicode.UTF8.decode(encoded)
                if Self.byte(for: scalar) == nil { scalars.append(scalar) } else { scalars += piece.map(Self.scalar) }
            case .error(let length):
                piece = rest.prefix(length)
                scalars += piece.map(Self.scalar)
            case .emptyInput: return String(scalars)
            }
            rest = rest.dropFirst(piece.count)
        }
        return String(scalars)
    }

    /// The path for people, on one line: bytes that are no text, and control characters, as `\xff`.
    package var description: String { Self.readable(text, isOneLine: true) }

    /// A text with paths in it, such as a message, for people: bytes that are no text as `\xff`; where `isOneLine`, control
    /// characters too.
    package static func readable(_ text: String, isOneLine: Bool = false) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if let byte = byte(for: scalar) {
                result += escape(byte).unicodeScalars
            } else if isOneLine, scalar.value < 0x20 || scalar.value == 0x7F {
                result += escape(UInt8(scalar.value)).unicodeScalars
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    private static func escape(_ byte: UInt8) -> String {
        (byte < 16 ? "\\x0" : "\\x") + String(byte, radix: 16)
    }

    /// The byte, 0x80 to 0xFF, for which a scalar stands.
    private static func byte(for scalar: Unicode.Scalar) -> UInt8? {
        (0x10FF80...0x10FFFF).contains(scalar.value) ? UInt8(truncatingIfNeeded: scalar.value) : nil
    }

    /// The scalar that stands for a byte from 0x80 to 0xFF: UTF-8 never refuses another.
    private static func scalar(for byte: UInt8) -> Unicode.Scalar {
        Unicode.Scalar(0x10FF00 | UInt32(byte)) ?? "\u{FFFD}"
    }

    // MARK: Parts

    private static let slash = UInt8(ascii: "/")

    /// Why the system can have nothing under this path; nil where it can.
    package var problem: String? {
        if bytes.isEmpty { return "the path is empty" }
        return bytes.contains(0) ? "the path holds a zero byte" : nil
    }

    /// Whether it begins at the root.
    package var isAbsolute: Bool { bytes.first == Self.slash }

    /// The path without slashes at its end; the root stays.
    private var trimmed: ArraySlice<UInt8> {
        var rest = bytes[...]
        while rest.count > 1, rest.last == Self.slash { rest.removeLast() }
        return rest
    }

    /// The last part between slashes, as it stands; the root has none and is its own.
    package var name: FilePath {
        let rest = trimmed
        guard rest.count > 1, let last = rest.lastIndex(of: Self.slash) else { return FilePath(bytes: rest) }
        return FilePath(bytes: rest[(last + 1)...])
    }

    /// The folder that holds what the path names: `.` for a name alone, the root for the root.
    package var parent: FilePath {
        let rest = trimmed
        guard let last = rest.lastIndex(of: Self.slash) else { return "." }
        return last == rest.startIndex ? "/" : FilePath(bytes: FilePath(bytes: rest[..<last]).trimmed)
    }

    /// What `name` names in the folder at this path.
    package func appending(_ name: FilePath) -> FilePath {
        FilePath(bytes: bytes + (bytes.last == Self.slash || bytes.isEmpty ? [] : [Self.slash]) + name.bytes)
    }

    /// The path with more bytes at the end of its name.
    package func extended(by ending: String) -> FilePath { FilePath(bytes: trimmed + FilePath(ending).bytes) }

    /// The path up to the last dot of its name, and the rest; a dot that begins the name does not count.
    package var splitAtExtension: (stem: FilePath, ending: FilePath) {
        let rest = trimmed
        let start = rest.lastIndex(of: Self.slash).map { $0 + 1 } ?? rest.startIndex
        let dot = rest[start...].lastIndex(of: UInt8(ascii: "."))
        guard let dot, dot > start, !rest[start...].elementsEqual("..".utf8) else {
            return (FilePath(bytes: rest), "")
        }
        return (FilePath(bytes: rest[..<dot]), FilePath(bytes: rest[dot...]))
    }

    /// The bytes and a zero, as the system takes them.
    var terminated: [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }
}

extension FilePath: ExpressibleByStringLiteral {
    /// The path that a text stands for.
    package init(stringLiteral text: String) { self.init(text) }
}
