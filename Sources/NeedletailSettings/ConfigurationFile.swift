// `--config FILE`: options by name in YAML or JSON. The file may come from anywhere: what it holds is bounded before it is read.
import Foundation
import NeedletailFiles
import Yams

/// The values of a configuration file: a mapping from options' names to a value or a list of values.
package struct ConfigurationFile {
    /// The file's path.
    package let path: String
    /// The values as text, by the options' names; none for a key without a value.
    package let values: [String: [String]]

    /// The most bytes that a file may have: all options there are take 3 kB.
    package static let mostBytes = 1 << 16

    /// Reads the file, whose keys must be among `allowed`; throws ``ConfigurationError``.
    package init(_ path: String, allowed: [String]) throws {
        try self.init(Self.bytes(of: path), path: path, allowed: allowed)
    }

    /// Reads a file's content, whose keys must be among `allowed`.
    ///
    /// Throws: ``ConfigurationError`` naming the line of what cannot be.
    package init(_ bytes: [UInt8], path: String, allowed: [String]) throws {
        self.path = path
        guard bytes.count <= Self.mostBytes else {
            throw ConfigurationError(
                .file, path, "found \(bytes.count) bytes, expected at most \(Self.mostBytes) of YAML or JSON")
        }
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]  // some editors begin UTF-8 with it
        guard let text = String(validating: bytes.dropFirst(bytes.starts(with: mark) ? 3 : 0), as: UTF8.self) else {
            throw ConfigurationError(.file, path, "found bytes that are not UTF-8, expected YAML or JSON")
        }
        guard !Self.mayRefer(text) else {
            throw ConfigurationError(
                .file, path,
                "found an anchor (&) and an alias (*), expected values written out, in quotes where they begin so")
        }
        let node: Node?
        do { node = try Yams.compose(yaml: text) } catch {
            let message = "\(error)".split(separator: "\n").joined(separator: " ")
            throw ConfigurationError(.file, path, "neither YAML nor JSON: \(Self.short(message, 500))")
        }
        guard let node else {  // nothing but comments
            values = [:]
            return
        }
        guard case .mapping(let mapping) = node else {
            throw ConfigurationError(.file, path, "found no mapping, expected lines such as 'epochs: 3'")
        }
        var values: [String: [String]] = [:]
        for (key, value) in mapping {
            let place = "\(path), line \(key.mark?.line ?? 0)"
            guard case .scalar(let name) = key, allowed.contains(name.string) else {
                let found =
                    if case .scalar(let name) = key { "'\(Self.short(name.string, 100))'" } else {
                        "a key that is no word"
                    }
                throw ConfigurationError(
                    .content, place, "found \(found), expected one of \(allowed.sorted().joined(separator: ", "))")
            }
            guard values[name.string] == nil else {
                throw ConfigurationError(.content, place, "found \(name.string) twice, expected it once")
            }
            values[name.string] = try Self.texts(value, of: name.string, place)
        }
        self.values = values
    }

    /// The value, or the list of values, under a key.
    private static func texts(_ value: Node, of name: String, _ place: String) throws -> [String] {
        func text(_ scalar: Node.Scalar) throws -> String {
            guard !scalar.string.unicodeScalars.contains("\0") else {  // no argument can have one, and paths end there
                throw ConfigurationError(.content, place, "found a zero byte in the value of \(name), expected text")
            }
            return scalar.string
        }
        switch value {
        case .scalar(let scalar): return isNull(scalar) ? [] : [try text(scalar)]
        case .sequence(let list):
            return try list.map { element in
                guard case .scalar(let scalar) = element else {
                    throw ConfigurationError(
                        .content, place, "found a list within the list of \(name), expected values")
                }
                return try text(scalar)
            }
        default:
            throw ConfigurationError(.content, place, "found a mapping under \(name), expected a value or a list")
        }
    }

    private static func isNull(_ scalar: Node.Scalar) -> Bool {
        scalar.style == .plain && ["", "~", "null"].contains(scalar.string)
    }

    /// Whether the text may hold both an anchor and an alias of it. A few lines of them stand for 9^9 values ("billion laughs"),
    /// and options need none. A sign may begin one unless a character is before it behind which YAML has none; in quotes
    /// it is text all the same, and is refused only where both come up.
    private static func mayRefer(_ text: String) -> Bool {
        var (hasAnchor, hasAlias) = (false, false)
        var previous: UInt8 = 0x20
        for byte in text.utf8 {
            switch previous {
            // 0-9 A-Z a-z " ' * - . / = _
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x22, 0x27, 0x2A, 0x2D...0x2F, 0x3D, 0x5F: break
            default:
                hasAnchor = hasAnchor || byte == 0x26
                hasAlias = hasAlias || byte == 0x2A
            }
            previous = byte
        }
        return hasAnchor && hasAlias
    }

    /// The first scalars of a text: a single character may have thousands.
    private static func short(_ text: String, _ count: Int) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(count)))
    }

    /// The content of a regular file; of one that is too large, one byte too many.
    private static func bytes(of path: String) throws -> [UInt8] {
        func unreadable(_ found: String) -> ConfigurationError {
            ConfigurationError(.file, path, "found \(found), expected a readable regular file")
        }
        do { return try RegularFile.bytes(of: FilePath(path), limit: mostBytes) } catch let error as FileError {
            throw unreadable(
                error.reason == RegularFile.expectation ? "a folder, pipe or device" : error.reason.lowercased())
        }
    }
}
