// Types for single layers, beside the mode of the run.
public import NeedletailTensor

extension PrecisionPolicy {
    /// A pattern over full parameter names (`*` stands for any characters, `?` for one) and the type of what matches.
    public struct Override: Sendable, Equatable, Codable, CustomStringConvertible {
        /// The pattern, such as `head.*`.
        public var pattern: String
        /// The compute type of matching parameters. They are stored in it too, unless it is a 16-bit type in a mixed mode.
        public var type: DType

        /// An override of the parameters that `pattern` matches.
        public init(pattern: String, type: DType) {
            self.pattern = pattern
            self.type = type
        }

        /// Reads `PATTERN=TYPE`, such as `head.*=float32`.
        ///
        /// Throws: ``PrecisionError`` listing the types.
        public init(parsing text: String) throws {
            guard let equals = text.lastIndex(of: "="), equals > text.startIndex else {
                throw PrecisionError.notAnOverride(text)
            }
            pattern = String(text[..<equals])
            guard let type = DType(rawValue: String(text[text.index(after: equals)...])), type.isFloatingPoint else {
                throw PrecisionError.notFloatingPoint(
                    pattern: pattern, type: String(text[text.index(after: equals)...]))
            }
            self.type = type
        }

        /// `PATTERN=TYPE`.
        public var description: String { "\(pattern)=\(type)" }
    }
}

/// Types for parameters by pattern; the first whose pattern matches decides.
///
///     $0.precisionOverrides = ["head.bias": .bfloat16, "head.*": .float32]
public struct PrecisionOverrides: Sendable, Equatable, ExpressibleByDictionaryLiteral, CustomStringConvertible {
    /// The overrides in order of decreasing priority.
    public var list: [PrecisionPolicy.Override]

    /// The given overrides, in order of decreasing priority.
    public init(_ list: [PrecisionPolicy.Override]) { self.list = list }

    /// Patterns and types, in order of decreasing priority.
    public init(dictionaryLiteral elements: (String, DType)...) {
        list = elements.map { PrecisionPolicy.Override(pattern: $0.0, type: $0.1) }
    }

    /// The overrides as `PATTERN=TYPE`, or `none`.
    public var description: String {
        list.isEmpty ? "none" : list.map(\.description).joined(separator: ", ")
    }
}
