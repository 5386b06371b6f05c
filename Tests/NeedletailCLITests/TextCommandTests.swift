// What `train --model gpt` says of texts that it cannot use, how much memory a text takes, and how `generate` begins.
import Foundation
import Testing

@Suite struct TextCommandTests {
    private let small = "--layers 1 --heads 1 --width 8 --context 16 --batch-size 2 --quiet --max-steps 1"

    @Test func aTextThatIsNoneIsRefusedBeforeAnythingIsMade() throws {
        let scratch = try Scratch()
        let short = try scratch.write(Array("too short for it".utf8), "short")
        let pipe = scratch.path("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        for (path, vocabulary, words) in [
            (try scratch.write([], "empty"), "character", ["found 0 tokens", "--context"]),
            (try scratch.write([], "empty"), "byte", ["found 0 tokens"]),
            (short, "character", ["found 16 tokens", "the first 15 of them", "16;", "longer text"]),
            (short, "byte", ["found 16 tokens"]),
            (
                try scratch.write([97, 98, 0xFF, 97], "latin"), "character",
                ["byte 2 is not UTF-8", "--vocabulary byte"]
            ),
            (scratch.folder.path, "character", ["found a folder, pipe or device", "expected a text file"]),
            (pipe, "byte", ["found a folder, pipe or device"]),
            ("/dev/null", "character", ["found a folder, pipe or device"]),
            (scratch.path("none"), "byte", ["no such file"]),
        ] {
            let run = try Needletail(
                [
                    "train", "--model", "gpt", "--data", path, "--vocabulary", vocabulary, "--checkpoint",
                    scratch.path("run"),
                ]
                    + small.split(separator: " ").map(String.init))
            #expect(run.status == 65 && run.complaints.count == 1, "\(path): \(run.status) \(run.complaint)")
            for word in words + ["--data \(path)"] { #expect(run.complaint.contains(word), "\(run.complaint)") }
            #expect(!FileManager.default.fileExists(atPath: scratch.path("run")))
        }
    }

    /// Of n tokens the last n / 10 are kept; validation needs more than the context, 16, of them.
    @Test(arguments: [(169, false), (170, true), (30, false)]) func aTextTooShortForValidationIsSaid(
        _ count: Int, _ isEnough: Bool
    ) throws {
        let scratch = try Scratch()
        let text = try scratch.write((0..<count).map { UInt8(97 + $0 % 7) }, "text")
        let run = try Needletail.succeeds("train --model gpt --data \(text) \(small)")
        #expect(run.output.contains("validation_loss") == isEnough)
        #expect(run.complaint.isEmpty == isEnough)
        if !isEnough {
            #expect(run.complaint.hasPrefix("note: ") && run.complaint.contains("\(count / 10) of \(count) tokens"))
        }
    }

    /// Peak memory with a text of 16 MiB beside that with a short one: 1 byte a token where characters are few, none for bytes.
    /// Allowed are 4 a token, which is an eighth of what arrays of Int and a string would take.
    @Test(arguments: ["character", "byte"]) func aTextTakesAtMostFourBytesAToken(_ vocabulary: String) throws {
        let scratch = try Scratch()
        let short = try scratch.write((0..<4096).map { UInt8(97 + $0 % 7) }, "short")
        let size = 16 << 20
        let long = try scratch.write((0..<size).map { UInt8(97 + $0 % 7) }, "long")
        func peak(_ text: String) throws -> Double {
            let file = text + "." + vocabulary
            _ = try Needletail.succeeds(
                "train --model gpt --data \(text) \(small) --vocabulary \(vocabulary) --limit-val-batches 1 --metrics \(file)"
            )
            let lines = try String(contentsOfFile: file, encoding: .utf8)
            let match = try #require(lines.firstMatch(of: /"peak_rss_bytes": ?([0-9]+)/), "\(lines)")
            return try #require(Double(match.1))
        }
        #expect(try peak(long) - peak(short) <= 4 * Double(size))
    }

    @Test(arguments: ["abcabd", "a b", "ab\n", "äö🐦"], ["character", "byte"])
    func generateNeedsNoPrompt(_ piece: String, _ vocabulary: String) throws {
        let scratch = try Scratch()
        let text = try scratch.write(Array(String(repeating: piece, count: 300).utf8), "text")
        let run = scratch.path("run")
        _ = try Needletail.succeeds(
            "train --model gpt --data \(text) \(small) --vocabulary \(vocabulary) --checkpoint \(run)")
        // Bytes that an untrained model writes are no text.
        let count = vocabulary == "byte" ? 0 : 5
        let written = try Needletail.succeeds("generate \(run) --count \(count) --quiet --threads 1")
        let first: Character =
            vocabulary == "byte" || piece.contains("\n") ? "\n" : piece.contains(" ") ? " " : piece.sorted()[0]
        #expect(written.output.first == first && written.complaint == "")
        #expect(try Needletail(["generate", run, "--prompt", ""]).status == 64)
    }

    @Test func memoryThatRunsOutIsOneLine() throws {
        let scratch = try Scratch()
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("needletail").path
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = [
            "-c", "ulimit -v 1500000; exec \"$0\" train --hidden 200000,2000 --quiet --max-steps 1", program,
        ]
        let path = try scratch.write([], "complaint")
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle(forWritingAtPath: path))
        try process.run()
        process.waitUntilExit()
        let complaint = try String(contentsOfFile: path, encoding: .utf8)
        #expect(process.terminationReason == .exit && process.terminationStatus == 71, "\(complaint)")
        #expect(
            complaint.hasPrefix("needletail: out of memory: ") && complaint.split(separator: "\n").count == 1,
            "\(complaint)")
    }

    @Test func filesOfAModelInSeveralAreNamed() throws {
        let scratch = try Scratch()
        _ = try Needletail.succeeds("train --max-steps 1 --quiet --checkpoint \(scratch.path("run"))")
        let whole = try Data(contentsOf: URL(fileURLWithPath: scratch.path("run/last/model.safetensors")))
        let shard = try scratch.write(Array(whole), "model-00001-of-00002.safetensors")
        let index = try scratch.write(
            Array("{\"weight_map\": {\"w\": \"model-00001-of-00002.safetensors\"}}".utf8),
            "model.safetensors.index.json")
        let text = try scratch.write(Array(String(repeating: "ab", count: 300).utf8), "text")
        for (arguments, words) in [
            ("train --quiet --max-steps 1 --hidden 3 --init \(index)", "index of a model in 2 files"),
            ("train --quiet --max-steps 1 --hidden 3,4,5 --init \(shard)", "file 1 of the 2"),
            ("train --model gpt --data \(text) \(small) --init \(shard)", "file 1 of the 2"),
            ("train --model gpt --data \(text) \(small) --init \(index)", "index of a model in 2 files"),
            ("train --model gpt --data \(text) \(small) --init \(scratch.folder.path)", "index of a model in 2 files"),
            ("inspect \(shard)", "file 1 of 2"), ("inspect \(index)", "index of a model in 2 files"),
            ("generate \(shard)", "file 1 of 2"), ("evaluate \(index)", "index of a model in 2 files"),
        ] {
            let run = try Needletail(arguments.split(separator: " ").map(String.init))
            #expect(run.status == 65 && run.complaints.count == 1, "\(arguments): \(run.status) \(run.complaint)")
            #expect(run.complaint.contains(words), "\(arguments): \(run.complaint)")
        }
    }
}
