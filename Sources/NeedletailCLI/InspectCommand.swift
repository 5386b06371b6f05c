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
        try line("checkpoint      \(FilePath(checkpoint.path))")
        try line("format          \(checkpoint.formatVersion)")
        try line("precision       \(checkpoint.precision.rawValue)")
        if !checkpoint.precisionOverrides.list.isEmpty { try line("kept types      \(checkpoint.precisionOverrides)") }
        let products = checkpoint.bfloat16MatMul?.rawValue ?? "unknown"
        try line("kernels         \(checkpoint.kernelRow), bf16 products: \(products)")
        try line("position        epoch \(state.epoch), batch \(state.batchInEpoch)")
        try line("steps           \(state.globalStep) applied, \(state.skippedSteps) skipped")
        if let scaler = checkpoint.scaler {
            try line("loss scale      \(scaler.scale), \(scaler.growthTracker) steps since it last changed")
        } else {
            try line("loss scale      none")
        }
        try printTable("hyper-parameters", checkpoint.hyperparameters.map { ($0.key, $0.value.text) })
        try printTable("metrics", checkpoint.metrics.map { ($0.key, "\($0.value)") })
        for (index, optimizer) in checkpoint.optimizers.enumerated() {
            try line("\noptimizer \(index): \(optimizer.kind)")
            for group in optimizer.groups { try line("  \(group.text)") }
            for schedule in checkpoint.schedules where schedule.optimizer == index {
                try line("  schedule: \(schedule.schedule), by \(schedule.interval), count \(schedule.count)")
            }
        }
        try printTensors("parameters", checkpoint.model, checkpoint.unreadModel)
        try printTensors("optimizer state", checkpoint.optimizer, checkpoint.unreadOptimizer)
    }

    private func line(_ text: String) throws { try StandardOutput.line(text) }

    private func printTable(_ title: String, _ rows: [(String, String)]) throws {
        guard !rows.isEmpty else { return }
        try line("\n\(title)")
        let width = rows.map(\.0.count).max() ?? 0
        for (name, value) in rows.sorted(by: { $0.0 < $1.0 }) { try line("  \(name.padded(width))  \(value)") }
    }

    /// Prints the tensors, and under their names those of types that cannot be read.
    private func printTensors(_ title: String, _ tensors: [String: Tensor], _ unread: [SafeTensorsFile.Entry]) throws {
        let read = tensors.map { ($0.key, $0.value.dtype.rawValue, $0.value.shape, $0.value.byteCount) }
        let rows = read + unread.map { ($0.name, "\($0.type.rawValue) (not read)", $0.shape, $0.range.count) }
        let width = rows.map(\.0.count).max() ?? 0
        try line("\n\(title)")
        for (name, type, shape, bytes) in rows.sorted(by: { $0.0 < $1.0 }) {
            try line("  \(name.padded(width))  \(type.padded(9))  \("\(shape)".padded(14))  \(bytes) bytes")
        }
        let elements = rows.reduce(0) { $0 + $1.2.reduce(1, *) }
        let bytes = rows.reduce(0) { $0 + $1.3 }
        try line("  total: \(rows.count) tensors, \(elements) elements, \(bytes) bytes")
    }
}

extension String {
    /// The string with spaces after it, at least `width` characters long.
    func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
