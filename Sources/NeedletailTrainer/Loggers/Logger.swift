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
public protocol Logger: AnyObject {
    /// Called once, when fit begins.
    func logHyperparameters(_ hyperparameters: [String: JSONValue]) throws
    /// Called for each record.
    func log(_ record: MetricsRecord) throws
    /// Called at the end of each run: everything logged must then be readable by others.
    func flush() throws
}

extension Logger {
    /// Does nothing.
    public func logHyperparameters(_ hyperparameters: [String: JSONValue]) throws {}
    /// Does nothing.
    public func flush() throws {}
}
