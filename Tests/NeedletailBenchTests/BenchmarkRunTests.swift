import NeedletailBench
import Testing

@Suite struct BenchmarkRunTests {
    private func refusal(_ change: (inout BenchmarkOptions) throws -> Void) throws -> String {
        var options = BenchmarkOptions()
        try change(&options)
        return try #require(#expect(throws: BenchmarkError.self) { try BenchmarkRun(options) }).description
    }

    @Test func optionsThatDoNotGoTogether() throws {
        #expect(try refusal { $0.kernel = "avx1024" }.contains("ref"))
        #expect(
            try refusal {
                $0.families = [.gemm]
                $0.shapes = [BenchmarkShape([5])]
            }.contains("MxNxK"))
        #expect(
            try refusal {
                $0.families = [.gemm, .nll]
                $0.shapes = [BenchmarkShape([5, 5, 5])]
            }.contains("nll"))
        #expect(
            try refusal {
                $0.families = [.convert]
                $0.types = [.float32]
            }.contains("16"))
        // A layout is for the products that have operands of their own.
        #expect(
            try refusal {
                $0.families = [.linearNLL]
                $0.shapes = [BenchmarkShape([5, 5, 5], .nt)]
            }.contains("linear-nll"))
    }

    /// Every family, on every row of kernels: one result a type, finite samples, and the machine's limits above zero.
    @Test(arguments: BenchmarkFamily.allCases)
    func everyFamilyRuns(family: BenchmarkFamily) throws {
        var options = BenchmarkOptions()
        options.families = [family]
        options.minimumSeconds = 1e-4
        options.kernel = "ref"
        let shape =
            switch family {
            case .gemm: BenchmarkShape([5, 6, 7], .tt)
            case .nll: BenchmarkShape([3, 5])
            case .linearNLL: BenchmarkShape([3, 5, 4])
            case .optimizer, .convert, .elementwise: BenchmarkShape([100])
            case .step: BenchmarkShape([4, 6, 5, 3])
            case .attention: BenchmarkShape([9, 2, 8])
            case .generation: BenchmarkShape([1, 64, 5])
            }
        options.shapes = [shape]
        let run = try BenchmarkRun(options)
        var results: [BenchmarkResult] = []
        try run.run { result, work, _ in
            results.append(result)
            // The share is of the limit that it names.
            let limits = run.limits[0]
            let bandwidth = result.unit == .gigaflops ? limits.reading : limits.bandwidth
            let limit = result.limit == "peak" ? limits.peak : bandwidth[result.level] ?? 0
            let amount = result.limit == "peak" ? work.operations : work.bytes
            #expect(limit > 0)
            #expect(abs(result.shareOfPeak - amount / result.medianSeconds / limit) <= 1e-12 * result.shareOfPeak)
        }
        #expect(Set(results.map(\.name)).count == results.count)
        #expect(results.allSatisfy { $0.kernel.hasPrefix("ref") && $0.family == family.rawValue && $0.level == .l2 })
        #expect(run.checksum.isFinite && run.checksum != 0)
        #expect(run.reference.count >= Contest.defaultRounds)
        if family != .convert {
            for type in options.types { #expect(results.contains { $0.types == type.rawValue }) }
        }
    }

    @Test func shareTakesTheLimitThatBinds() {
        let limits = MachineLimits(
            threads: 1, peak: 100, bandwidth: [.l2: 50, .l3: 20, .memory: 20], reading: [.memory: 10])
        // Intensity 10: the peak binds. Intensity 1: memory does, at 10 of 100.
        let dense = Work(operations: 100, bytes: 10, workingSet: 1, unit: .gigaflops)
        #expect(limits.share(of: dense, seconds: 2, level: .memory) == (0.5, "peak"))
        let thin = Work(operations: 10, bytes: 10, workingSet: 1, unit: .gigaflops)
        #expect(limits.share(of: thin, seconds: 2, level: .memory) == (0.5, "memory"))
        // What is counted in bytes is judged by the best bandwidth alone.
        let copied = Work(operations: 1000, bytes: 10, workingSet: 1, unit: .gigabytes)
        #expect(limits.share(of: copied, seconds: 1, level: .memory) == (0.5, "memory"))
        let moved = Work(operations: 1000, bytes: 10, workingSet: 1, unit: .gigabytes)
        #expect(limits.share(of: moved, seconds: 1, level: .l2) == (0.2, "L2"))
    }
}
