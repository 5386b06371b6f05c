// What the commands that train have in common.
import ArgumentParser
import Foundation
import Needletail
import NeedletailFiles

/// Where options and weights come from, how the data is gone through, and where the run leaves what it makes.
struct FitOptions: ParsableArguments {
    @Option(
        help:
            "Take options that are not given here from this file, YAML or JSON, with the names of the options as keys.")
    var config: String?

    @Flag(
        help:
            "Print the options with their values and where they come from, as a file for --config, and do nothing else."
    )
    var printConfig = false

    @Option(help: "Batches whose gradients are added up before a step.")
    var accumulate = 1

    @Option(help: "Seed of everything that is drawn: initial weights, split, order, dropout, stochastic rounding.")
    var seed: UInt64 = 42

    @OptionGroup var threads: ThreadOptions

    @Flag(help: "Go through the training data in its order.")
    var noShuffle = false

    @Option(help: "Folder for checkpoints, one that holds no other run; the newest is its sub-folder 'last'.")
    var checkpoint: String?

    @Flag(help: "Replace the run that the --checkpoint folder holds, as soon as this one has saved a checkpoint.")
    var overwrite = false

    @Option(help: "Go on from a checkpoint: its path, or 'last' for the newest in the --checkpoint folder.")
    var resume: String?

    @OptionGroup var trainer: TrainerOptions

    @OptionGroup var logging: LoggingOptions

    @Flag(help: "No progress bar, no weights summary, no table of ranges.")
    var quiet = false

    func validate() throws {
        try checkPaths([("--checkpoint", checkpoint), ("--resume", resume), ("--config", config)])
        guard (1...Int(Int32.max)).contains(accumulate) else {
            throw ValidationError("--accumulate is \(accumulate), expected 1 to \(Int32.max)")
        }
        if resume == "last", checkpoint == nil {
            throw ValidationError("--resume last needs --checkpoint DIR, the folder in which to look")
        }
        if overwrite, checkpoint == nil {
            throw ValidationError("--overwrite needs --checkpoint DIR, the folder whose run it replaces")
        }
        if overwrite, resume == "last" {
            throw ValidationError("--overwrite begins anew where --resume last goes on; use one of them")
        }
    }

    /// Sets the threads and opens the outputs: that one cannot be written is better known before the first epoch than after it.
    func begin() throws -> MetricsFile {
        threads.apply()
        return try MetricsFile(path: logging.metrics, appending: resume != nil)
    }

    /// Tries what the run is going to write, before anything else; `inputs` are what the command reads.
    func checkOutputs(reading inputs: [(String, String?)]) throws {
        try StandardOutput.requireOpen()
        try outputs(inputs).check()
    }

    /// Takes the folder for checkpoints, before any other output is opened: a run that may not write there leaves all of them as
    /// they are. A run that only looks for errors (--fast-dev-run) may resume from the folder, but writes nothing there.
    func takeFolder() throws -> ModelCheckpoint? {
        guard let checkpoint else { return nil }
        let checkpoints = ModelCheckpoint(directory: checkpoint) { $0.overwrite = overwrite }
        if trainer.fastDevRun == 0 { try checkpoints.reserve(resume: resumePoint) }
        return checkpoints
    }

    /// What the run writes and reads; `inputs` are those of the command's own.
    private func outputs(_ inputs: [(String, String?)]) -> OutputOptions {
        let resumed = resume == "last" ? checkpoint.map { $0 + "/last" } : resume
        return OutputOptions(
            outputs: logging.outputs + [("--checkpoint", trainer.fastDevRun == 0 ? checkpoint : nil, .folder)],
            inputs: inputs + [("--config", config), ("--resume", resumed)])
    }

    /// Runs `body`, whose errors then name the options of outputs.
    func namingOutputs(_ body: () throws -> Void) throws {
        do { try body() } catch { throw outputs([]).naming(error) }
    }

    /// From where to go on.
    var resumePoint: ResumePoint? { resume.map { $0 == "last" ? .last : .path($0) } }

    /// Has checkpoints keep those options of the command that are named.
    func keep(_ names: Set<String>, in module: TrainingModule) throws {
        if checkpoint != nil { module.hyperparameters["options"] = try Settings.current?.options(names) }
    }

    /// The trainer of a run, with what `configure` adds.
    func makeTrainer(
        epochs: Int, precision: PrecisionChoice, _ metrics: MetricsFile, _ checkpoints: ModelCheckpoint?,
        _ configure: (inout TrainerConfiguration) -> Void
    ) throws -> Trainer {
        let loggers = try logging.loggers(resumed: resume != nil)
        return Trainer(maxEpochs: epochs, precision: precision) {
            trainer.apply(to: &$0)
            $0.optionNames = Settings.current?.optionNames ?? [:]
            $0.accumulateGradBatches = accumulate
            $0.handlesSignals = true
            $0.enableProgressBar = false  // both are among the callbacks, where they are wanted
            $0.enableModelSummary = false
            $0.autoPrecision.console = StandardOutput.console
            $0.loggers = loggers
            $0.profiler = logging.profiler()
            $0.logEveryNSteps = logging.logEveryNSteps
            $0.callbacks = [metrics] + logging.callbacks(quiet: quiet)
            if let checkpoints { $0.callbacks.append(checkpoints) }
            configure(&$0)
        }
    }
}
