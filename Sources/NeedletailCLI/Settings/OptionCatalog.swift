// What options the commands have, as they declare them: the parser's own description of itself. So an option that is
// declared once is a flag, an environment variable and a key of a configuration file.
import ArgumentParser
import Foundation

/// The options of every command.
struct OptionCatalog {
    /// An option or a flag with a long name.
    struct Option {
        let name: String
        /// Whether it is there or not, and takes no value.
        let isFlag: Bool
        /// Whether it may be given several times.
        let isRepeating: Bool
        /// What it is where nobody gives it; nil for nothing.
        let defaultValue: String?
        let help: String?

        /// The environment variable that sets it.
        var variable: String {
            OptionCatalog.prefix + name.uppercased().replacingOccurrences(of: "-", with: "_")
        }

        /// What turns a flag off again on the command line.
        var opposite: String { name.hasPrefix("no-") ? String(name.dropFirst(3)) : "no-" + name }
    }

    /// How names of environment variables begin.
    static let prefix = "NEEDLETAIL_"

    private let root: Command

    /// The catalog of a command and its sub-commands.
    init(of command: any ParsableCommand.Type) throws {
        do {
            _ = try command.parseAsRoot(["--experimental-dump-help"])
            throw CommandError.usage("the options cannot be listed")
        } catch let error as CommandError {
            throw error
        } catch {
            root = try JSONDecoder().decode(Tool.self, from: Data(command.fullMessage(for: error).utf8)).command
        }
    }

    /// The command that arguments name, as the words of its path, and its options.
    func command(in arguments: [String]) -> (path: [String], options: [Option]) {
        var (command, path) = (root, [String]())
        for word in arguments {
            guard let next = command.subcommands?.first(where: { $0.commandName == word }) else { break }
            (command, path) = (next, path + [word])
        }
        // A command with a default sub-command stands for it.
        while let name = command.defaultSubcommand,
            let next = command.subcommands?.first(where: { $0.commandName == name })
        {
            command = next
        }
        return (path, command.options)
    }

    /// Every variable that sets an option of any command.
    var variables: Set<String> {
        func all(_ command: Command) -> [String] {
            command.options.map(\.variable) + (command.subcommands ?? []).flatMap(all)
        }
        return Set(all(root))
    }

    private struct Tool: Decodable { let command: Command }

    private struct Command: Decodable {
        let commandName: String
        let defaultSubcommand: String?
        let subcommands: [Command]?
        let arguments: [Argument]?

        var options: [Option] {
            (arguments ?? []).compactMap { argument in
                guard argument.kind != "positional",
                    let name = argument.names?.first(where: { $0.kind == "long" })?.name,
                    !["help", "version"].contains(name)
                else { return nil }
                return Option(
                    name: name, isFlag: argument.kind == "flag", isRepeating: argument.isRepeating,
                    defaultValue: argument.defaultValue, help: argument.abstract)
            }
        }
    }

    private struct Argument: Decodable {
        struct Name: Decodable { let kind: String, name: String }
        let kind: String
        let isRepeating: Bool
        let names: [Name]?
        let defaultValue: String?
        let abstract: String?
    }
}
