// A checkpoint where a run ends by an error.

/// Saves a checkpoint when an error ends fit: of the moment after the last complete step, so that a run that goes on from it
/// repeats the step that failed, bit for bit.
///
/// Nothing is saved where that moment is lost: where one of several optimizers had already updated its parameters.
public final class OnExceptionCheckpoint: Callback {
    /// The folder of the checkpoint.
    public let path: String
    /// What went wrong with saving it; nil where it was saved or no error has ended the last fit.
    public private(set) var failure: (any Error)?

    /// Saves to the folder `name` in `directory`.
    public init(directory: String, name: String = "on_exception") { path = directory + "/" + name }

    public override func reset() { failure = nil }

    public override var runsLast: Bool { true }

    package override var savesCheckpoints: Bool { true }

    package override var savesAfterErrors: Bool { true }

    package override var isLeftOutOfDevelopmentRuns: Bool { true }

    package override var isLeftOutOfBarebones: Bool { true }

    public override func onException(_ trainer: Trainer, _ module: TrainingModule, _ error: any Error) {
        guard trainer.stage == .fit, trainer.step != nil else { return }
        do {
            try trainer.saveLastCompleteStep(to: path)
            failure = nil
        } catch {
            failure = error
            trainer.notice("no checkpoint could be saved after the error: \(error)")
        }
    }
}
