// Texts that name options: by the library's names, or by those under which a program offers them, such as flags.

/// A text of an error or a notice, with the names of options in it.
///
/// The library calls options as ``TrainerConfiguration`` does. A program whose users give them under other names, such as the
/// command `needletail`, says which: ``TrainerConfiguration/optionNames`` for notices, and for errors
///
///     let flags = ["limitTestBatches": "--limit-test-batches"]
///     func message(of error: TrainerError) -> String { error.text(naming: flags) }
///
/// In an interpolation `\(option: "maxEpochs")` is such a name, and `\(inCode: "…", elsewhere: "…")` a part that makes sense only
/// to those who write the configuration in Swift, with what stands in its place where names are given.
public struct OptionText: Sendable, Equatable, ExpressibleByStringInterpolation, CustomStringConvertible {
    fileprivate indirect enum Part: Sendable, Equatable {
        case text(String), option(String), inCode(String, elsewhere: OptionText)
    }

    private var parts: [Part]

    /// A text without names.
    public init(_ text: String) { parts = [.text(text)] }

    /// A text without names.
    public init(stringLiteral text: String) { parts = [.text(text)] }

    /// A text with names.
    public init(stringInterpolation: StringInterpolation) { parts = stringInterpolation.parts }

    private init(parts: [Part]) { self.parts = parts }

    /// The text with the library's names.
    public var description: String { text(naming: [:]) }

    /// The text with the options' names in `names`; the library's where there is none.
    public func text(naming names: [String: String]) -> String {
        parts.map { part in
            switch part {
            case .text(let text): text
            case .option(let name): names[name] ?? name
            case .inCode(let text, let other): names.isEmpty ? text : other.text(naming: names)
            }
        }.joined()
    }

    /// One text after the other.
    public static func + (a: OptionText, b: OptionText) -> OptionText { OptionText(parts: a.parts + b.parts) }

    /// What is between the quotes.
    public struct StringInterpolation: StringInterpolationProtocol, Sendable {
        fileprivate var parts: [Part] = []

        /// An empty text.
        public init(literalCapacity: Int, interpolationCount: Int) {}

        /// Appends a text.
        public mutating func appendLiteral(_ literal: String) { parts.append(.text(literal)) }

        /// Appends a value's description.
        public mutating func appendInterpolation(_ value: some Any) { parts.append(.text("\(value)")) }

        /// Appends another text with its names.
        public mutating func appendInterpolation(_ text: OptionText) { parts += text.parts }

        /// Appends the name of an option.
        public mutating func appendInterpolation(option name: String) { parts.append(.option(name)) }

        /// Appends a text about Swift, or another one where options have other names.
        public mutating func appendInterpolation(inCode text: String, elsewhere other: OptionText = "") {
            parts.append(.inCode(text, elsewhere: other))
        }
    }
}
