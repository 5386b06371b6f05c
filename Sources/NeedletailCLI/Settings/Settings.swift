// Options from four places: flag > environment variable > configuration file > the checkpoint that is resumed > default.
import Foundation
import Needletail
import NeedletailFiles
import NeedletailSettings

/// The arguments of a command with what other places give added to them.
struct Settings {
    /// Where an option's value comes from.
    enum Source {
        case argument, variable(String), file(String), checkpoint(String), byDefault

        /// For people.
        var text: String {
            switch self {
            case .argument: "command line"
            case .variable(let name): name
            case .file(let path): path
            case .checkpoint(let path): "checkpoint \(path)"
            case .byDefault: "default"
            }
        }
    }

    /// What the parser is given.
    let arguments: [String]
    /// Whether the settings are to be printed instead of used.
    let isPrinting: Bool
    /// What is odd about the environment, and does not matter.
    let warnings: [String]
    /// Each option's values and where they come from, in the order of declaration.
    private let chosen: [(option: OptionCatalog.Option, values: [String], source: Source)]?
    private let given: [String]
    private let catalog: @Sendable () throws -> OptionCatalog

    /// Those of the command that runs.
    @TaskLocal static var current: Settings?

    /// Variables of this prefix that belong to the package's build and tests.
    static let foreign: Set<String> = [
        "NEEDLETAIL_PART", "NEEDLETAIL_KILLS", "NEEDLETAIL_SOAK_SECONDS", "NEEDLETAIL_FUZZ_READER",
        "NEEDLETAIL_OPENBLAS_CHOSE", "NEEDLETAIL_PARITY_FILE", "NEEDLETAIL_PRINT_BITS",
    ]

    /// Arguments as they are, where no other place says anything; else with what the environment, a configuration file
    /// and the options that a checkpoint keeps give for options that are not among them.
    init(
        _ given: [String], environment: [String: String],
        catalog makeCatalog: @escaping @Sendable () throws -> OptionCatalog
    ) throws {
        let given = Self.separated(given)
        (self.given, catalog) = (given, makeCatalog)
        let variables = environment.filter { name, value in
            name.hasPrefix(OptionCatalog.prefix) && !Self.foreign.contains(name)
                && !name.hasPrefix("NEEDLETAIL_TEST_") && !value.isEmpty
        }
        let words = given.prefix { $0 != "--" }
        let asks = words.contains { word in
            ["--config", "--print-config", "--resume", "--no-", "--shuffle"].contains { word.hasPrefix($0) }
        }
        // Nothing to add: the catalog is not even made.
        guard asks || !variables.isEmpty else {
            (arguments, isPrinting, chosen, warnings) = (given, false, nil, [])
            return
        }
        let catalog = try makeCatalog()
        let allowed = catalog.variables
        warnings = ForeignVariables.warnings(variables.keys.filter { !allowed.contains($0) }, allowed: allowed)
        let (path, options) = catalog.command(in: given)
        var (kept, own) = Self.split(Array(given.dropFirst(path.count)), options)
        func value(_ name: String) -> String? {
            guard let option = options.first(where: { $0.name == name }) else { return nil }
            return own[name].map { $0.last ?? "" } ?? variables[option.variable]
        }
        let file = try value("config").map { path in
            try ConfigurationFile(path, allowed: options.map(\.name).filter { !Self.notInFiles.contains($0) })
        }
        let checkpoint = Self.checkpoint(
            value("resume") ?? file?.values["resume"]?.last, in: value("checkpoint") ?? file?.values["checkpoint"]?.last
        )
        var added: [String] = []
        var chosen: [(OptionCatalog.Option, [String], Source)] = []
        for option in options {
            if let values = own[option.name] {
                chosen.append((option, values, .argument))
                // A flag that was turned off stays away.
                if option.isFlag, values == ["false"] { continue }
                own[option.name] = nil
                continue
            }
            let (values, source): ([String], Source)
            if let text = variables[option.variable] {
                let list = option.isRepeating ? text.split(separator: ",").map(String.init) : [text]
                (values, source) = (list, .variable(option.variable))
            } else if let found = file?.values[option.name], let file {
                let isList = option.isRepeating || option.isFlag || found.isEmpty
                (values, source) = (isList ? found : [found.joined(separator: ",")], .file(file.path))
            } else if let found = checkpoint?.options[option.name] {
                (values, source) = (found, .checkpoint(checkpoint?.path ?? ""))
            } else {
                chosen.append((option, option.defaultValue.map { [$0] } ?? [], .byDefault))
                continue
            }
            chosen.append((option, values, source))
            if option.isFlag {
                if try Self.truth(values.last ?? "false", option, source) { added.append("--" + option.name) }
            } else {
                added += values.map { "--\(option.name)=\($0)" }
            }
        }
        kept.insert(contentsOf: added, at: 0)
        arguments = path + Self.separated(kept)
        isPrinting = chosen.contains {
            $0.0.name == "print-config" && ($0.1.last ?? "true") != "false" && !$0.2.isDefault
        }
        self.chosen = chosen
    }

    /// Options that a file does not set: itself, and what is done instead of training.
    private static let notInFiles: Set<String> = ["config", "print-config"]

    // MARK: Arguments

    /// Arguments in which `--name=value` is two where the value begins with an accent, which a string takes for a part of the sign
    /// before it: the parser would not see the sign.
    private static func separated(_ arguments: [String]) -> [String] {
        arguments.flatMap { word -> [String] in
            guard word.hasPrefix("--"), !word.contains("="), let sign = word.utf8.firstIndex(of: UInt8(ascii: "="))
            else { return [word] }
            return [String(word[..<sign]), String(word[word.utf8.index(after: sign)...])]
        }
    }

    /// The arguments without flags that are turned off, and what they give for each option.
    private static func split(
        _ arguments: [String], _ options: [OptionCatalog.Option]
    ) -> (kept: [String], own: [String: [String]]) {
        var kept: [String] = [], own: [String: [String]] = [:]
        var rest = arguments[...]
        while let word = rest.popFirst() {
            guard word != "--" else {
                kept += [word] + rest
                break
            }
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = word.hasPrefix("--") ? String(parts.first ?? "") : ""
            if let option = options.first(where: { $0.name == name }) {
                kept.append(word)
                if option.isFlag {
                    own[name] = ["true"]
                } else if parts.count == 2 {
                    own[name, default: []].append(String(parts[1]))
                } else if let value = rest.popFirst() {
                    kept.append(value)
                    own[name, default: []].append(value)
                }
            } else if let option = options.first(where: { $0.isFlag && $0.opposite == name }), parts.count == 1 {
                own[option.name] = ["false"]
                kept.removeAll { $0 == "--" + option.name }
            } else {
                kept.append(word)
            }
        }
        return (kept, own)
    }

    private static func truth(_ text: String, _ option: OptionCatalog.Option, _ source: Source) throws -> Bool {
        switch text.lowercased() {
        case "true", "yes", "on", "1": return true
        case "false", "no", "off", "0": return false
        default:
            throw CommandError.usage("\(option.name) is '\(text)' (from \(source.text)), expected true or false")
        }
    }

    // MARK: Checkpoints

    /// The options that the checkpoint to resume keeps; nil where there is none that can be read, of which `train` tells.
    private static func checkpoint(
        _ resume: String?, in folder: String?
    ) -> (path: String, options: [String: [String]])? {
        guard let resume, resume != "last" || folder != nil else { return nil }
        let path = resume == "last" ? Checkpoint.newestFit(in: folder ?? "").folder + "/last" : resume
        guard let checkpoint = try? Checkpoint(path), case .object(let members)? = checkpoint.hyperparameters["options"]
        else { return nil }
        var options = members.mapValues { value -> [String] in
            guard case .array(let values) = value else { return [] }
            return values.compactMap { if case .string(let text) = $0 { text } else { nil } }
        }
        options["precision"] = [checkpoint.precision.rawValue]  // what auto has chosen, too
        return (path, options)
    }

    // MARK: Output

    /// The options of these names, as lists of texts: for checkpoints.
    func options(_ names: Set<String>) throws -> JSONValue {
        let chosen = try self.chosen ?? Self.given(given, try catalog())
        var members: [String: JSONValue] = [:]
        for (option, values, _) in chosen where names.contains(option.name) && !values.isEmpty {
            // Newer than the recorded checkpoints: at its default it leaves their bytes as they were.
            if option.name == "model", values == ["mlp"] { continue }
            members[option.name] = .array(values.map { .string($0) })
        }
        return .object(members)
    }

    /// The options where nothing but arguments gives them.
    private static func given(
        _ arguments: [String], _ catalog: OptionCatalog
    ) -> [(option: OptionCatalog.Option, values: [String], source: Source)] {
        let (path, options) = catalog.command(in: arguments)
        let (_, own) = split(Array(arguments.dropFirst(path.count)), options)
        return options.map { option in
            own[option.name].map { (option, $0, .argument) }
                ?? (option, option.defaultValue.map { [$0] } ?? [], .byDefault)
        }
    }

    /// The last value of an option, as text; nil where it has none.
    func value(of name: String) -> String? {
        guard let chosen = try? self.chosen ?? Self.given(given, catalog()) else { return nil }
        return chosen.first { $0.option.name == name }?.values.last
    }

    /// Every option with its value and where that comes from, as a file for `--config`.
    var text: String {
        let rows = (chosen ?? []).filter { !Self.notInFiles.contains($0.option.name) }.map { option, values, source in
            values.isEmpty && !option.isFlag
                ? ("# \(option.name):", "not set")
                : ("\(option.name): \(Self.yaml(option, values))", FilePath.readable(source.text, isOneLine: true))
        }
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { "\($0.0.padded(width))  # \($0.1)\n" }.joined()
    }

    private static func yaml(_ option: OptionCatalog.Option, _ values: [String]) -> String {
        if option.isFlag { return (values.last ?? "false") }
        let texts = values.map { text in
            text.wholeMatch(of: /[A-Za-z0-9.][A-Za-z0-9._\/+-]*/) != nil && !["null", "true", "false"].contains(text)
                ? text : JSONValue.string(text).text
        }
        return option.isRepeating ? "[" + texts.joined(separator: ", ") + "]" : texts.last ?? ""
    }

    /// What a message about options, or about files that they name, lacks: where their values came from, where those are no
    /// arguments.
    func source(ofOptionIn message: String) -> String {
        let marks: CharacterSet = ["'", ":", ",", ";", "(", ")"]
        let words = Set(message.split(separator: " ").map { $0.trimmingCharacters(in: marks) })
        let origins = (chosen ?? []).compactMap { option, values, _ -> String? in
            guard let origin = origin(of: option.name) else { return nil }
            // Shorter values, and numbers, stand in many a message by chance.
            let isQuoted = values.contains { value in
                value.utf8.count > 2 && Double(value) == nil
                    && (words.contains(value) || message.hasPrefix(value + ":"))
            }
            return isQuoted || Self.names(option.name, in: message) ? "\(option.name) is from \(origin)" : nil
        }
        return origins.isEmpty ? "" : " (" + origins.joined(separator: ", ") + ")"
    }

    /// Whether a message names an option: as a whole word, so that `--schedule-steps` does not name `--schedule`.
    private static func names(_ option: String, in message: String) -> Bool {
        message.ranges(of: "--\(option)").contains { range in
            guard range.upperBound < message.endIndex else { return true }
            let next = message[range.upperBound]
            return !(next.isLetter || next.isNumber || next == "-")
        }
    }

    /// Where an option's value comes from, where that is neither an argument nor its default.
    func origin(of name: String) -> String? {
        guard let source = chosen?.first(where: { $0.option.name == name })?.source else { return nil }
        switch source {
        case .argument, .byDefault: return nil
        default: return source.text
        }
    }

    /// What the trainer's options are called, and where their values come from.
    var optionNames: [String: String] { OptionFlags.names(origin: origin) }
}

extension Settings.Source {
    fileprivate var isDefault: Bool { if case .byDefault = self { true } else { false } }
}
