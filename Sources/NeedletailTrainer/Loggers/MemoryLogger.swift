// Metrics kept in memory.

/// Keeps every record: for tests, plots and notebooks.
public final class MemoryLogger: Logger {
    /// Every record so far.
    public private(set) var records: [MetricsRecord] = []
    /// The hyper-parameters of the last fit.
    public private(set) var hyperparameters: [String: JSONValue] = [:]

    /// An empty logger.
    public init() {}

    /// Keeps the hyper-parameters.
    public func logHyperparameters(_ hyperparameters: [String: JSONValue]) { self.hyperparameters = hyperparameters }

    /// Keeps the record.
    public func log(_ record: MetricsRecord) { records.append(record) }

    /// Every value of one metric in order, with its step.
    public func values(of name: String) -> [(step: Int, value: Double)] {
        records.flatMap { record in record.values.filter { $0.name == name }.map { (record.step, $0.value) } }
    }
}
