// Where metrics go.

/// Metrics of one step or one epoch.
public struct MetricsRecord: Sendable {
    /// What the values belong to.
    public enum Event: String, Sendable {
        /// A training step.
        case step
        /// An epoch of training, or a whole validation or test.
        case epoch
    }

    /// What the values belong to.
    public let event: Event
    /// The epoch that runs, from 0.
    public let epoch: Int
    /// The steps applied so far.
    public let step: Int
    /// The values, in the order in which they were first logged.
    public let values: [(name: String, value: Double)]

    /// A record.
    public init(event: Event, epoch: Int, step: Int, values: [(name: String, value: Double)]) {
        self.event = event
        self.epoch = epoch
        self.step = step
        self.values = values
    }
}

/// Writes metrics somewhere. An error that a logger throws ends the run.
///
/// Only ``log(_:)`` must be written; a logger ignores what it has no place for.
public protocol Logger: AnyObject {
    /// The identifier that a tracker has given the run, which is kept in `run.json` beside checkpoints; nil where there is none.
    var runID: String? { get }
    /// Called once, when fit begins.
    func logHyperparameters(_ hyperparameters: [String: JSONValue]) throws
    /// Called for each record.
    func log(_ record: MetricsRecord) throws
    /// Called with a text, such as a sample of what a model has generated.
    func logText(_ name: String, _ text: String, step: Int) throws
    /// Called with the distribution of a tensor's values, such as a parameter's by ``ParameterHistograms``.
    func logHistogram(_ name: String, _ histogram: Histogram, step: Int) throws
    /// Called at the end of each run: everything logged must then be readable by others.
    func flush() throws
    /// Called when fit, validate, test or predict is over, with the error that ended it, or nil. Where there is an error,
    /// what this throws is lost.
    func runEnded(_ stage: Stage, error: (any Error)?) throws
}

extension Logger {
    /// None.
    public var runID: String? { nil }
    /// Does nothing.
    public func logHyperparameters(_ hyperparameters: [String: JSONValue]) throws {}
    /// Does nothing.
    public func logText(_ name: String, _ text: String, step: Int) throws {}
    /// Does nothing.
    public func logHistogram(_ name: String, _ histogram: Histogram, step: Int) throws {}
    /// Does nothing.
    public func flush() throws {}
    /// Does nothing.
    public func runEnded(_ stage: Stage, error: (any Error)?) throws {}
}
