// What values an option takes, for the errors of the parser, which names only what it has found.
import ArgumentParser
import Needletail

/// What an option's type takes, found where the commands declare the option.
enum ExpectedValue {
    /// What the option `name` of a command takes; nil where its type does not tell.
    static func text(ofOption name: String, in command: any ParsableArguments.Type) -> String? {
        for child in Mirror(reflecting: command.init()).children {
            if let group = child.value as? any OptionGroupContent {
                if let text = text(ofOption: name, in: type(of: group).content) { return text }
            } else if let option = child.value as? any TypedOption, let label = child.label,
                flag(of: label, in: command) == name
            {
                return text(of: type(of: option).value)
            }
        }
        return nil
    }

    /// The option's name in a property's label, `_batchSize`.
    private static func flag(of label: String, in command: any ParsableArguments.Type) -> String {
        if command == ThreadOptions.self { return "threads" }
        return label.drop { $0 == "_" }.reduce("") { $0 + ($1.isUppercase ? "-" + $1.lowercased() : String($1)) }
    }

    private static func text(of type: Any.Type) -> String? {
        if type == Int.self || type == Int?.self { return "a whole number" }
        if type == UInt64.self || type == UInt64?.self { return "a whole number from 0 to \(UInt64.max)" }
        if type == Double.self || type == Double?.self { return "a number" }
        if type == BatchLimit.self || type == BatchLimit?.self {
            return "a count such as 20, or a share from 0.0 to 1.0"
        }
        if type == GradientClipping.self || type == GradientClipping?.self {
            return "a number above 0, or norm1:, norm2:, norm3:, norm-inf: or value: and one"
        }
        if type == LayerWidths.self { return "numbers from 1 on with commas between, such as 128,256" }
        if type == MatMulAccumulation?.self { return "float32 or chunked:32" }
        return nil
    }
}

private protocol TypedOption { static var value: Any.Type { get } }

extension Option: TypedOption { fileprivate static var value: Any.Type { Value.self } }

private protocol OptionGroupContent { static var content: any ParsableArguments.Type { get } }

extension OptionGroup: OptionGroupContent { fileprivate static var content: any ParsableArguments.Type { Value.self } }
