// What a command says when it cannot go on, and the exit code that tells a script which kind of trouble it was.
import ArgumentParser
import Foundation
import Needletail
import NeedletailFiles
import NeedletailSettings

/// An error with one clear line and an exit code of sysexits.h.
enum CommandError: Error, CustomStringConvertible {
    /// The arguments do not make sense together: exit code 64.
    case usage(String)
    /// A file is missing, damaged or not what was asked for: exit code 65.
    case data(String)
    /// Training cannot go on: exit code 70.
    case diverged(String)
    /// Memory has run out: exit code 71.
    case memory(String)
    /// A result could not be written: exit code 74.
    case output(String)
    /// Standard output does not take any more: exit code 74, and without a word 141, as of SIGPIPE, where a pipe's reader has
    /// gone away. `saved` is the checkpoint of the training that this has ended.
    case unprinted(systemError: Int32, saved: String?)
    /// A signal has ended training: exit code 128 + its number.
    case interrupted(String, code: Int32)

    var description: String {
        switch self {
        case .usage(let message), .data(let message), .diverged(let message), .memory(let message),
            .output(let message),
            .interrupted(let message, _):
            message
        case .unprinted(let systemError, let saved):
            "standard output: \(systemError == EBADF ? "it is closed" : String(cString: strerror(systemError)))"
                + (saved.map { "; saved \($0)" } ?? "")
        }
    }

    /// Whether nothing is said: whoever has stopped reading knows.
    var isSilent: Bool {
        if case .unprinted(EPIPE, _) = self { true } else { false }
    }

    var exitCode: ExitCode {
        switch self {
        case .usage: ExitCode(64)
        case .data: ExitCode(65)
        case .diverged: ExitCode(70)
        case .memory: ExitCode(71)
        case .output: ExitCode(74)
        case .unprinted(let systemError, _): ExitCode(systemError == EPIPE ? 128 + SIGPIPE : 74)
        case .interrupted(_, let code): ExitCode(code)
        }
    }
}

extension CommandError {
    /// What an error means for the command that `settings` are of, with the options' names and where their values come from; nil
    /// as below.
    init?(describing error: any Error, in settings: Settings) {
        let names = settings.optionNames
        switch error {
        case let error as CommandError: self = error.adding(settings.source(ofOptionIn: error.description))
        case let error as TrainingDiverged: self = .diverged(error.text(naming: names))
        case let error as PrecisionError: self = .usage(error.text(naming: names))
        case let error as TrainerError:
            switch error {
            case .badBatch, .noBatches: self = .data(error.text(naming: names))
            default: self = .usage(error.text(naming: names))
            }
        default:
            guard let known = CommandError(describing: error) else { return nil }
            self = known.adding(settings.source(ofOptionIn: known.description))
        }
    }

    /// The error with more to say.
    private func adding(_ text: String) -> CommandError {
        switch self {
        case .usage(let message): .usage(message + text)
        case .data(let message): .data(message + text)
        case .output(let message): .output(message + text)
        case .diverged, .memory, .unprinted, .interrupted: self
        }
    }

    private init(describing error: CheckpointError) {
        switch error.problem {
        case .notWritten: self = .output("\(error)")
        case .occupied(let names):
            self = .usage(
                "--checkpoint \(error.path): holds \(CheckpointError.list(names)) of another run; go on from there with "
                    + "--resume last, give another --checkpoint, or replace all of it with --overwrite")
        case .inUse:
            self = .usage(
                "--checkpoint \(error.path): another run writes to it; wait for its end, or give another --checkpoint")
        default: self = .data("\(error)")
        }
    }

    /// What an error of the library means for the command; nil for one that says nothing about it, such as a parser's.
    init?(describing error: any Error) {
        switch error {
        case let error as CommandError: self = error
        case let error as ConfigurationError:
            self = error.problem == .content ? .usage("\(error)") : .data("\(error)")
        case let error as RunInterrupted where error.signal == SIGPIPE:
            do { try StandardOutput.check(saved: error.checkpoint) } catch let failure as CommandError {
                self = failure
                return
            } catch {}
            self = .interrupted("\(error)", code: error.exitCode)
        case let error as RunInterrupted: self = .interrupted("\(error)", code: error.exitCode)
        case let error as TrainingDiverged: self = .diverged("\(error)")
        case let error as TrainerError:
            if case .badBatch = error { self = .data("\(error)") } else { self = .usage("\(error)") }
        case let error as OperationError where error.isOutOfMemory: self = .memory("\(error)")
        case let error as OperationError: self = .data("\(error)")
        case let error as ScheduleError: self = .usage("\(error)")
        case let error as PrecisionError: self = .usage("\(error)")
        case let error as MatMulAccumulationError: self = .usage("\(error)")
        case let error as CheckpointError:
            self.init(describing: error)
        case is AtomicFileError, is LogFileError, is OutputError, is MLflowError: self = .output("\(error)")
        case is DataFileError, is DatasetError, is SafeTensorsError, is PatternError, is StateDictionaryError,
            is TargetError, is ShapeError,
            is GPTFormatError,
            is UnknownCharacterError:
            self = .data("\(error)")
        default: return nil
        }
    }
}
