// `needletail bench compare`.
import ArgumentParser
import Needletail
import NeedletailBench

struct BenchCompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Compare two files that bench --json wrote.",
        discussion: """
            A difference counts where the intervals median ± interquartile range do not meet, allowing for the tolerance and \
            for the change of the reference measurement between the runs.

            Exit codes: 0 nothing is slower, 1 something is, 65 a file is not a benchmark's or the two have nothing in common.
            """)

    @Argument(help: "The run before the change.")
    var before: String

    @Argument(help: "The run after it.")
    var after: String

    @Option(help: "Differences of less than this many percent never count.")
    var tolerance = 2.0

    func validate() throws {
        try checkPaths([("before", before), ("after", after)])
        guard tolerance >= 0, tolerance < 100 else {
            throw ValidationError("--tolerance is \(tolerance), expected percent from 0 up to 100")
        }
    }

    func run() throws {
        let comparison: BenchmarkComparison
        do {
            comparison = try BenchmarkComparison(
                before: BenchmarkResult.read(before), after: BenchmarkResult.read(after), tolerance: tolerance / 100)
        } catch let error as BenchmarkError {
            throw CommandError.data(error.description)
        }
        try StandardOutput.line(comparison.text)
        if comparison.rows.contains(where: { $0.verdict == .slower }) { throw ExitCode(1) }
    }
}
