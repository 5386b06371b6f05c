// `needletail verify`.
import ArgumentParser
import Foundation
import Needletail
import NeedletailVerify

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check on this CPU that every kernel keeps its numerical promises.",
        discussion: """
            Runs every row of kernels that this CPU has: conversions on all patterns, matrix products, losses, elementary \
            functions and optimizer steps against float64, and the same bits for any number of threads. Prints the largest \
            error of each check, what is allowed and where it was; exits with 1 where a promise is broken. About 20 seconds; \
            with --minutes it goes on with new seeds. docs/numerics.md states the promises.
            """)

    @Option(help: "Random inputs are drawn from this number; round r from the r-th after it.")
    var seed: UInt64 = 1

    @Option(help: "Go on with new seeds for so many minutes.")
    var minutes = 0.0

    @Option(
        help: ArgumentHelp(
            "Rows of kernels, with commas between, as doctor lists them (default: all that run here).",
            valueName: "row,…"))
    var kernel: String?

    @OptionGroup var threads: ThreadOptions

    func validate() throws {
        guard minutes >= 0, minutes <= 10_080 else {
            throw ValidationError("--minutes is \(minutes), expected 0 up to 10080 (a week)")
        }
    }

    func run() throws {
        try StandardOutput.requireOpen()
        threads.apply()
        var options = Verification.Options()
        options.seed = seed
        options.minutes = minutes
        options.rows = kernel.map { $0.split(separator: ",").map(String.init) } ?? []
        let verification: Verification
        do { verification = try Verification(options) } catch { throw CommandError.usage("\(error)") }
        try StandardOutput.line(
            "\(KernelInfo.cpuModel), \(KernelInfo.cpuFeatures), seed \(seed), \(threadCount) threads\n")
        let start = ContinuousClock.now
        let lines = verification.run { round, seed, violations in
            if minutes == 0 { return }
            let seconds = ((ContinuousClock.now - start) / .seconds(1)).formatted(decimals: 0)
            StandardError.line("round \(round), seed \(seed), \(seconds) s: \(violations) violations")
        }
        try StandardOutput.line(VerificationReport.columns)
        for line in lines { try StandardOutput.line(VerificationReport.line(line)) }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        try StandardOutput.line("\n" + VerificationReport.closing(lines, seconds: seconds))
        if lines.contains(where: { $0.violations > 0 }) { throw ExitCode(1) }
    }
}
