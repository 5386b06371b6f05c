// Standard output and standard error that are closed, full, or that nobody reads any more: for every sub-command.
import Foundation
import Needletail
import Testing

@Suite struct StandardStreamTests {
    /// What the commands read, made once.
    private final class Materials: Sendable {
        let scratch: Scratch
        init() throws {
            scratch = try Scratch()
            let text = scratch.path("text")
            try Data(String(repeating: "to be or not to be\n", count: 60).utf8).write(to: URL(fileURLWithPath: text))
            try Data([UInt8](repeating: 7, count: 64)).write(to: URL(fileURLWithPath: scratch.path("image")))
            _ = try Needletail.succeeds("train --quiet --epochs 1 --checkpoint \(scratch.path("mlp"))")
            _ = try Needletail.succeeds(
                "train-gpt --quiet --data \(text) --layers 1 --heads 1 --width 8 --context 8 --max-steps 2 "
                    + "--checkpoint \(scratch.path("gpt"))")
            let bench = try Needletail.succeeds("bench nll --shapes 8x8 --min-time 0.001 --rounds 1 --json")
            try Data(bench.output.utf8).write(to: URL(fileURLWithPath: scratch.path("bench")))
        }

        /// Every sub-command by name, in a folder of its own for what it writes.
        func commands(_ folder: String) -> [(name: String, arguments: String)] {
            func path(_ name: String) -> String { scratch.path(name) }
            let logs = "--csv \(folder)/log.csv --metrics \(folder)/log.jsonl"
            return [
                ("train", "train --epochs 2 --log-every-n-steps 1 \(logs) --overwrite --checkpoint \(folder)/run"),
                ("train --quiet", "train --quiet --epochs 1 --log-every-n-steps 1 \(logs)"),
                (
                    "train-gpt",
                    "train-gpt --data \(path("text")) --layers 1 --heads 1 --width 8 --context 8 --max-steps 4 "
                        + "--log-every-n-steps 1 \(logs)"
                ),
                ("evaluate", "evaluate \(path("mlp"))"), ("evaluate --json", "evaluate --json \(path("mlp"))"),
                ("predict", "predict \(path("mlp")) \(path("image"))"), ("inspect", "inspect \(path("mlp"))"),
                ("generate", "generate \(path("gpt")) --prompt to --count 20"),
                ("bench", "bench nll --shapes 8x8 --min-time 0.001 --rounds 1"),
                ("bench --json", "bench nll --shapes 8x8 --min-time 0.001 --rounds 1 --json"),
                ("bench compare", "bench compare \(path("bench")) \(path("bench"))"),
                ("bench trainer", "bench trainer --rounds 1 --precision bf16-mixed"), ("doctor", "doctor"),
                ("verify", "verify --kernel ref"), ("--help", "--help"), ("train --help", "train --help"),
                ("help", "help train"), ("--version", "--version"), ("--print-config", "train --print-config"),
                ("--generate-completion-script", "--generate-completion-script bash"),
            ]
        }
    }

    private static let materials = Result { try Materials() }

    /// What standard output is, and the exit code that it gives.
    private static let outputs: [(stream: SpawnedNeedletail.Stream, status: Int32)] = [
        (.closed, 74), (.file("/dev/full"), 74), (.withoutReader(ignored: false), 141),
        (.withoutReader(ignored: true), 141),
    ]

    /// The names are those of `Materials.commands`: a command that is missing here would not be tried.
    static let names = [
        "train", "train --quiet", "train-gpt", "evaluate", "evaluate --json", "predict", "inspect", "generate", "bench",
        "bench --json", "bench compare", "bench trainer", "doctor", "verify", "--help", "train --help", "help",
        "--version", "--print-config", "--generate-completion-script",
    ]

    @Test(arguments: names) func everyCommandEndsWithTheCodeOfItsStreams(_ name: String) throws {
        let materials = try Self.materials.get()
        let files = try Scratch()
        let command = try #require(materials.commands(files.folder.path).first { $0.name == name })
        for (output, status) in Self.outputs {
            let run = try SpawnedNeedletail(command.arguments, output: output)
            #expect(run.wait().status == status, "\(name), \(output): \(run.complaint)")
            if status == 74 {
                #expect(run.complaint.contains("needletail: standard output: "), "\(name): \(run.complaint)")
            } else {
                #expect(!run.complaint.contains("needletail:"), "\(name), \(output): \(run.complaint)")
            }
            try Self.expectOwnTextOnly(in: files)
        }
        // Standard error that takes nothing changes no exit code, with an output that works or without.
        for error in [.closed, .file("/dev/full"), .withoutReader(ignored: false)] as [SpawnedNeedletail.Stream] {
            let run = try SpawnedNeedletail(command.arguments, error: error)
            #expect(run.wait().status == 0, "\(name), errors \(error)")
            let both = try SpawnedNeedletail(command.arguments, output: .closed, error: error)
            #expect(both.wait().status == 74, "\(name), output closed, errors \(error)")
            try Self.expectOwnTextOnly(in: files)
        }
    }

    /// Logs hold rows and objects, and nothing that was meant for people.
    private static func expectOwnTextOnly(in files: Scratch) throws {
        for (name, data) in try files.files(below: ".") {
            let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
            if name.hasSuffix(".csv") {
                #expect(lines.allSatisfy { $0.hasPrefix("epoch,step,") || $0.first?.isNumber == true }, "\(lines)")
            } else if name.hasSuffix(".jsonl") {
                for line in lines {
                    #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line.utf8)) }
                }
            }
        }
    }

    /// Errors keep their codes where nobody can read of them.
    @Test(arguments: [
        ("evaluate nowhere", Int32(65)), ("train --epochs -1", 64), ("nonsense", 64), ("inspect nowhere", 65),
        ("train --report /dev/null/x", 74), ("train --learning-rate 1e30 --epochs 3", 70),
    ]) func errorsKeepTheirCodesWithoutStandardError(_ arguments: String, _ status: Int32) throws {
        for error in [.closed, .file("/dev/full"), .withoutReader(ignored: false), .withoutReader(ignored: true)]
            as [SpawnedNeedletail.Stream]
        {
            let run = try SpawnedNeedletail(arguments, error: error)
            #expect(run.wait().status == status, "\(arguments), errors \(error)")
        }
    }

    /// What was trained before its reader went away is saved, without a word, and the run goes on from there bit for bit.
    @Test func trainingWhoseReaderGoesAwayIsSaved() throws {
        let scratch = try Scratch()
        let options = "train --batch-size 16 --epochs"
        let run = try SpawnedNeedletail(
            "\(options) 500 --checkpoint \(scratch.path("run"))", output: .pipe(blocks: true))
        #expect(run.read(until: "Epoch 1").contains("Epoch 1"))
        run.stopReading()
        let (status, seconds) = run.wait()
        #expect(status == 141 && run.complaint == "" && seconds < 20, "\(status) \(run.complaint)")
        let epochs = try Checkpoint(scratch.path("run/last")).state.epoch + 1
        for place in ["--checkpoint \(scratch.path("run")) --resume last", "--checkpoint \(scratch.path("whole"))"] {
            _ = try Needletail.succeeds("\(options) \(epochs) --quiet \(place)")
        }
        #expect(try scratch.files(below: "run/last") == scratch.files(below: "whole/last"))
    }

    /// Nobody can be shown what training does: it does not begin.
    @Test func trainingThatCannotBeShownDoesNotBegin() throws {
        let scratch = try Scratch()
        for output in [.closed, .file("/dev/full")] as [SpawnedNeedletail.Stream] {
            let run = try SpawnedNeedletail("train --epochs 500 --checkpoint \(scratch.path("run"))", output: output)
            #expect(run.wait().status == 74)
            #expect(!FileManager.default.fileExists(atPath: scratch.path("run/last")))
        }
    }

    /// A pipe that another program has set not to block is waited for.
    @Test func aPipeThatDoesNotBlockLosesNothing() throws {
        let arguments = "--experimental-dump-help"  // longer than a pipe's buffer
        let run = try SpawnedNeedletail(arguments, output: .pipe(blocks: false))
        usleep(300_000)
        let text = run.read()
        #expect(run.wait().status == 0 && text.utf8.count > 65_536, "\(text.utf8.count) \(run.complaint)")
        let whole = try Needletail.succeeds(arguments).output
        #expect(text == whole)
    }

    /// The first text of all is what a file that is opened later must not get.
    @Test func aFileThatIsOpenedFirstIsNoStandardStream() throws {
        let scratch = try Scratch()
        for (output, error) in [(.closed, .scratch), (.scratch, .closed), (.closed, .closed)]
            as [(SpawnedNeedletail.Stream, SpawnedNeedletail.Stream)]
        {
            let path = scratch.path("log.jsonl")
            let run = try SpawnedNeedletail("train --epochs 1 --metrics \(path)", output: output, error: error)
            _ = run.wait()
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            #expect(text.split(separator: "\n").allSatisfy { $0.hasPrefix("{\"event\":") }, "\(text)")
        }
    }
}
