// `needletail bench`: measure kernels and the trainer, and compare two measurements.
import ArgumentParser
import Foundation
import Needletail
import NeedletailBench
import NeedletailFiles

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract:
            "Measure kernels beside their baselines and the trainer beside a bare loop; compare two measurements.",
        subcommands: [BenchRunCommand.self, BenchCompareCommand.self, BenchTrainerCommand.self],
        defaultSubcommand: BenchRunCommand.self)
}

extension BenchmarkFamily: ExpressibleByArgument {}

struct BenchRunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Measure kernels: time, rate, share of this machine's limit, ratio to a baseline in the same run.",
        discussion: """
            FAMILY: gemm, nll, linear-nll, optimizer, convert, elementwise, step, attention, generation. Without one: all of them, \
            in about two minutes.

              needletail bench gemm --types f32,bf16 --threads 1,2
              needletail bench gemm --shapes Benchmarks/Shapes/gpt2.txt --json > gpt2.jsonl
              needletail bench nll --shapes 1024x1000,256x50257
              needletail bench compare before.jsonl after.jsonl

            Contestants take turns in 11 rounds on fresh random data; a round's figure is the mean over its calls. Times are \
            medians over the rounds, the spread is the interquartile range. Limits and baselines are measured in the same \
            run. Shapes: MxNxK or MxNxK/NT for gemm and linear-nll, ROWSxCLASSES for nll, COUNT for optimizer, convert and \
            elementwise, BATCHxWIDTHx…xCLASSES for step, TOKENSxHEADSxSIZE for attention, LAYERSxWIDTHxVOCABULARY for \
            generation; a file has one a line.
            """)

    @Argument(help: ArgumentHelp("What to measure.", valueName: "family"))
    var families: [BenchmarkFamily] = []

    @Option(help: "Element types, with commas between: float32 (f32), bfloat16 (bf16), float16 (f16).")
    var types = TypeList(values: BenchmarkOptions.allTypes)

    @Option(help: "Numbers of threads, with commas between.")
    var threads = CountList(values: [1])

    @Option(
        help: ArgumentHelp(
            "Shapes with commas between, or a file with one a line (default: each family's own).",
            valueName: "FILE|MxNxK,…"),
        transform: { text in
            do { return try BenchmarkShape.list(text) } catch { throw ValidationError("\(error)") }
        })
    var shapes: [BenchmarkShape] = []

    @Option(help: "The row of kernels, as doctor lists them (default: the best that runs here).")
    var kernel: String?

    @Flag(help: "Print JSON lines instead of tables.")
    var json = false

    @Option(help: "Seconds that each contestant is timed at least.")
    var minTime = 0.1

    @Option(help: "Repetitions of each contestant.")
    var rounds = Contest.defaultRounds

    @Option(help: "Of the optimizers and elementwise operations, the one to measure, such as adamw.")
    var only: String?

    @Option(help: "Draw the roofs of this machine and each kernel's point to this SVG file.")
    var roofline: String?

    func validate() throws {
        try checkPaths([("--roofline", roofline)])
        guard minTime > 0, minTime <= 3600 else {
            throw ValidationError("--min-time is \(minTime), expected seconds above 0, up to 3600")
        }
        guard rounds > 0, rounds <= 10_000 else {
            throw ValidationError("--rounds is \(rounds), expected a number from 1 to 10000")
        }
    }

    func run() throws {
        OpenBLASChoice.correctByStartingAgain()
        BenchmarkRun.shortenOpenMPWait()
        var options = BenchmarkOptions()
        options.families = families
        options.types = types.values
        options.threads = threads.values
        options.shapes = shapes
        options.kernel = kernel
        options.minimumSeconds = minTime
        options.rounds = rounds
        options.only = only
        let run: BenchmarkRun
        do { run = try BenchmarkRun(options) } catch let error as BenchmarkError {
            throw CommandError.usage(error.description)
        }
        try StandardOutput.requireOpen()
        try OutputOptions(
            outputs: [("--roofline", roofline, .page)], inputs: [("--shapes", Settings.current?.value(of: "shapes"))]
        ).check()
        run.measureLimits()
        let report = BenchmarkReport(run)
        var measurements: [BenchmarkResult] = []
        if !json { try write(report.heading) }
        var family = ""
        var points: [Roofline.Point] = []
        try run.run { measurement, work, label in
            points.append(Roofline.Point(measurement, work))
            measurements.append(measurement)
            if json {
                try write(measurement.json)
            } else {
                if measurement.family != family { try write("\n" + report.columns(of: measurement)) }
                try write(report.line(measurement, label: label))
            }
            family = measurement.family
        }
        if !json { try write(report.closing(measurements)) }
        if let roofline { try draw(points, run, to: roofline) }
    }

    /// At once, so that a pipe's reader sees each line when it is measured.
    private func write(_ line: String) throws { try StandardOutput.line(line) }

    private func draw(_ points: [Roofline.Point], _ run: BenchmarkRun, to path: String) throws {
        let picture = Roofline(
            title: "\(KernelInfo.cpuModel), kernels \(kernel ?? KernelInfo.activeRow)",
            subtitle:
                "needletail bench: roofs as measured in the same run; each point the median of \(rounds) "
                + "repetitions; an elementary function counts as one operation",
            limits: run.limits, points: points, bfloat16Peak: run.bfloat16Peak)
        do { try PageFile.write(picture.svg, to: path) } catch let error as LogFileError {
            throw CommandError.output("--roofline \(path): \(error.why); \(error.advice)")
        }
    }
}

/// Element types on the command line.
struct TypeList: ExpressibleByArgument, CustomStringConvertible {
    let values: [DType]

    init(values: [DType]) { self.values = values }

    init?(argument: String) {
        let names = ["f32": DType.float32, "bf16": .bfloat16, "f16": .float16]
        var values: [DType] = []
        for word in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let type = names[String(word)] ?? DType(rawValue: String(word)),
                BenchmarkOptions.allTypes.contains(type), !values.contains(type)
            else { return nil }
            values.append(type)
        }
        self.values = values
    }

    var description: String { values.map(\.rawValue).joined(separator: ",") }
}

/// Positive numbers on the command line, each of them once.
struct CountList: ExpressibleByArgument, CustomStringConvertible {
    let values: [Int]

    init(values: [Int]) { self.values = values }

    init?(argument: String) {
        let numbers = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
        guard numbers.allSatisfy({ (1...1024).contains($0) }), Set(numbers).count == numbers.count else { return nil }
        values = numbers
    }

    var description: String { values.map(String.init).joined(separator: ",") }
}
