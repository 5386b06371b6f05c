// Patterns over dotted names, such as `head.*`.

/// Whether `name` matches `pattern`, where `*` stands for any characters (dots too) and `?` for exactly one.
package func matches(_ name: String, pattern: String) -> Bool {
    let name = Array(name), pattern = Array(pattern)
    var n = 0, p = 0
    var star: Int? = nil, resume = 0
    while n < name.count {
        if p < pattern.count, pattern[p] == "?" || (pattern[p] == name[n] && pattern[p] != "*") {
            n += 1
            p += 1
        } else if p < pattern.count, pattern[p] == "*" {
            star = p
            resume = n
            p += 1
        } else if let star {
            resume += 1
            n = resume
            p = star + 1
        } else {
            return false
        }
    }
    return pattern[p...].allSatisfy { $0 == "*" }
}

/// A pattern over names, such as `head.*`, that matches none: a slip of the finger, or another model than was meant.
public struct PatternError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The pattern.
    public let pattern: String
    /// What has the names, such as "parameter".
    public let kind: String
    /// The names that there are.
    public let names: [String]

    package init(_ pattern: String, kind: String, names: [String]) {
        self.pattern = pattern
        self.kind = kind
        self.names = names
    }

    /// The pattern, and some of the names.
    public var description: String {
        "the pattern '\(pattern)' matches no \(kind); "
            + (names.isEmpty ? "there is none" : "there are \(PatternError.listed(names))")
    }

    /// The first names of a list, and how many there are where these are not all.
    package static func listed(_ names: [String]) -> String {
        let shown = 8
        return names.count <= shown + 1
            ? names.joined(separator: ", ")
            : names.prefix(shown).joined(separator: ", ") + ", … (\(names.count) in all)"
    }
}
