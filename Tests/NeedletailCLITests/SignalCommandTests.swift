// `needletail train` under signals, at random moments of runs that spend their time in one phase or another.
import Foundation
import Needletail
import Testing

@Suite struct SignalCommandTests {
    private struct Phase: CustomTestStringConvertible {
        var testDescription: String
        /// Options; half a second and more of such a run is spent in the phase, again and again.
        var options: String
    }

    private static let phases = [
        Phase(testDescription: "training", options: "--hidden 256 --batch-size 16 --validation 0"),
        Phase(testDescription: "validation", options: "--hidden 256,256 --batch-size 8 --validation 1421"),
        Phase(testDescription: "writing", options: "--hidden 24 --batch-size 2000 --validation 0"),
        Phase(testDescription: "accumulation", options: "--hidden 64 --batch-size 4 --accumulate 50 --validation 100"),
    ]

    private func arguments(_ phase: Phase, _ folder: String, epochs: Int, resume: Bool = false) -> String {
        "train --quiet --threads 1 --precision bf16-mixed \(phase.options) --epochs \(epochs) --checkpoint \(folder)"
            + (resume ? " --resume last" : "")
    }

    /// The exit status is 130 or 143 within ten seconds, the complaint names the checkpoint, and after all interruptions the
    /// run ends with the bytes of one that never was interrupted.
    @Test(arguments: phases) private func everySignalEndsTheRunBetweenTwoSteps(_ phase: Phase) throws {
        let scratch = try Scratch()
        let run = scratch.path("run"), last = scratch.path("run/last")
        var generator = SeededGenerator(seed: 7)
        var state: TrainerState?
        for round in 0..<6 {
            let signal = round % 2 == 0 ? SIGINT : SIGTERM
            let process = try SpawnedNeedletail(arguments(phase, run, epochs: 1_000_000, resume: round > 0))
            let started = process.wait {  // until it has written a checkpoint of its own
                guard let now = try? Checkpoint(last).state else { return false }
                return now != state
            }
            #expect(started, "\(process.complaint)")
            usleep(UInt32(generator.nextInteger(below: 300_000)))
            process.send(signal)
            let (status, seconds) = process.wait()
            #expect(status == 128 + signal, "\(process.complaint)")
            #expect(seconds < 10)
            #expect(process.complaint.hasPrefix("needletail: ended by \(signal == SIGINT ? "SIGINT" : "SIGTERM")"))
            let saved = try Checkpoint(last).state
            #expect(saved.globalStep >= state?.globalStep ?? 1)
            state = saved
        }
        let epochs = try #require(state).epoch + 1
        for (folder, resume) in [(run, true), (scratch.path("whole"), false)] {
            let end = try SpawnedNeedletail(arguments(phase, folder, epochs: epochs, resume: resume))
            #expect(end.wait().status == 0, "\(end.complaint)")
        }
        let files = try scratch.files(below: "run/last")
        #expect(files.count == 3)
        #expect(try files == scratch.files(below: "whole/last"))
    }

    /// From the first millisecond on: before its handlers stand the signal itself ends the process, then they do.
    @Test func aSignalAtTheStartEndsItToo() throws {
        let scratch = try Scratch()
        for milliseconds in [0, 5, 10, 20, 40, 80] as [UInt32] {
            let process = try SpawnedNeedletail(
                arguments(Self.phases[0], scratch.path("run"), epochs: 1_000_000) + " --overwrite")
            usleep(milliseconds * 1000)
            process.send(SIGTERM)
            let (status, seconds) = process.wait()
            #expect(status == 143 || status == -SIGTERM, "\(milliseconds) ms: \(status) \(process.complaint)")
            #expect(seconds < 10)
        }
    }

    /// A step that takes long: the second signal does not wait for it, and the checkpoint of before is whole.
    @Test func theSecondSignalEndsItAtOnce() throws {
        let scratch = try Scratch()
        let options = "--hidden 4096,4096 --batch-size 1400 --validation 0"
        let slow = Phase(testDescription: "slow", options: options)
        let process = try SpawnedNeedletail(
            arguments(slow, scratch.path("run"), epochs: 1_000_000) + " --metrics \(scratch.path("metrics"))")
        let started = process.wait { FileManager.default.fileExists(atPath: scratch.path("run/last")) }
        #expect(started, "\(process.complaint)")
        usleep(50_000)
        process.send(SIGTERM)
        process.send(SIGINT)
        let (status, seconds) = process.wait()
        // 130 or 143: two pending signals may arrive in either order. Nothing was said or saved: it did not wait.
        #expect(status == 128 + SIGINT || status == 128 + SIGTERM)
        #expect(process.complaint.isEmpty && seconds < 10)
        let step = try Checkpoint(scratch.path("run/last")).state.globalStep
        #expect(step >= 1)
    }

    /// SIGUSR1: a checkpoint in the middle of an epoch, and training goes on.
    @Test func theUserSignalSavesAndGoesOn() throws {
        let scratch = try Scratch()
        let long = Phase(testDescription: "", options: "--hidden 512,512 --batch-size 1 --validation 0")
        let process = try SpawnedNeedletail(arguments(long, scratch.path("run"), epochs: 1_000_000))
        #expect(process.wait { process.handles(SIGUSR1) }, "\(process.complaint)")
        for _ in 0..<2 {
            let before = try? Checkpoint(scratch.path("run/last")).state
            process.send(SIGUSR1)
            let saved = process.wait {
                guard let now = try? Checkpoint(scratch.path("run/last")).state else { return false }
                return now != before
            }
            #expect(saved, "\(process.complaint)")
        }
        #expect(process.complaint.hasPrefix("note: saved "), "\(process.complaint)")
        process.send(SIGTERM)
        #expect(process.wait().status == 143)
    }
}
