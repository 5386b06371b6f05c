// Metrics as lines for people.
import Foundation

/// Writes a line for each record: `epoch 1 step 50: train_loss 0.4312, lr 0.001`.
///
/// For output that is kept, such as a service's log; on a terminal the progress bar shows the same in one place.
public final class ConsoleLogger: Logger {
    private let console: Console
    private let epochsOnly: Bool

    /// A logger on `console`; `epochsOnly` leaves out what is logged by step.
    public init(_ console: Console = .standardOutput, epochsOnly: Bool = false) {
        self.console = console
        self.epochsOnly = epochsOnly
    }

    /// Writes the hyper-parameters on a line.
    public func logHyperparameters(_ hyperparameters: [String: JSONValue]) {
        guard !hyperparameters.isEmpty else { return }
        let values = hyperparameters.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.text)" }
        console.write("hyper-parameters: " + values.joined(separator: ", ") + "\n")
    }

    /// Writes the record's line.
    public func log(_ record: MetricsRecord) {
        guard record.event == .epoch || !epochsOnly else { return }
        let values = record.values.map { "\($0.name) " + String(format: "%.4g", $0.value) }
        console.write("epoch \(record.epoch + 1) step \(record.step): " + values.joined(separator: ", ") + "\n")
    }

    /// Writes the text below its name.
    public func logText(_ name: String, _ text: String, step: Int) {
        console.write("step \(step): \(name)\n\(text)\n")
    }
}
