// A long run: memory stays flat, no file descriptor and no thread is left behind. Step times are printed, never judged.
import Foundation
import Needletail
import Testing

@Suite struct SoakTests {
    /// How long the run lasts: 20 s, or NEEDLETAIL_SOAK_SECONDS (make soak: an hour).
    private static let seconds =
        ProcessInfo.processInfo.environment["NEEDLETAIL_SOAK_SECONDS"].flatMap { Double($0) } ?? 20

    private struct Sample {
        let memory: Int, threads: Int, files: Int
    }

    private func sample(_ process: CommandProcess) -> Sample? {
        guard let memory = Resources.status("VmRSS", of: process.identifier),
            let threads = Resources.status("Threads", of: process.identifier),
            let files = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.identifier)/fd")
        else { return nil }
        return Sample(memory: memory, threads: threads, files: files.count)
    }

    /// Adam knows the 1,300 images by heart after a few minutes: the loss scale then grows to 2^32 and more over steps without
    /// gradients, and comes down again (docs/decisions/0005).
    ///
    /// Training with validation, checkpoints and metrics, some hundred epochs a minute: each has two loader threads, three
    /// files and a folder of its own.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self/status"), "needs /proc"))
    func aLongRunStaysAsItIs() throws {
        let scratch = try Scratch()
        let process = try CommandProcess(
            "train --quiet --epochs 100000000 --hidden 128,256 --precision 16-mixed --schedule cosine "
                + "--checkpoint \(scratch("run")) --metrics \(scratch("metrics.jsonl"))")
        var samples: [Sample] = []
        let end = ContinuousClock.now + .seconds(Self.seconds)
        while ContinuousClock.now < end, process.isRunning {
            usleep(20_000)
            if let sample = sample(process) { samples.append(sample) }
        }
        #expect(process.isRunning, "\(process.complaint)")
        process.send(SIGKILL)
        _ = process.wait()

        // The first quarter fills pools and caches. The lowest of each: which of its short-lived threads are alive at once
        // changes from moment to moment, what is left behind stays.
        let quarters = (0..<4).map { samples[(samples.count * $0 / 4)..<(samples.count * ($0 + 1) / 4)] }
        let memory = quarters.map { $0.map(\.memory).min() ?? 0 }
        let threads = quarters.map { $0.map(\.threads).min() ?? 0 }
        let files = quarters.map { $0.map(\.files).min() ?? 0 }
        print("soak of \(Self.seconds) s, \(samples.count) samples, lowest in each quarter:")
        print("  resident MB \(memory.map { Double($0 >> 10) / 1024 }), threads \(threads), descriptors \(files)")
        print("  samples a second, medians of the quarters: \(rates(scratch("metrics.jsonl")))")
        // A leak of one 64-byte block a step would be about 200 KB a minute, of one batch (16 KB) hundreds of MB.
        let slack = 2 << 20
        #expect(memory[3] <= memory[1] + slack, "resident memory grew: \(memory)")
        // One left behind in each of at least twenty epochs would be ten of them; the pool that writes checkpoints keeps some
        // threads for seconds.
        #expect(threads[3] <= threads[1] + 4 && files[3] <= files[1] + 4, "threads \(threads), descriptors \(files)")
        let epoch = try Checkpoint(scratch("run/last")).state.epoch
        #expect(epoch > Int(Self.seconds))
    }

    /// Medians of each quarter's training rates, from the metrics: means of the run so far.
    private func rates(_ metrics: String) -> [Double] {
        var rates: [Double] = []
        for line in String(decoding: contents(metrics), as: UTF8.self).split(separator: "\n") {
            guard line.contains("\"event\":\"epoch\""),
                let rate = line.firstMatch(of: /"samples_per_second":([0-9.e+]+)/)?.1, let value = Double(rate)
            else { continue }
            rates.append(value)
        }
        return (0..<4).map { quarter in
            let part = rates[(rates.count * quarter / 4)..<(rates.count * (quarter + 1) / 4)].sorted()
            return part.isEmpty ? 0 : part[part.count / 2].rounded()
        }
    }
}
