// A run: the machine's limits first, then every family, shape and thread count, each beside its baseline.
import Foundation
package import NeedletailTensor

/// What to measure.
package struct BenchmarkOptions {
    /// Empty: every family that takes one of the shapes.
    package var families: [BenchmarkFamily] = []
    package var types: [DType] = Self.allTypes
    package var threads: [Int] = [1]
    /// Empty: each family's own.
    package var shapes: [BenchmarkShape] = []
    /// A row of the dispatch table; nil for the best one.
    package var kernel: String?
    /// Seconds that each contestant is timed at least.
    package var minimumSeconds = 0.1
    /// Repetitions of each contestant.
    package var rounds = Contest.defaultRounds
    /// Cases whose operation (the report's second column, such as `adamw`) is not this are left out; nil for none.
    package var only: String?

    package init() {}

    package static let allTypes: [DType] = [.float32, .bfloat16, .float16]
}

/// Measures, and hands on each result as it comes.
package final class BenchmarkRun {
    package let options: BenchmarkOptions
    package let memory: MemoryHierarchy
    /// The machine's limits by thread count; measured when the run begins.
    package private(set) var limits: [MachineLimits] = []
    /// FLOP/s of the CPU's own bf16 multiplication on one thread; nil where there is none or it is not what products use.
    package private(set) var bfloat16Peak: Double?
    /// The reference's figures of all rounds so far, FLOP/s of one thread.
    package private(set) var reference: [Double] = []
    /// The sum of all contestants' samples: nothing of what was timed could have been left out.
    package private(set) var checksum = 0.0
    private let plan: [(family: BenchmarkFamily, shapes: [BenchmarkShape])]

    /// Throws ``BenchmarkError`` where the options do not go together.
    package init(_ options: BenchmarkOptions) throws {
        self.options = options
        memory = .ofThisMachine()
        plan = try Self.plan(options)
        if let kernel = options.kernel, !KernelInfo.rows.contains(where: { $0.name == kernel && $0.supported }) {
            let rows = KernelInfo.rows.filter(\.supported).map(\.name).joined(separator: ", ")
            throw BenchmarkError("--kernel '\(kernel)': this machine runs \(rows)")
        }
    }

    /// Which family measures which shapes.
    static func plan(_ options: BenchmarkOptions) throws -> [(family: BenchmarkFamily, shapes: [BenchmarkShape])] {
        let families = options.families.isEmpty ? BenchmarkFamily.allCases : options.families
        if options.types.allSatisfy({ !$0.is16Bit }), options.families == [.convert] {
            throw BenchmarkError(
                "convert: found only float32 in --types, expected bfloat16 or float16 to convert to and from")
        }
        if options.shapes.isEmpty { return families.map { ($0, $0.defaultShapes) } }
        for shape in options.shapes where !families.contains(where: { $0.takes(shape) }) {
            let expected = families.map { "\($0.sizeNames) for \($0.rawValue)" }.joined(separator: ", ")
            throw BenchmarkError("shape '\(shape.text)': expected \(expected)")
        }
        let plan = families.map { family in (family, options.shapes.filter(family.takes)) }
        for (family, shapes) in plan where shapes.isEmpty && !options.families.isEmpty {
            throw BenchmarkError("\(family.rawValue): none of the shapes is \(family.sizeNames)")
        }
        return plan.filter { !$0.1.isEmpty }
    }

    /// Measures peak and bandwidths for each thread count. The row of kernels is not lowered for it: the limits are the machine's.
    package func measureLimits() {
        let window = min(0.005, options.minimumSeconds)
        let usesOwn = BenchmarkFamily.gemm.kernelRow(types: DType.bfloat16.rawValue).hasSuffix("native")
        bfloat16Peak = usesOwn && options.kernel == nil ? KernelInfo.measureBFloat16Kernels()?.native : nil
        limits = options.threads.map { MachineLimits.measure(threads: $0, memory: memory, window: window) }
    }

    /// Runs everything; `report` gets each result, the work of one call, and the shape's label.
    package func run(report: (BenchmarkResult, Work, String) throws -> Void) throws {
        if limits.isEmpty { measureLimits() }
        _ = KernelInfo.setThreadRow(options.kernel)
        let threadsBefore = threadCount
        defer {
            _ = KernelInfo.setThreadRow(nil)
            setThreadCount(threadsBefore)
        }
        var data = RandomData()
        for (family, shapes) in plan {
            for shape in shapes {
                for limits in limits {
                    setThreadCount(limits.threads)
                    for group in family.groups(
                        shape, types: options.types, only: options.only, data: &data)
                    {
                        for (result, work) in measure(group, of: family, limits) {
                            try report(result, work, shape.label)
                        }
                    }
                }
            }
        }
    }

    private func measure(_ group: CaseGroup, of family: BenchmarkFamily, _ limits: MachineLimits)
        -> [(BenchmarkResult, Work)]
    {
        var contest = Contest(minimumSeconds: options.minimumSeconds)
        contest.rounds = options.rounds
        if limits.threads > 1 { contest.rest = Self.poolRest }
        let result = BenchmarkKernels.withOpenBLASThreads(limits.threads) {
            contest.run(group.baselines + group.cases.map(\.contestant)) { KernelInfo.measurePeak(seconds: 5e-4) }
        }
        checksum += result.checksum
        reference += result.reference
        let referenceStatistics = SampleStatistics(result.reference)
        let statistics = result.seconds.map(SampleStatistics.init)
        return group.cases.enumerated().map { index, entry in
            let own = statistics[group.baselines.count + index]
            let baseline = statistics[entry.baseline]
            let level = memory.level(of: entry.work.workingSet, threads: limits.threads)
            let (share, limit) = limits.share(of: entry.work, seconds: own.median, level: level)
            let line = BenchmarkResult(
                family: family.rawValue, layout: group.layout, size: group.size, types: entry.types,
                threads: limits.threads, kernel: family.kernelRow(types: entry.types), medianSeconds: own.median,
                spread: own.spread,
                repetitions: own.count, rate: entry.work.rate(seconds: own.median), unit: entry.work.unit,
                shareOfPeak: share, limit: limit, workingSet: entry.work.workingSet, level: level,
                baseline: group.baselines[entry.baseline].name, baselineSeconds: baseline.median,
                baselineSpread: baseline.spread, ratio: baseline.median / own.median,
                referenceRate: referenceStatistics.median / 1e9, referenceSpread: referenceStatistics.spread / 1e9)
            return (line, entry.work)
        }
    }

    /// Longer than threads of either pool look for work after a call: OpenBLAS's 2^26 ticks, OpenMP's `blockTime`.
    private static let poolRest = 0.04

    /// Sets how many milliseconds OpenMP's threads look for work after a region, where the user has not; must be called before
    /// the first kernel. Its own default of 200 would have a baseline's threads wait for ours.
    package static func shortenOpenMPWait() { setenv("KMP_BLOCKTIME", "25", 0) }
}
