// `needletail train --model gpt`: a command of its own, because it has other options than images have.
public import ArgumentParser
import Foundation
public import Needletail

/// Which tokens a text is read as.
enum VocabularyChoice: String, CaseIterable, ExpressibleByArgument {
    case character, byte
}

struct TrainGPTCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train-gpt",
        abstract: "Train a small GPT on a text; also called as train --model gpt.",
        discussion: """
            The last tenth of the text is kept for validation. AdamW, cosine with warm-up, gradients clipped at norm 1; weights of \
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

    @Option(help: "Batches whose gradients are added up before a step.")
    var accumulate = 1

    @Option(help: ArgumentHelp("Clip gradients, as in train.", valueName: "[NORM:]NUMBER"))
    var clip: GradientClipping = .norm(1)

    @Flag(help: "Compute each block's activations again in backward instead of keeping them: less memory, more time.")
    var recompute = false

    @Option(help: "Seed of initial weights, order and dropout.")
    var seed: UInt64 = 42

    @OptionGroup var threads: ThreadOptions

    @Flag(help: "Go through the text in its order.")
    var noShuffle = false

    @Option(help: "Initial weights: a safetensors file under the names and in the layout of transformers' GPT-2.")
    var `init`: String?

    @Option(help: "Folder for checkpoints; the newest is its sub-folder 'last'.")
    var checkpoint: String?

    @Option(help: "Go on from a checkpoint: its path, or 'last' for the newest in the --checkpoint folder.")
    var resume: String?

    @OptionGroup var trainer: TrainerOptions

    @OptionGroup var logging: LoggingOptions

    @Flag(help: "No progress bar, no weights summary.")
    var quiet = false

    func validate() throws {
        for (name, value, least) in [
            ("--epochs", epochs, 0), ("--batch-size", batchSize, 1), ("--accumulate", accumulate, 1),
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
        if resume == "last", checkpoint == nil {
            throw ValidationError("--resume last needs --checkpoint DIR, the folder in which to look")
        }
        if resume != nil, self.`init` != nil {
            throw ValidationError("--init and --resume both give the weights; use one of them")
        }
    }

    func run() throws { try ProcessSignals.watching { try train() } }

    private func train() throws {
        threads.apply()
        let metrics = try MetricsFile(path: logging.metrics)
        let (vocabulary, tokens) = try readText()
        let split = tokens.count - tokens.count / 10
        let training = TokenDataset(Array(tokens[..<split]), context: context)
        let validation = TokenDataset(Array(tokens[split...]), context: context)
        guard training.count > 0 else {
            throw CommandError.data(
                "\(data): found \(tokens.count) tokens, expected more than the context, \(context); give a longer text or a "
                    + "smaller --context")
        }
        let module = try makeModel(vocabulary)
        let trainer = makeTrainer(metrics, try logging.loggers())
        let validationLoader = validation.count == 0 ? nil : DataLoader(validation, batchSize: batchSize)
        try trainer.fit(
            module, train: DataLoader(training, batchSize: batchSize, shuffle: !noShuffle, seed: seed),
            validation: validationLoader,
            resume: resume.map { $0 == "last" ? .last : .path($0) })
        // Also where a limit has ended training within an epoch, before the validation at its end.
        let loss = try validationLoader.flatMap { try trainer.validate(module, $0)["validation_loss"] }
        if let loss { print("validation_loss \(loss.formatted(decimals: 4))") }
        let rate = metrics.samplesPerSecond.map { $0 * Double(context) }
        if let rate { print("tokens_per_second \(rate.formatted(decimals: 0))") }
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

    private func readText() throws -> (TextVocabulary, [Int]) {
        guard let bytes = FileManager.default.contents(atPath: data) else {
            throw CommandError.data("\(data): cannot be read; give a text file")
        }
        if vocabulary == .byte { return (.bytes, bytes.map { Int($0) }) }
        guard let text = String(data: bytes, encoding: .utf8) else {
            throw CommandError.data("\(data): is not UTF-8; use --vocabulary byte")
        }
        let vocabulary = TextVocabulary(charactersOf: text)
        return (vocabulary, try vocabulary.encode(text))
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
        var generator = SeededGenerator(seed: seed)
        let module = try LanguageModel(configuration, using: &generator)
        module.gpt.recomputesActivations = recompute
        if let path = self.`init` {
            do { try module.gpt.load(huggingFace: SafeTensorsFile.read(path).tensors) } catch {
                throw CommandError.data("--init \(path): \(error)")
            }
        }
        return module
    }

    private func makeTrainer(_ metrics: MetricsFile, _ loggers: [any Logger]) -> Trainer {
        Trainer(maxEpochs: epochs, precision: precision) {
            trainer.apply(to: &$0)
            $0.accumulateGradBatches = accumulate
            $0.gradientClip = clip
            $0.handlesSignals = true
            $0.enableProgressBar = !quiet
            $0.enableModelSummary = !quiet
            $0.loggers = loggers
            $0.profiler = logging.profiler()
            $0.logEveryNSteps = logging.logEveryNSteps
            $0.callbacks = [metrics] + logging.callbacks(quiet: quiet)
            if let checkpoint { $0.callbacks.append(ModelCheckpoint(directory: checkpoint)) }
        }
    }
}

extension GPTConfiguration.Positions: ExpressibleByArgument {}
extension FeedForwardKind: ExpressibleByArgument {}
extension NormKind: ExpressibleByArgument {}
