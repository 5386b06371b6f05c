// A model whose validations log the values of a script.
import Needletail

/// The nth validation logs the script's nth value as `val`; training logs its own as `train` by epoch.
final class ScriptedMetrics: SmallClassifier {
    private let script: [Double]
    private var next = 0
    init(_ script: [Double]) {
        self.script = script
        super.init()
    }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        log("train", script[min(trainer?.state.epoch ?? 0, script.count - 1)], onStep: false, onEpoch: true)
        return try super.trainingStep(batch, index)
    }
    override func validationStep(_ batch: Batch, _ index: Int) throws {}
    override func onValidationEpochEnd() {
        guard trainer?.isSanityChecking == false else { return }
        log("val", script[next])
        next += 1
    }
    override func onSaveCheckpoint(_ state: inout [String: JSONValue]) { state["next"] = .integer(Int64(next)) }
    override func onLoadCheckpoint(_ state: [String: JSONValue]) throws { next = try state["next"]?.decoded() ?? 0 }
}

/// Two training batches and one validation batch.
func scriptedLoaders() -> (train: DataLoader, validation: DataLoader) {
    (DataLoader(Points(8), batchSize: 4), DataLoader(Points(4), batchSize: 4))
}
