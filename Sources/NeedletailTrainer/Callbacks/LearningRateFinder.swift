// Finds a learning rate before training.
package import NeedletailFiles
import NeedletailNN
public import NeedletailData

/// Tries growing learning rates before fit begins, and trains with the one that it suggests.
///
/// The search leaves no trace: parameters, random states and the module's own state are as they were, so a run has the bits of
/// one that was given the rate. A resumed run does not search. There must be one optimizer; its groups keep their ratios.
///
///     Trainer(maxEpochs: 5) { $0.callbacks = [LearningRateFinder(plot: "rates.svg")] }
public final class LearningRateFinder: Callback, OutputWriter {
    /// The rates that are tried.
    public let range: LearningRateRange
    /// Where the curve is drawn; nil for nowhere.
    public let plot: String?
    /// Whether the run trains with the suggestion.
    public let appliesSuggestion: Bool
    /// What the last fit's search has found; nil where there was none.
    public private(set) var result: LearningRateSearch?

    /// Searches `range`, draws the curve as an SVG file at `plot`, and takes the suggestion over.
    public init(_ range: LearningRateRange = LearningRateRange(), plot: String? = nil, appliesSuggestion: Bool = true) {
        self.range = range
        self.plot = plot
        self.appliesSuggestion = appliesSuggestion
    }

    public override func reset() { result = nil }

    package var outputs: [OutputFile] { plot.map { [OutputFile($0, .page)] } ?? [] }

    package override var isLeftOutOfDevelopmentRuns: Bool { true }

    package override func search(_ trial: FitTrial) throws {
        guard trial.resumed == nil else { return }
        let found = try trial.searchLearningRate(range)
        result = found
        if let plot { try PageFile.write(found.svg, to: plot) }
        guard appliesSuggestion else { return }
        guard let suggestion = found.suggestion else {
            return trial.trainer.notice(
                "the learning-rate search has no suggestion: losses are not finite from \(found.rates.last ?? range.minimum) on"
            )
        }
        trial.learningRate = suggestion
    }
}

extension Trainer {
    /// Tries growing learning rates on `train` and leaves the module as it was: what to look at before choosing one.
    public func findLearningRate(
        _ module: TrainingModule, _ train: DataLoader, _ range: LearningRateRange = LearningRateRange()
    ) throws -> LearningRateSearch {
        try applyPrecision(to: module)
        return try FitTrial(self, module, train, resumed: nil).searchLearningRate(range)
    }
}
