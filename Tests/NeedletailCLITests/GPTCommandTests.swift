// `train --model gpt` and `generate` by command.
import Foundation
import Testing

@Suite struct GPTCommandTests {
    private let small =
        "--layers 2 --heads 2 --width 32 --context 32 --batch-size 8 --learning-rate 3e-3 --warmup-steps 10 --quiet"

    /// A text in which the next character is known three times out of four.
    private func writeText(_ scratch: Scratch) throws -> String {
        let words = ["swift ", "needle ", "tail ", "flies "]
        var state: UInt32 = 1
        var text = ""
        for _ in 0..<4000 {
            state = state &* 1_664_525 &+ 1_013_904_223
            text += words[Int(state >> 30)]
        }
        let path = scratch.path("text.txt")
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    private func value(_ name: String, in output: String) throws -> Double {
        let line = try #require(output.split(separator: "\n").last { $0.hasPrefix(name + " ") }, "\(output)")
        return try #require(Double(line.dropFirst(name.count + 1)))
    }

    /// The entropy of the text is ln 4 a word of 6 characters on average, 0.23 a character; ln 13 = 2.6 is chance.
    @Test(arguments: ["32-true", "bf16-mixed", "16-mixed"]) func learnsAndWrites(_ precision: String) throws {
        let scratch = try Scratch()
        let data = try writeText(scratch), folder = scratch.path("run")
        let run = try Needletail.succeeds(
            "train --model gpt --data \(data) \(small) --precision \(precision) --max-steps 80 --checkpoint \(folder)")
        #expect(try value("validation_loss", in: run.output) < 1)
        #expect(try value("tokens_per_second", in: run.output) > 0)
        let first = try Needletail.succeeds("generate \(folder) --prompt swift --count 60 --seed 7 --quiet")
        let again = try Needletail.succeeds("generate \(folder) --prompt swift --count 60 --seed 7 --quiet --threads 2")
        let other = try Needletail.succeeds(
            "generate \(folder) --prompt swift --count 60 --seed 8 --quiet --top-k 3 --top-p 0.9")
        #expect(first.output == again.output && first.output != other.output)
        // The prompt, 60 characters, a line's end; longer than the context, which begins anew on the way.
        #expect(first.output.hasPrefix("swift") && first.output.count == 66)
        let greedy = try Needletail.succeeds("generate \(folder) --prompt needl --count 2 --temperature 0 --quiet")
        #expect(greedy.output == "needle \n")
    }

    @Test func aResumedRunHasTheBytesOfAnUninterruptedOne() throws {
        let scratch = try Scratch()
        let data = try writeText(scratch), whole = scratch.path("whole"), parts = scratch.path("parts")
        let options = "train --model gpt --data \(data) \(small) --dropout 0.1 --limit-train-batches 12"
        _ = try Needletail.succeeds("\(options) --epochs 2 --checkpoint \(whole) --threads 2")
        _ = try Needletail.succeeds("\(options) --epochs 2 --max-time 0 --checkpoint \(parts)")
        // What the model and the run are is in the checkpoint, and need not be said again.
        _ = try Needletail.succeeds(
            "train --model gpt --limit-train-batches 12 --quiet --checkpoint \(parts) --resume last")
        func model(_ folder: String) throws -> Data {
            try Data(contentsOf: URL(fileURLWithPath: "\(folder)/last/model.safetensors"))
        }
        #expect(try model(whole) == model(parts))
        _ = try Needletail.succeeds("\(options) --epochs 2 --recompute --checkpoint \(parts) --overwrite")
        #expect(try model(whole) == model(parts))
    }

    @Test func wrongArgumentsAreRefused() throws {
        let scratch = try Scratch()
        let data = try writeText(scratch)
        for (arguments, code) in [
            ("train --model gpt", 64), ("train --model foo", 64), ("train --model gpt --data \(data) --heads 5", 64),
            ("train --model gpt --data \(scratch.path("none")) --quiet", 65),
            ("train --model gpt --data \(data) --context 900000 --quiet", 65),
            ("generate \(scratch.path("none"))", 65), ("generate x --top-p 0", 64), ("generate x --temperature -1", 64),
        ] {
            let run = try Needletail(arguments.split(separator: " ").map(String.init))
            #expect(run.status == Int32(code), "\(arguments): \(run.status) \(run.complaint)")
        }
    }
}
