// `needletail inspect`.
import ArgumentParser
import Needletail
import NeedletailFiles

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Print what a checkpoint holds: tensors, types, bytes, hyper-parameters, counters, loss scale.")

    @Argument(help: "A checkpoint, or the folder given to train --checkpoint.")
    var checkpoint: String

    func validate() throws { try checkPaths([("checkpoint", checkpoint)]) }

    func run() throws {
        let checkpoint = try Checkpoint(TrainedClassifier.folder(checkpoint))
        let state = checkpoint.state
        print("checkpoint      \(FilePath(checkpoint.path))")
        print("format          \(checkpoint.formatVersion)")
        print("precision       \(checkpoint.precision.rawValue)")
        if !checkpoint.precisionOverrides.list.isEmpty { print("kept types      \(checkpoint.precisionOverrides)") }
        let products = checkpoint.bfloat16MatMul?.rawValue ?? "unknown"
        print("kernels         \(checkpoint.kernelRow), bf16 products: \(products)")
        print("position        epoch \(state.epoch), batch \(state.batchInEpoch)")
        print("steps           \(state.globalStep) applied, \(state.skippedSteps) skipped")
        if let scaler = checkpoint.scaler {
            print("loss scale      \(scaler.scale), \(scaler.growthTracker) steps since it last changed")
        } else {
            print("loss scale      none")
        }
        printTable("hyper-parameters", checkpoint.hyperparameters.map { ($0.key, $0.value.text) })
        printTable("metrics", checkpoint.metrics.map { ($0.key, "\($0.value)") })
        for (index, optimizer) in checkpoint.optimizers.enumerated() {
            print("\noptimizer \(index): \(optimizer.kind)")
            for group in optimizer.groups { print("  \(group.text)") }
            for schedule in checkpoint.schedules where schedule.optimizer == index {
                print("  schedule: \(schedule.schedule), by \(schedule.interval), count \(schedule.count)")
            }
        }
        printTensors("parameters", checkpoint.model, checkpoint.unreadModel)
        printTensors("optimizer state", checkpoint.optimizer, checkpoint.unreadOptimizer)
    }

    private func printTable(_ title: String, _ rows: [(String, String)]) {
        guard !rows.isEmpty else { return }
        print("\n\(title)")
        let width = rows.map(\.0.count).max() ?? 0
        for (name, value) in rows.sorted(by: { $0.0 < $1.0 }) { print("  \(name.padded(width))  \(value)") }
    }

    /// Prints the tensors, and under their names those of types that cannot be read.
    private func printTensors(_ title: String, _ tensors: [String: Tensor], _ unread: [SafeTensorsFile.Entry]) {
        let read = tensors.map { ($0.key, $0.value.dtype.rawValue, $0.value.shape, $0.value.byteCount) }
        let rows = read + unread.map { ($0.name, "\($0.type.rawValue) (not read)", $0.shape, $0.range.count) }
        let width = rows.map(\.0.count).max() ?? 0
        print("\n\(title)")
        for (name, type, shape, bytes) in rows.sorted(by: { $0.0 < $1.0 }) {
            print("  \(name.padded(width))  \(type.padded(9))  \("\(shape)".padded(14))  \(bytes) bytes")
        }
        let elements = rows.reduce(0) { $0 + $1.2.reduce(1, *) }
        let bytes = rows.reduce(0) { $0 + $1.3 }
        print("  total: \(rows.count) tensors, \(elements) elements, \(bytes) bytes")
    }
}

extension String {
    /// The string with spaces after it, at least `width` characters long.
    func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
