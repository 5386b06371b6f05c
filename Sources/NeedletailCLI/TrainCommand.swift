// `needletail train`.
import ArgumentParser
import Foundation
import Needletail

struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a model on images, then test it.",
        discussion: """
            The model: mlp, linear layers with ReLU between them; or cnn, 3x3 convolutions to 32, 64 and 128 channels, pooling after \
            the second and the third, batch norm after the third, and linear layers of 256 and as many as there are classes, with \
            dropout between them. Cross-entropy loss. Every precision runs the same command.

              needletail train
              needletail train --data fashion-mnist --epochs 3 --precision bf16-mixed --checkpoint runs/fashion
              needletail train --data fashion-mnist --epochs 6 --precision bf16-mixed --checkpoint runs/fashion --resume last
              needletail train --model cnn --data fashion-mnist --epochs 5 --precision bf16-mixed --checkpoint runs/cnn
              needletail train --data fashion-mnist --schedule cosine --warmup-steps 200 --learning-rate 3e-3
              needletail train --config run.yaml --epochs 5

            An option's value is that of the command line, else of the environment (NEEDLETAIL_BATCH_SIZE for --batch-size, of every \
            command), else of the --config file, else of the checkpoint that is resumed, else its default. --no- before a \
            flag's name (--no-quiet) turns it off.

            Ctrl-C (or SIGTERM) ends training after the current step and saves a checkpoint, from which --resume last goes on; a \
            second one ends it at once. SIGUSR1 saves and goes on.
            """)

    @OptionGroup var data: DataOptions

    @Option(help: "Images kept from training for validation (default: one in twelve; 0: none).")
    var validation: Int?

    @Option(help: "How pixels enter the model: mean 0 and deviation 1 over the training images, or from 0 to 1.")
    var scaling: Scaling = .standard

    @Option(
        help: "What is trained: mlp or cnn; for gpt, which learns texts, see needletail train-gpt --help.",
        transform: { name in
            guard let model = ImageModel(rawValue: name) else {
                throw ValidationError("found '\(name)', expected mlp, cnn, or gpt (see needletail train-gpt --help)")
            }
            return model
        })
    var model: ImageModel = .mlp

    @Option(help: "Widths of the hidden layers of the mlp, separated by commas.")
    var hidden: LayerWidths = LayerWidths(values: [128, 256])

    @Option(help: "Times that the training images are gone through.")
    var epochs = 10

    @Option(help: "Images a batch.")
    var batchSize = 64

    @Option(help: "The optimizer, with PyTorch's settings (Lion: its authors').")
    var optimizer = OptimizerChoice()

    @Option(
        help: "Learning rate (default: the optimizer's own: adam, adamw, sgd 1e-3; rmsprop, adagrad 1e-2; lion 1e-4).")
    var learningRate: Double?

    @OptionGroup var schedule: ScheduleOptions

    @Option(
        help: ArgumentHelp(
            "How to store and compute; 16 and bf16 stand for the mixed modes, 32 and 64 for the true ones; auto measures "
                + "32-true, bf16-mixed and 16-mixed on this model and CPU and takes the fastest."))
    var precision: PrecisionChoice = .mode(.float32)

    @Option(
        help: ArgumentHelp(
            "The type of the parameters whose names match, such as 'layer3.*=float32'; repeatable, the first match decides.",
            valueName: "PATTERN=TYPE"),
        transform: { text in
            do { return try PrecisionPolicy.Override(parsing: text) } catch { throw ValidationError("\(error)") }
        })
    var keep: [PrecisionPolicy.Override] = []

    @Option(
        help: ArgumentHelp(
            "How products of float16 matrices are summed: float32, or chunked:32, in float16 for at most 32 products at a time "
                + "(CPUs with AVX512_FP16; less exact).",
            valueName: "float32|chunked:32"))
    var matmulAccumulation: MatMulAccumulation?

    @Option(help: "How updates are rounded to the parameters of bf16-true and 16-true.")
    var updateRounding: UpdateRoundingChoice?

    @Option(
        help: ArgumentHelp(
            "Clip gradients: NUMBER their common 2-norm; norm1:NUMBER, norm3:NUMBER and norm-inf:NUMBER another norm; "
                + "value:NUMBER each element.",
            valueName: "[NORM:]NUMBER"))
    var clip: GradientClipping?

    @Option(help: "Initial weights: a safetensors file with layer1.weight [out, in], layer1.bias, layer2.weight, …")
    var `init`: String?

    @OptionGroup var fit: FitOptions

    func validate() throws {
        try checkPaths([("--init", self.`init`)])
        // More than 2^31 of anything is a slip of the finger, and far from where sums overflow.
        for (name, value, least) in [
            ("--validation", validation ?? 0, 0), ("--epochs", epochs, 0), ("--batch-size", batchSize, 1),
        ] where !(least...Int(Int32.max)).contains(value) {
            throw ValidationError("\(name) is \(value), expected \(least) to \(Int32.max)")
        }
        if let learningRate, !(learningRate > 0 && learningRate.isFinite) {
            throw ValidationError("--learning-rate is \(learningRate), expected a number above 0")
        }
        if fit.resume != nil, self.`init` != nil {
            throw ValidationError("--init and --resume both give the weights; use one of them")
        }
    }

    /// What a run's result is a function of: a checkpoint keeps these options, and a run that is resumed takes those that are
    /// not given anew. None of them is a place for output, a number of threads, or a limit that ends a run early.
    private static let kept: Set<String> = [
        "data", "validation", "scaling", "model", "hidden", "epochs", "batch-size", "optimizer", "learning-rate",
        "schedule", "warmup-steps", "schedule-steps", "keep", "update-rounding", "accumulate", "clip", "seed",
        "no-shuffle",
    ]

    /// The signals are the command's from here on: before and after training they end it at once, with the same exit codes.
    func run() throws { try fit.namingOutputs { try ProcessSignals.watching { try train() } } }

    private func train() throws {
        let folder = if case .folder(let path) = data.source { path } else { String?.none }
        try fit.checkOutputs(reading: [("--data", folder), ("--init", self.`init`)])
        let checkpoints = try fit.takeFolder()
        defer { checkpoints?.release() }
        let metrics = try fit.begin()
        let data = try ClassificationData(
            self.data.source, validation: validation, scaling: scaling, seed: fit.seed)
        warn(data.warnings)
        let model = try makeModel(for: data)
        let trainer = try makeTrainer(metrics, checkpoints)
        let testLoader = NamedLoaders(DataLoader(data.test, batchSize: evaluationBatchSize))
        try trainer.checkBatches(of: .test, testLoader)  // before training, not after it
        try trainer.fit(
            model,
            train: DataLoader(data.train, batchSize: batchSize, shuffle: !fit.noShuffle, seed: fit.seed),
            validation: data.validation.map { DataLoader($0, batchSize: evaluationBatchSize) },
            resume: fit.resumePoint)
        let test = try trainer.test(model, testLoader)
        try report(test, trainer, metrics)
    }

    private func makeModel(for data: ClassificationData) throws -> ImageClassifier {
        let configuration = ClassifierConfiguration(
            data: self.data.source.name, images: .init(data.train), model: model == .mlp ? nil : model,
            hidden: model == .mlp ? hidden.values : [], optimizer: optimizer,
            learningRate: learningRate ?? optimizer.make([]).learningRate, schedule: schedule.configuration)
        if model != .mlp, let problem = configuration.problem { throw CommandError.usage(problem) }
        guard configuration.parameterCount <= Double(Int32.max) else {
            throw CommandError.usage(
                "--hidden \(hidden) and \(configuration.images.classes) classes make more than \(Int32.max) parameters; use "
                    + "narrower layers, or look at the labels")
        }
        var generator = SeededGenerator(seed: fit.seed)
        let model = try ImageClassifier(configuration, using: &generator)
        try fit.keep(Self.kept, in: model)
        if let path = self.`init` {
            // First the types, so that float64 weights reach a float64 run unrounded. A mixed mode stores every parameter
            // at least as wide as any mode that auto may take.
            let mode = if case .mode(let mode) = precision { mode } else { Precision.mixedBFloat16 }
            try PrecisionPolicy(mode, overrides: PrecisionOverrides(keep)).apply(to: model)
            do { try model.load(safeTensors: path) } catch {
                throw CommandError.data("--init \(path): \(error)")
            }
        }
        return model
    }

    private func makeTrainer(_ metrics: MetricsFile, _ checkpoints: ModelCheckpoint?) throws -> Trainer {
        try fit.makeTrainer(epochs: epochs, precision: precision, metrics, checkpoints) {
            $0.precisionOverrides = PrecisionOverrides(keep)
            $0.matmulAccumulation = matmulAccumulation
            $0.gradientClip = clip
            $0.updateRounding = updateRounding?.rounding(seed: fit.seed)
        }
    }

    private func report(_ test: [String: Double], _ trainer: Trainer, _ metrics: MetricsFile) throws {
        let accuracy = test["test_accuracy"], loss = test["test_loss"]  // none where there was no test
        for name in ["validation_accuracy", "validation_loss"] {
            if let value = trainer.metrics[name] { try StandardOutput.line("\(name) \(value.formatted(decimals: 4))") }
        }
        if let accuracy { try StandardOutput.line("test_accuracy \(accuracy.formatted(decimals: 4))") }
        if let loss { try StandardOutput.line("test_loss \(loss.formatted(decimals: 4))") }
        let rate = metrics.samplesPerSecond
        if let rate { try StandardOutput.line("samples_per_second \(rate.formatted(decimals: 0))") }
        try metrics.writeSummary([
            ("precision", .string(trainer.precision?.rawValue ?? precision.description)),
            ("test_accuracy", accuracy.map { .number($0) } ?? .null),
            ("test_loss", loss.map { .number($0) } ?? .null), ("samples_per_second", rate.map { .number($0) } ?? .null),
            ("seconds_to_first_step", metrics.secondsToFirstStep.map { .number($0) } ?? .null),
            ("peak_rss_bytes", ProcessMeasurements.peakResidentBytes.map { .integer(Int64($0)) } ?? .null),
            ("steps_applied", .integer(Int64(trainer.state.globalStep))),
            ("steps_skipped", .integer(Int64(trainer.state.skippedSteps))),
            ("threads", .integer(Int64(threadCount))),
        ])
    }
}

/// Batches without gradients may be larger: nothing is learned from them, and larger products run faster.
let evaluationBatchSize = 500
