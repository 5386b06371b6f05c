// A run that is killed: what it had logged is in the file.
import Foundation
import Testing

@Suite struct KilledRunTests {
    /// The promise is 2 s; a record is written at once, so that the last one is as old as the metrics' interval.
    @Test func aKilledRunLeavesAReadablePrefix() throws {
        let scratch = try Scratch()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("needletail")
        process.arguments =
            "train --quiet --epochs 1000000 --threads 1 --log-every-n-steps 3 --tensorboard \(scratch("runs")) --histograms"
            .split(separator: " ").map(String.init)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        var reader = EventReader([])
        for _ in 0..<3000 where reader.events.count < 200 && process.isRunning {
            usleep(10_000)
            if let file = scratch.files.first { reader = try scratch.events(file) }
            #expect(reader.damage == nil)  // also while it is being written
        }
        kill(process.processIdentifier, SIGKILL)
        let killed = Date().timeIntervalSince1970
        process.waitUntilExit()
        #expect(process.terminationReason == .uncaughtSignal)
        reader = try scratch.events(try #require(scratch.files.first))
        #expect(reader.damage == nil)
        #expect(reader.version == "brain.Event:2")
        let last = try #require(reader.times.last)
        #expect(killed - last <= 2 && last <= killed + 1)
        let steps = try #require(reader.values["train_loss_step"]).map(\.step)
        #expect(steps == (1...Int64(steps.count)).map { 3 * $0 })
        #expect(reader.values["parameters/layer1.weight"]?.isEmpty == false)
        #expect(reader.values["_hparams_/session_start_info"]?.count == 1)
        #expect(reader.values["_hparams_/session_end_info"] == nil)
    }
}
