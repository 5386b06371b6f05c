// The error of a dataset that does not do what it is asked for.

/// A dataset's batch that is not one of the samples that were asked for, or that could not be made of them.
///
/// What a dataset throws by itself is passed on as it is.
public struct DatasetError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The dataset's type.
    public let dataset: String
    /// The batch's index in its epoch.
    public let batch: Int
    /// The epoch.
    public let epoch: Int
    /// What was found and what was expected.
    public let why: String

    /// Which batch it is and what is wrong with it.
    public var description: String { "batch \(batch) of epoch \(epoch) of \(dataset): \(why)" }
}
