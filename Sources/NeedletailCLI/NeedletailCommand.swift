// The command `needletail`: its sub-commands, and how an error becomes one line and an exit code.
import ArgumentParser
import Foundation
import Needletail
import NeedletailBench
import NeedletailFiles

@main
struct NeedletailCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "needletail",
        abstract: "Trains and runs neural networks in 16-bit precision on CPUs.",
        discussion: """
            Start with:  needletail train
            It trains a small network on handwritten digits that are part of the program.

            Exit codes: 0 done, 1 bench compare found something slower or verify a broken promise, 64 wrong arguments (also a \
            --checkpoint folder that holds another run), 65 bad or missing data, 70 training diverged, 71 memory ran out, 74 a \
            result could not be written, 130 and 143 training was ended by SIGINT or \
            SIGTERM, and saved, 141 the reader of its output went away.
            """,
        version: "0.1.0",
        subcommands: [
            TrainCommand.self, EvaluateCommand.self, PredictCommand.self, InspectCommand.self, BenchCommand.self,
            DoctorCommand.self, VerifyCommand.self, TrainGPTCommand.self, GenerateCommand.self,
        ])

    static func main() {
        setOutOfMemoryHandler { message in
            complain(message)
            _exit(CommandError.memory(message).exitCode.rawValue)  // nothing of the program can go on, also at its exit
        }
        // A file above the limit of sizes, or a pipe that nobody reads, is then a write that fails, and is reported.
        signal(SIGXFSZ, SIG_IGN)
        signal(SIGPIPE, SIG_IGN)
        do {
            let settings = try Settings(
                withNegativeNumbers(withModelsCommand(ProcessSurroundings.arguments)),
                environment: ProcessSurroundings.variables
            ) { try OptionCatalog(of: self) }
            // A process that `bench` has started anew has told of it already.
            if !OpenBLASChoice.hasStartedAgain {
                for warning in settings.warnings + KernelInfo.variableProblems { complain("warning: " + warning) }
            }
            try run(settings)
            try StandardOutput.check()
            guard fflush(nil) == 0 else {  // what a library has printed
                throw CommandError.unprinted(systemError: errno, saved: nil)
            }
        } catch {
            leave(because: error)
        }
    }

    /// `train --model gpt` as `train-gpt`, which has other options.
    static func withModelsCommand(_ arguments: [String]) -> [String] {
        guard arguments.first == "train" else { return arguments }
        let isGPT =
            arguments.contains("--model=gpt")
            || zip(arguments, arguments.dropFirst()).contains { $0 == "--model" && $1 == "gpt" }
        return isGPT ? ["train-gpt"] + arguments.dropFirst() : arguments
    }

    /// `--epochs -1` as `--epochs=-1`: the parser takes a word that begins with a minus for an option, and says that the value is
    /// missing.
    static func withNegativeNumbers(_ arguments: [String]) -> [String] {
        var joined: [String] = []
        var rest = arguments[...]
        while let word = rest.popFirst() {
            if word == "--" { return joined + [word] + rest }
            if word.hasPrefix("--"), !word.contains("="), let next = rest.first, next.hasPrefix("-"),
                Double(next) != nil || next.dropFirst().first?.isNumber == true
            {
                joined.append("\(word)=\(rest.removeFirst())")
            } else {
                joined.append(word)
            }
        }
        return joined
    }

    /// Parses and runs the command that the settings name, or prints them.
    private static func run(_ settings: Settings) throws {
        var command: any ParsableCommand
        do { command = try parseAsRoot(settings.arguments) } catch {
            guard exitCode(for: error) == .validationFailure else { throw error }
            let message = message(for: error), addition = expected(in: message) + settings.source(ofOptionIn: message)
            if addition.isEmpty { throw error }
            throw CommandError.usage(message + addition)
        }
        if settings.isPrinting {
            try StandardOutput.write(settings.text)
        } else {
            do { try Settings.$current.withValue(settings) { try command.run() } } catch {
                throw CommandError(describing: error, in: settings) ?? error
            }
        }
    }

    /// What the parser's message about a value lacks: which ones there are.
    private static func expected(in message: String) -> String {
        guard let name = message.wholeMatch(of: /The value '.*' is invalid for '--([a-z0-9-]+) <[^>]*>'/)?.1 else {
            return ""
        }
        let expected = configuration.subcommands.lazy.compactMap { ExpectedValue.text(ofOption: String(name), in: $0) }
        return expected.first.map { ", expected " + $0 } ?? ""
    }

    /// Prints help where that was asked for, else one line on standard error (the autopsy's lines where training
    /// diverged); ends the process with the error's exit code.
    private static func leave(because error: any Error) -> Never {
        if let code = error as? ExitCode { Foundation.exit(code.rawValue) }
        if let error = CommandError(describing: error) {
            if error.isSilent { Foundation.exit(error.exitCode.rawValue) }
            var separator = " "
            if case .diverged = error { separator = "\n" }
            complain(error.description, separator: separator)
            Foundation.exit(error.exitCode.rawValue)
        }
        let code = exitCode(for: error)
        switch code {
        case .success: succeed(printing: fullMessage(for: error))
        case .validationFailure: complain(message(for: error) + " (--help lists what is allowed)")
        default: StandardError.line(fullMessage(for: error))
        }
        Foundation.exit(code.rawValue)
    }

    /// Prints what was asked for, such as help, and ends the process.
    private static func succeed(printing text: String) -> Never {
        do { try StandardOutput.line(text) } catch { leave(because: error) }
        Foundation.exit(0)
    }

    private static func complain(_ message: String, separator: String = " ") {
        StandardError.line(
            "needletail: " + FilePath.readable(message.split(separator: "\n").joined(separator: separator)))
    }
}
