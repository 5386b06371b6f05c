// What the command calls the options of the library's trainer, in errors and in notices.

/// The flags of the trainer's options, by the library's names for these.
package enum OptionFlags {
    /// Every option of the trainer that a flag sets. Those that are not here have none.
    package static let all: [String: String] = [
        "accumulateGradBatches": "accumulate", "checkValEveryNEpochs": "check-val-every-n-epochs",
        "detectAnomaly": "detect-anomaly", "fastDevRun": "fast-dev-run", "gradientClip": "clip",
        "limitTestBatches": "limit-test-batches", "limitTrainBatches": "limit-train-batches",
        "limitValBatches": "limit-val-batches", "logEveryNSteps": "log-every-n-steps",
        "matmulAccumulation": "matmul-accumulation", "maxEpochs": "epochs", "maxSteps": "max-steps",
        "maxTime": "max-time", "minEpochs": "min-epochs", "minSteps": "min-steps",
        "numSanityValSteps": "num-sanity-val-steps", "overfitBatches": "overfit-batches", "precision": "precision",
        "precisionOverrides": "keep", "profiler": "profile", "updateRounding": "update-rounding",
        "valCheckInterval": "val-check-interval",
    ]

    /// The options' names for people: the flag, and where its value comes from where `origin` says so of the flag's name.
    package static func names(origin: (String) -> String?) -> [String: String] {
        all.mapValues { flag in "--" + flag + (origin(flag).map { " (from \($0))" } ?? "") }
    }
}
