// The precision flag: six modes, named by exactly Lightning's strings.

/// How a whole run stores, computes and scales: the trainer's `precision:` flag.
///
/// | mode | parameters stored | forward and activations | loss scale |
/// |---|---|---|---|
/// | `64-true`, `32-true` | float64, float32 | the same | none |
/// | `bf16-mixed` | float32 | bfloat16 | none |
/// | `16-mixed` | float32 | float16 | dynamic |
/// | `bf16-true` | bfloat16 | bfloat16 | none |
/// | `16-true` | float16 | float16 | dynamic |
///
/// Precision: gradients of parameters, losses, reductions and optimizer state are float32 in every mode (float64 in
/// `64-true`).
public enum Precision: String, Sendable, CaseIterable, Codable, CustomStringConvertible {
    /// `64-true`: everything in float64.
    case float64 = "64-true"
    /// `32-true`: everything in float32.
    case float32 = "32-true"
    /// `bf16-mixed`: float32 masters, bfloat16 forward and backward.
    case mixedBFloat16 = "bf16-mixed"
    /// `16-mixed`: float32 masters, float16 forward and backward, a dynamic loss scale.
    case mixedFloat16 = "16-mixed"
    /// `bf16-true`: parameters stored in bfloat16.
    case bfloat16 = "bf16-true"
    /// `16-true`: parameters stored in float16, a dynamic loss scale.
    case float16 = "16-true"

    /// The mode that a string names: the six modes' own names, or `64`, `32`, `16` (16-mixed) and `bf16` (bf16-mixed).
    ///
    /// Throws: ``PrecisionError`` listing what is allowed.
    public init(parsing text: String) throws {
        guard
            let precision = Precision(rawValue: text) ?? Precision.aliases.first(where: { $0.name == text })?.precision
        else { throw PrecisionError.unknown(text, allowed: Precision.allowedNames) }
        self = precision
    }

    /// The short names and what they stand for.
    public static let aliases: [(name: String, precision: Precision)] = [
        ("64", .float64), ("32", .float32), ("16", .mixedFloat16), ("bf16", .mixedBFloat16),
    ]

    /// Every string that ``init(parsing:)`` takes.
    public static var allowedNames: [String] { allCases.map(\.rawValue) + aliases.map(\.name) }

    /// Lightning's name of the mode.
    public var description: String { rawValue }
}

/// A precision, or an override of one, that cannot be had.
public enum PrecisionError: Error, CustomStringConvertible, Equatable {
    /// The text names no mode; these do.
    case unknown(String, allowed: [String])
    /// The pattern of an override matches none of the module's parameters.
    case patternMatchesNothing(pattern: String, parameters: [String])
    /// The text is not of the form PATTERN=TYPE.
    case notAnOverride(String)
    /// An override asks for a type that carries no gradients.
    case notFloatingPoint(pattern: String, type: String)

    /// What was found, what is allowed.
    public var description: String { text(naming: [:]) }

    /// The same, with the options' names in `names` and the library's for others.
    public func text(naming names: [String: String]) -> String { optionText.text(naming: names) }

    private var optionText: OptionText {
        switch self {
        case .unknown(let text, let allowed):
            return "precision '\(text)' is not known; allowed are \(allowed.joined(separator: ", "))"
        case .patternMatchesNothing(let pattern, let parameters):
            return """
                \(inCode: "the precision override", elsewhere: "\(option: "precisionOverrides")") '\(pattern)' matches no \
                parameter; the layers are \(PrecisionError.layers(of: parameters))
                """
        case .notAnOverride(let text):
            return "the precision override '\(text)' is not PATTERN=TYPE, such as head.*=float32; "
                + "allowed types are float64, float32, float16 and bfloat16"
        case .notFloatingPoint(let pattern, let type):
            return "the precision override '\(pattern)' asks for \(type); "
                + "allowed are float64, float32, float16 and bfloat16"
        }
    }

    /// Parameters by layer: `layer1 (weight, bias), layer2 (weight)`; without brackets those of the module itself.
    private static func layers(of parameters: [String]) -> String {
        var layers: [(name: String, members: [String])] = []
        for parameter in parameters {
            let dot = parameter.lastIndex(of: ".")
            let layer = dot.map { String(parameter[..<$0]) } ?? ""
            let member = dot.map { String(parameter[parameter.index(after: $0)...]) } ?? parameter
            if let index = layers.firstIndex(where: { $0.name == layer }) {
                layers[index].members.append(member)
            } else {
                layers.append((layer, [member]))
            }
        }
        return layers.map { layer in
            let members = layer.members.joined(separator: ", ")
            return layer.name.isEmpty ? members : "\(layer.name) (\(members))"
        }.joined(separator: ", ")
    }
}
