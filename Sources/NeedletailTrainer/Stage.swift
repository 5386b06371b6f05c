// What a trainer is doing.

/// The stages of a run, as `setup` and `teardown` are told them.
public enum Stage: String, Sendable, CaseIterable {
    /// Training, with its validations.
    case fit
    /// A validation of its own.
    case validate
    /// A test.
    case test
    /// A prediction.
    case predict

    /// What a batch of the stage is of; the validations of a fit have the stage ``validate`` here.
    var noun: String {
        switch self {
        case .fit: "training"
        case .validate: "validation"
        case .test: "test"
        case .predict: "prediction"
        }
    }
}
