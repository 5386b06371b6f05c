// A model that writes down which steps it was asked for.
import Needletail

/// Notes each step as a letter and the batch's index: t training, v validation, s test, p prediction.
final class RecordingClassifier: SmallClassifier {
    var events: [String] = []
    /// The bytes of each training batch's inputs.
    var inputs: [[UInt8]] = []

    /// The events, separated by spaces.
    var line: String { events.joined(separator: " ") }

    override func onTrainEpochStart() { events.append("|") }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        events.append("t\(index)")
        inputs.append(batch.inputs.bytes)
        return try super.trainingStep(batch, index)
    }

    override func validationStep(_ batch: Batch, _ index: Int, loader: Int) throws {
        events.append("v\(index)" + (loader > 0 ? "@\(loader)" : ""))
        try validationStep(batch, index)
    }

    override func testStep(_ batch: Batch, _ index: Int, loader: Int) throws {
        events.append("s\(index)" + (loader > 0 ? "@\(loader)" : ""))
        try testStep(batch, index)
    }

    override func predictStep(_ batch: Batch, _ index: Int, loader: Int) throws -> Tensor {
        events.append("p\(index)" + (loader > 0 ? "@\(loader)" : ""))
        return try predictStep(batch, index)
    }
}
