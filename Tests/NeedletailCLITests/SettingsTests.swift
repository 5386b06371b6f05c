// Options from the command line, the environment, a file and a checkpoint.
import Foundation
import Testing

@Suite struct SettingsTests {
    /// What `--print-config` says: value and origin by option.
    private func settings(
        _ arguments: String, _ environment: [String: String] = [:], location: SourceLocation = #_sourceLocation
    ) throws -> [String: (value: String, source: String)] {
        let words = arguments.split(separator: " ").map(String.init)
        let run = try Needletail(["train"] + words + ["--print-config"], environment: environment)
        #expect(run.status == 0, "\(run.complaint)", sourceLocation: location)
        return Self.parsed(run.output)
    }

    private static func parsed(_ text: String) -> [String: (value: String, source: String)] {
        var found: [String: (String, String)] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "  # ", maxSplits: 1)
            let pair = parts[0].split(separator: ":", maxSplits: 1)
            let name = pair[0].replacingOccurrences(of: "# ", with: "")
            let value = pair.count > 1 ? pair[1].trimmingCharacters(in: .whitespaces) : ""
            found[name] = (value, parts.count > 1 ? String(parts[1]) : "")
        }
        return found
    }

    private func config(_ text: String, _ scratch: Scratch, _ name: String = "run.yaml") throws -> String {
        try scratch.write(Array(text.utf8), name)
    }

    @Test func aFlagComesBeforeTheEnvironmentBeforeTheFile() throws {
        let scratch = try Scratch()
        let path = try config("epochs: 3\nbatch-size: 32\nseed: 1\n# a comment\nhidden: [8, 4]\nquiet: true\n", scratch)
        let found = try settings(
            "--config \(path) --seed=7", ["NEEDLETAIL_SEED": "5", "NEEDLETAIL_BATCH_SIZE": "16", "NEEDLETAIL_CLIP": ""])
        #expect(found["seed"]! == ("7", "command line"))
        #expect(found["batch-size"]! == ("16", "NEEDLETAIL_BATCH_SIZE"))
        #expect(found["epochs"]! == ("3", path))
        #expect(found["hidden"]! == ("\"8,4\"", path))
        #expect(found["quiet"]! == ("true", path))
        #expect(found["precision"]! == ("32-true", "default"))
        #expect(found["clip"]! == ("", "not set"))
        // A file may be named by the environment, and turned off flag by flag.
        let other = try settings("--no-quiet", ["NEEDLETAIL_CONFIG": path])
        #expect(other["quiet"]! == ("false", "command line") && other["epochs"]! == ("3", path))
    }

    /// What is printed, given as a file, is what is printed again; JSON says the same as YAML.
    @Test func printedSettingsAreAFile() throws {
        let scratch = try Scratch()
        let arguments =
            "train --print-config --epochs 2 --precision bf16-mixed --keep layer3.*=float32 --keep l*=bfloat16 --quiet "
            + "--hidden 16,8 --clip norm1:0.5 --max-time 1:30 --limit-train-batches 0.5 --val-check-interval 10"
        let first = try Needletail.succeeds(arguments)
        let path = try config(first.output, scratch)
        let second = try Needletail.succeeds("train --config \(path) --print-config")
        let (a, b) = (Self.parsed(first.output), Self.parsed(second.output))
        #expect(a.count > 30 && a.keys == b.keys)
        for (name, value) in a { #expect(b[name]?.value == value.value, "\(name)") }
        #expect(b["keep"]!.value == "[\"layer3.*=float32\", \"l*=bfloat16\"]" && b["max-time"]!.value == "\"1:30\"")
        let marked = try config("\u{FEFF}epochs: 2\r\nquiet: true\r\n", scratch, "marked.yaml")
        #expect(try settings("--config \(marked)")["epochs"]! == ("2", marked))
        let json = try config(
            #"{"epochs": 2, "quiet": true, "keep": ["a=float32"], "learning-rate": 1e-2, "hidden": "4", "clip": null}"#,
            scratch,
            "run.json")
        let found = try settings("--config \(json)")
        #expect(
            found["epochs"]!.value == "2" && found["learning-rate"]!.value == "1e-2" && found["quiet"]!.value == "true")
        #expect(found["keep"]!.value == "[\"a=float32\"]" && found["clip"]!.source == "not set")
    }

    /// Every option of `train` is a variable too: set to what it is by default, all of them at once.
    @Test func everyOptionIsAVariable() throws {
        let defaults = try settings("")
        var environment: [String: String] = [:]
        for (name, setting) in defaults where setting.source == "default" {
            let variable = "NEEDLETAIL_" + name.uppercased().replacingOccurrences(of: "-", with: "_")
            environment[variable] = setting.value.trimmingCharacters(in: CharacterSet(charactersIn: "\""))
        }
        #expect(environment.count > 15 && environment["NEEDLETAIL_BATCH_SIZE"] == "64")
        let found = try settings("", environment)
        for (name, setting) in defaults where setting.source == "default" {
            #expect(
                found[name]?.value == setting.value && found[name]?.source.hasPrefix("NEEDLETAIL_") == true, "\(name)")
        }
    }

    @Test func unknownNamesAreErrorsThatListWhatIsAllowed() throws {
        let scratch = try Scratch()
        let unknown = try Needletail(["train", "--config", config("epochs: 1\nepoch: 3\n", scratch)])
        #expect(unknown.status == 64 && unknown.complaints.count == 1)
        #expect(unknown.complaint.contains("line 2: found 'epoch', expected one of accumulate, batch-size, "))
        // Another command's variable is none of this command's business; one of the tests' is nobody's.
        let others = ["NEEDLETAIL_TEST_X": "1", "NEEDLETAIL_MIN_TIME": "1", "NEEDLETAIL_KILLS": "3"]
        #expect(try Needletail(["train", "--print-config"], environment: others).status == 0)
    }

    @Test(arguments: [
        ("epochs: three", "epochs is from"), ("epochs: -1", "epochs is from"), ("precision: fp8", "precision is from"),
        ("quiet: maybe", "expected true or false"), ("- a\n- b", "found no mapping"),
        ("epochs: {a: 1}", "found a mapping"),
        ("epochs: [[1]]", "a list within the list"), ("a: b: c", "neither YAML nor JSON"),
        ("? [x]\n: 1", "a key that is no word"),
        ("config: other.yaml", "found 'config'"), ("epochs: 1\nepochs: 2", "neither YAML nor JSON"),
    ])
    func badFilesAreToldOf(text: String, complaint: String) throws {
        let scratch = try Scratch()
        let run = try Needletail(["train", "--config", config(text, scratch)])
        #expect(run.status == 64 || run.status == 65, "\(run.complaint)")
        #expect(run.complaints.count == 1 && run.complaint.contains(complaint), "\(run.complaint)")
    }

    @Test func aMissingFileIsBadData() throws {
        let run = try Needletail(["train", "--config", "/nowhere/run.yaml"])
        #expect(run.status == 65 && run.complaint.contains("/nowhere/run.yaml"))
    }

    /// A variable sets the options of every command, and a wrong value is told with where it is from.
    @Test func otherCommandsReadVariables() throws {
        #expect(try Needletail(["doctor"], environment: ["NEEDLETAIL_THREADS": "1"]).status == 0)
        let wrong = try Needletail(["doctor"], environment: ["NEEDLETAIL_THREADS": "0"])
        #expect(wrong.status == 64 && wrong.complaint.contains("NEEDLETAIL_THREADS"), "\(wrong.complaint)")
    }

    /// A checkpoint keeps what a run's result is a function of: resumed without options, it goes on with the same bits as
    /// the run that was not interrupted; an option that is given anew counts.
    @Test func aResumedRunTakesTheCheckpointsOptions() throws {
        let scratch = try Scratch()
        let options =
            "--quiet --threads 1 --hidden 12 --epochs 2 --batch-size 50 --precision 16-mixed --seed 9 --clip 0.5"
        _ = try Needletail.succeeds("train \(options) --checkpoint \(scratch.path("whole"))")
        _ = try Needletail.succeeds("train \(options) --max-steps 20 --checkpoint \(scratch.path("part"))")
        let resume = "--resume last --checkpoint \(scratch.path("part"))"
        let found = try settings(resume + " --seed 10")
        #expect(found["hidden"]!.value == "12" && found["hidden"]!.source.hasPrefix("checkpoint "))
        #expect(found["seed"]! == ("10", "command line") && found["max-steps"]!.source == "not set")
        _ = try Needletail.succeeds("train --quiet --threads 1 \(resume)")
        let files = try (scratch.files(below: "whole/last"), scratch.files(below: "part/last"))
        #expect(files.0.keys.sorted() == files.1.keys.sorted() && files.0.count == 3)
        for (name, bytes) in files.0 { #expect(files.1[name] == bytes, "\(name)") }
    }
}
