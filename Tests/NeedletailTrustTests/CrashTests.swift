// `needletail train --checkpoint` killed at random moments: there is always a checkpoint, at most one interval old, and the
// run that goes on from it has the bits of one that was never killed.
import Foundation
import Needletail
import Testing

@Suite struct CrashTests {
    /// Kills in one test run: 40, or NEEDLETAIL_KILLS (make crash).
    private static let kills = ProcessInfo.processInfo.environment["NEEDLETAIL_KILLS"].flatMap { Int($0) } ?? 40

    /// One step an epoch and a checkpoint after each: about half of the time is spent in writing.
    private let options = "train --quiet --batch-size 2000 --validation 0 --hidden 24 --precision 16-mixed --threads 1"

    /// The last epoch that the metrics say was complete; -1 before there is one.
    private func completeEpochs(_ metrics: String) -> Int {
        let lines = String(decoding: contents(metrics), as: UTF8.self).split(separator: "\n")
        let epochs = lines.filter { $0.contains("\"event\":\"epoch\"") && $0.hasSuffix("}") }
        let number = epochs.last?.firstMatch(of: /"epoch":([0-9]+)/)?.1
        return number.flatMap { Int($0) } ?? -1
    }

    @Test func aKilledRunLosesAtMostOneInterval() throws {
        let scratch = try Scratch()
        let (run, metrics) = (scratch("run"), scratch("metrics.jsonl"))
        var generator = SeededGenerator(seed: UInt64(Self.kills))
        var (epoch, killsWithinAWrite) = (0, 0)
        var hasCheckpoint = false
        for kill in 0..<Self.kills {
            let resume = hasCheckpoint ? "--resume last" : ""
            let process = try CommandProcess(
                "\(options) --epochs 1000000 --checkpoint \(run) --metrics \(metrics) \(resume)")
            // Not before its first epoch; then after up to some intervals.
            while completeEpochs(metrics) < 0, process.isRunning { usleep(500) }
            usleep(UInt32(generator.nextInteger(below: 100_000)))
            process.send(SIGKILL)
            #expect(process.wait() == -SIGKILL, "kill \(kill): \(process.complaint)")
            let told = completeEpochs(metrics)
            let names = scratch.names(in: "run")
            if names.contains(where: { $0.hasPrefix(".last.") && $0.hasSuffix(".partial") }) { killsWithinAWrite += 1 }
            // The metrics tell of an epoch before its checkpoint is written: that one, or the one before it.
            try FileManager.default.removeItem(atPath: metrics)
            if !hasCheckpoint, told == 0, !scratch.names(in: "run").contains("last") { continue }
            hasCheckpoint = true
            let state = try Checkpoint(run + "/last").state
            #expect(state.epoch == told || state.epoch == told + 1, "kill \(kill): \(state.epoch) after \(told)")
            #expect(state.epoch >= epoch && state.globalStep + state.skippedSteps == state.epoch)
            epoch = state.epoch
        }
        print("\(Self.kills) kills, \(killsWithinAWrite) of them within a write; \(epoch) epochs")
        #expect(killsWithinAWrite > Self.kills / 40)

        let end = "--epochs \(epoch + 1) --checkpoint"
        try CommandProcess.succeeds("\(options) \(end) \(run) --resume last")
        try CommandProcess.succeeds("\(options) \(end) \(scratch("whole"))")
        #expect(
            scratch.names(in: "run") == ["last", "run.json"], "what interrupted writes left behind is cleared away")
        for name in scratch.names(in: "whole/last") {
            #expect(contents(run + "/last/" + name) == contents(scratch("whole/last/" + name)), "\(name)")
        }
    }
}
