// Where `train` writes what it measures, beside the console.
public import ArgumentParser
public import Needletail
import NeedletailFiles
import NeedletailTensorBoard

/// The options for looking at a run.
struct LoggingOptions: ParsableArguments {
    @Option(help: "Write each step and epoch, and a summary, as JSON lines to this file; --resume goes on in it.")
    var metrics: String?

    @Option(help: "Write the logged metrics as comma-separated values to this file; --resume goes on in it.")
    var csv: String?

    @Option(
        help: ArgumentHelp(
            "Write event files for TensorBoard to the first free of the folders run-1, run-2, … in this one.",
            valueName: "folder"))
    var tensorboard: String?

    @Option(
        help: ArgumentHelp(
            "Log to the MLflow server at this address; what it does not take is kept in mlflow-unsent-….jsonl in this folder "
                + "and sent by the next run.",
            valueName: "url"))
    var mlflow: String?

    @Option(help: "The experiment on the MLflow server.")
    var mlflowExperiment = "needletail"

    @Flag(help: "Histograms of parameters and gradients at the end of each epoch; needs --tensorboard.")
    var histograms = false

    @Option(help: "Metrics are logged every so many steps.")
    var logEveryNSteps = 50

    @Option(
        help:
            "Write a page for a browser to this file, with curves, the loss scale, weights and options; needs no network."
    )
    var report: String?

    @Option(
        help: "Print where the time goes: simple, by parts of a step and kinds of operations; advanced, by layer too.")
    var profile: Profiler.Detail?

    @Option(help: "Write the first steps to this file, for chrome://tracing or Perfetto.")
    var trace: String?

    @Flag(help: "Log samples a second, GFLOP/s and their share of this machine's peak.")
    var throughput = false

    @Option(help: "Look at the range of all values in each 50th step; write a page for a browser to this file.")
    var numerics: String?

    func validate() throws {
        try checkPaths([
            ("--metrics", metrics), ("--csv", csv), ("--tensorboard", tensorboard), ("--report", report),
            ("--trace", trace), ("--numerics", numerics),
        ])
        if histograms, tensorboard == nil {
            throw ValidationError("--histograms needs --tensorboard FOLDER, which shows them")
        }
        guard (1...Int(Int32.max)).contains(logEveryNSteps) else {
            throw ValidationError("--log-every-n-steps is \(logEveryNSteps), expected 1 to \(Int32.max)")
        }
    }

    /// What is written, by option.
    var outputs: [(String, String?, OutputOptions.Kind)] {
        [
            ("--metrics", metrics, .lines), ("--csv", csv, .table), ("--report", report, .page),
            ("--numerics", numerics, .page), ("--trace", trace, .page), ("--tensorboard", tensorboard, .folder),
        ]
    }

    /// Makes the loggers; their files and folders exist from here on. A resumed run goes on after the rows of its CSV file.
    func loggers(resumed: Bool) throws -> [any Logger] {
        var loggers: [any Logger] = []
        if let csv {
            let logger = try resumed ? CSVLogger(appendingTo: csv) : CSVLogger(csv)
            try logger.openOutputs()  // a pipe that nobody reads is known before anything is made
            loggers.append(logger)
        }
        if let tensorboard { loggers.append(try TensorBoardLogger(tensorboard)) }
        if let mlflow { loggers.append(try MLflowLogger(mlflow, experiment: mlflowExperiment)) }
        return loggers
    }

    /// What measures where the time goes; a trace alone prints no table.
    func profiler() -> Profiler? {
        if profile == nil, trace == nil { return nil }
        let silent = Console(isTerminal: false) { _ in }
        return Profiler(profile ?? .simple, trace: trace, console: profile == nil ? silent : StandardOutput.console)
    }

    /// Makes the callbacks that look.
    func callbacks(quiet: Bool) -> [Callback] {
        var callbacks: [Callback] = []
        let silent = Console(isTerminal: false) { _ in }
        if let numerics {
            callbacks.append(NumericsReport(to: numerics, console: quiet ? silent : StandardOutput.console))
        }
        if let report { callbacks.append(RunReport(to: report)) }
        if throughput { callbacks.append(ThroughputMonitor()) }
        if histograms { callbacks.append(ParameterHistograms()) }
        if !quiet {
            callbacks += [ModelSummary(console: StandardOutput.console), ProgressBar(console: StandardOutput.console)]
        }
        return callbacks
    }
}

/// Refuses what can be no path, before anything is made.
func checkPaths(_ paths: [(option: String, path: String?)]) throws {
    for (option, path) in paths {
        guard let path, let problem = FilePath(path).problem else { continue }
        throw ValidationError("\(option): \(problem), expected that of a file or folder")
    }
}

extension Profiler.Detail: ExpressibleByArgument {}
