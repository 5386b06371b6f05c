// `needletail generate`.
import ArgumentParser
import Foundation
import Needletail

struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Write text with a GPT that train --model gpt has trained.",
        discussion: """
            Prints the prompt and what follows it, token by token; the same seed gives the same text. Tokens a second go to \
            standard error.

              needletail generate runs/gpt --prompt "ROMEO:" --temperature 0.8 --top-k 40
            """)

    @Argument(help: "A checkpoint, or the folder given to train --checkpoint.")
    var checkpoint: String

    @Option(
        help:
            "What the text begins with (default: a line's end; where the vocabulary has none, a space or its first token)."
    )
    var prompt: String?

    @Option(help: "Tokens to write.")
    var count = 500

    @Option(help: "Logits are divided by it; 0 takes the likeliest token each time.")
    var temperature = 1.0

    @Option(help: "Draw from so many of the likeliest tokens only.")
    var topK: Int?

    @Option(help: "Draw from the likeliest tokens only whose probabilities sum up to so much.")
    var topP = 1.0

    @Option(help: "Seed of what is drawn.")
    var seed: UInt64 = 42

    @OptionGroup var threads: ThreadOptions

    @Flag(help: "Print the text alone.")
    var quiet = false

    func validate() throws {
        try checkPaths([("checkpoint", checkpoint)])
        guard (0...Int(Int32.max)).contains(count) else {
            throw ValidationError("--count is \(count), expected 0 to \(Int32.max)")
        }
        guard temperature >= 0, temperature.isFinite else {
            throw ValidationError("--temperature is \(temperature), expected a number, zero or more")
        }
        guard topP > 0, topP <= 1 else { throw ValidationError("--top-p is \(topP), expected a number in (0, 1]") }
        if let topK, topK < 1 { throw ValidationError("--top-k is \(topK), expected 1 or more") }
        guard prompt?.isEmpty != true else {
            throw ValidationError("--prompt is empty, expected at least one character")
        }
    }

    func run() throws {
        threads.apply()
        let model = try LanguageModel.trained(checkpoint)
        let text = model.configuration.text
        let tokens: [Int]
        do { tokens = try prompt.map { try text.encode($0) } ?? text.firstToken.map { [$0] } ?? [0] } catch {
            throw CommandError.data("--prompt: \(error)")
        }
        var options = SamplingOptions()
        (options.temperature, options.topK, options.topP) = (temperature, topK, topP)
        var generator = SeededGenerator(seed: seed, stream: 1)
        try StandardOutput.write(prompt.map { Array($0.utf8) } ?? text.decode(tokens))
        let start = ProcessMeasurements.secondsSinceStart
        model.gpt.generate(after: tokens, count: count, options: options, using: &generator) { token in
            do { try StandardOutput.write(text.decode([token])) } catch { return false }
            return true
        }
        try StandardOutput.line()
        guard !quiet, count > 0 else { return }
        let seconds = ProcessMeasurements.secondsSinceStart - start
        let rate = (Double(count) / seconds).formatted(decimals: 0)
        StandardError.line("\(count) tokens, \(rate) a second")
    }
}
