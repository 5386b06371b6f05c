// `needletail train --model gpt`: a command of its own, because it has other options than images have.
public import ArgumentParser
import Foundation
public import Needletail
import NeedletailFiles

/// Which tokens a text is read as.
enum VocabularyChoice: String, CaseIterable, ExpressibleByArgument {
    case character, byte
}

struct TrainGPTCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train-gpt",
        abstract: "Train a small GPT on a text; also called as train --model gpt.",
        discussion: """
            The last tenth of the text is kept for validation, where it is longer than the context. AdamW, cosine with warm-up, gradients clipped at norm 1; weights of \
            norms and biases do not decay; the head is the embedding's table.

              needletail train --model gpt --data input.txt --precision bf16-mixed --max-steps 2000 --checkpoint runs/gpt
              needletail generate runs/gpt --prompt "ROMEO:"
            """)

    @Option(help: "gpt.")
    var model = "gpt"

    @Option(help: "A text file, UTF-8.")
    var data: String

    @Option(help: "Which tokens a text is read as: its characters, or its bytes.")
    var vocabulary: VocabularyChoice = .character

    @Option(help: "Blocks.")
    var layers = 6

    @Option(help: "Heads a block.")
    var heads = 6

    @Option(help: "Elements of a row, a multiple of the heads.")
    var width = 384

    @Option(help: "Tokens that are seen at once.")
    var context = 256

    @Option(help: "The share that is dropped while training.")
    var dropout = 0.0

    @Option(help: "How positions enter.")
    var positions: GPTConfiguration.Positions = .learned

    @Option(help: "What feed-forward layers do between their products.")
    var feedForward: FeedForwardKind = .gelu

    @Option(help: "How rows are normalised.")
    var norm: NormKind = .layer

    @Option(help: "Times that the text is gone through.")
    var epochs = 1

    @Option(help: "Windows a batch.")
    var batchSize = 16

    @Option(help: "Learning rate after the warm-up.")
    var learningRate = 1e-3

    @Option(help: "Weight decay of matrices.")
    var weightDecay = 0.1

    @Option(help: "How the learning rate goes on after the warm-up.")
    var schedule: ScheduleChoice = .cosine

    @Option(help: "Applied steps in which the learning rate first rises (default: 100, at most a tenth of all).")
    var warmupSteps: Int?

    @Option(help: "How to store and compute; 16 and bf16 stand for the mixed modes, 32 and 64 for the true ones.")
    var precision: PrecisionChoice = .mode(.float32)

    @Option(help: ArgumentHelp("Clip gradients, as in train.", valueName: "[NORM:]NUMBER"))
    var clip: GradientClipping = .norm(1)

    @Flag(help: "Compute each block's activations again in backward instead of keeping them: less memory, more time.")
    var recompute = false

    @Option(help: "Initial weights: a safetensors file under the names and in the layout of transformers' GPT-2.")
    var `init`: String?

    @OptionGroup var fit: FitOptions

    func validate() throws {
        try checkPaths([("--init", self.`init`), ("--data", data)])
        for (name, value, least) in [
            ("--epochs", epochs, 0), ("--batch-size", batchSize, 1),
            ("--warmup-steps", warmupSteps ?? 0, 0), ("--layers", layers, 0), ("--context", context, 1),
        ] where !(least...Int(Int32.max)).contains(value) {
            throw ValidationError("\(name) is \(value), expected \(least) to \(Int32.max)")
        }
        guard model == "gpt" else { throw ValidationError("--model is \(model), expected gpt") }
        guard learningRate > 0, learningRate.isFinite else {
            throw ValidationError("--learning-rate is \(learningRate), expected a number above 0")
        }
        guard weightDecay >= 0, weightDecay.isFinite else {
            throw ValidationError("--weight-decay is \(weightDecay), expected a number, zero or more")
        }
        if fit.resume != nil, self.`init` != nil {
            throw ValidationError("--init and --resume both give the weights; use one of them")
        }
    }

    /// As for images; --max-steps is among them, because the schedule is planned for so many steps.
    private static let kept: Set<String> = [
        "data", "vocabulary", "layers", "heads", "width", "context", "dropout", "positions", "feed-forward", "norm",
        "epochs", "max-steps", "batch-size", "learning-rate", "weight-decay", "schedule", "warmup-steps", "accumulate",
        "clip", "seed", "no-shuffle",
    ]

    func run() throws { try fit.namingOutputs { try ProcessSignals.watching { try train() } } }

    private func train() throws {
        try fit.checkOutputs(reading: [("--data", data), ("--init", self.`init`)])
        let (vocabulary, training, validation) = try readText()
        let checkpoints = try fit.takeFolder()
        defer { checkpoints?.release() }
        let metrics = try fit.begin()
        let module = try makeModel(vocabulary)
        let trainer = try fit.makeTrainer(epochs: epochs, precision: precision, metrics, checkpoints) {
            $0.gradientClip = clip
        }
        let validationLoader = validation.count == 0 ? nil : DataLoader(validation, batchSize: batchSize)
        try trainer.fit(
            module, train: DataLoader(training, batchSize: batchSize, shuffle: !fit.noShuffle, seed: fit.seed),
            validation: validationLoader,
            resume: fit.resumePoint)
        // Also where a limit has ended training within an epoch, before the validation at its end.
        let loss = try validationLoader.flatMap { try trainer.validate(module, $0)["validation_loss"] }
        if let loss { try StandardOutput.line("validation_loss \(loss.formatted(decimals: 4))") }
        let rate = metrics.samplesPerSecond.map { $0 * Double(context) }
        if let rate { try StandardOutput.line("tokens_per_second \(rate.formatted(decimals: 0))") }
        try metrics.writeSummary([
            ("precision", .string(trainer.precision?.rawValue ?? precision.description)),
            ("validation_loss", loss.map { .number($0) } ?? .null),
            ("tokens_per_second", rate.map { .number($0) } ?? .null),
            ("seconds_to_first_step", metrics.secondsToFirstStep.map { .number($0) } ?? .null),
            ("peak_rss_bytes", ProcessMeasurements.peakResidentBytes.map { .integer(Int64($0)) } ?? .null),
            ("steps_applied", .integer(Int64(trainer.state.globalStep))),
            ("steps_skipped", .integer(Int64(trainer.state.skippedSteps))), ("threads", .integer(Int64(threadCount))),
        ])
    }

    /// The text's vocabulary and windows.
    private func readText() throws -> (TextVocabulary, training: TokenDataset, validation: TokenDataset) {
        let text: TokenizedText
        do { text = try TokenizedText(path: data, unit: vocabulary == .byte ? .byte : .character) } catch let error
            as DataFileError where error.problem == .content
        {
            throw CommandError.data(
                "--data \(data): byte \(error.offset ?? 0) is not UTF-8; convert the text, or use --vocabulary byte")
        } catch let error as DataFileError {
            throw CommandError.data("--data \(data): found \(error.found), expected a text file")
        }
        let count = text.tokens.count, split = count - count / 10
        let training = TokenDataset(text.tokens[0..<split], context: context)
        let validation = TokenDataset(text.tokens[split..<count], context: context)
        guard training.count > 0 else {
            throw CommandError.data(
                "--data \(data): found \(count) tokens, the first \(split) of them for training, expected more than the "
                    + "context, \(context); give a longer text or a smaller --context")
        }
        if validation.count == 0 {
            let line =
                "note: --data \(data): the last tenth of the text, \(count - split) of \(count) tokens, is too short for "
                + "validation, which needs more than the context, \(context): there is none; give a longer text or a smaller "
                + "--context\n"
            StandardError.write(line)
        }
        return (text.vocabulary, training, validation)
    }

    private func makeModel(_ vocabulary: TextVocabulary) throws -> LanguageModel {
        var gpt = GPTConfiguration(
            vocabulary: max(1, vocabulary.count), context: context, layers: layers, heads: heads, width: width)
        (gpt.dropout, gpt.positions, gpt.feedForward, gpt.norm) = (dropout, positions, feedForward, norm)
        if let problem = gpt.problem { throw CommandError.usage(problem) }
        let kept = schedule == .constant && warmupSteps == 0
        let configuration = LanguageModelConfiguration(
            data: data, gpt: gpt, text: vocabulary, learningRate: learningRate, weightDecay: weightDecay,
            schedule: kept ? nil : ScheduleConfiguration(kind: schedule, warmUpSteps: warmupSteps ?? 100, steps: nil),
            shortensWarmUp: warmupSteps == nil)
        var generator = SeededGenerator(seed: fit.seed)
        let module = try LanguageModel(configuration, using: &generator)
        module.gpt.recomputesActivations = recompute
        try fit.keep(Self.kept, in: module)
        if let path = self.`init` {
            do { try module.gpt.load(huggingFaceFile: path) } catch {
                throw CommandError.data("--init \(path): \(error)")
            }
        }
        return module
    }
}

extension GPTConfiguration.Positions: ExpressibleByArgument {}
extension FeedForwardKind: ExpressibleByArgument {}
extension NormKind: ExpressibleByArgument {}
