// One line of a benchmark's result, and its JSON.
import Foundation
import NeedletailFiles

/// What was measured of one family, shape and type, beside its baseline in the same rounds.
package struct BenchmarkResult: Equatable, Sendable {
    package var family: String
    /// How a product's operands are stored; for other families the operation.
    package var layout: String
    package var size: BenchmarkSize
    package var types: String
    package var threads: Int
    /// The row of kernels.
    package var kernel: String
    package var medianSeconds: Double
    /// The interquartile range, in seconds.
    package var spread: Double
    /// Repetitions behind median and spread.
    package var repetitions: Int
    package var rate: Double
    package var unit: RateUnit
    package var shareOfPeak: Double
    /// What the share is of: `peak`, or the level of memory whose bandwidth binds.
    package var limit: String
    package var workingSet: Int
    package var level: MemoryLevel
    package var baseline: String
    package var baselineSeconds: Double
    package var baselineSpread: Double
    /// Baseline's median over this one's: above 1 this one is faster.
    package var ratio: Double
    /// Multiply-add rate of one thread during these rounds, GFLOP/s: median and spread. It moves with the clock frequency.
    package var referenceRate: Double
    package var referenceSpread: Double
}

extension BenchmarkResult {
    /// What a measurement is of, in words; equal for measurements that can be compared.
    package var name: String {
        let shape =
            switch size {
            case .product(let m, let n, let k): "\(m)x\(n)x\(k) \(layout)"
            case .matrix(let rows, let columns): "\(rows)x\(columns) \(layout)"
            case .vector(let count): "\(count) \(layout)"
            case .step(let rows, _): "\(rows) x \(layout)"
            }
        return "\(family) \(shape) \(types), \(threads) thread\(threads == 1 ? "" : "s")"
    }
}

extension BenchmarkResult {
    /// The shape for a picture: counts in binary thousands and millions where they are whole ones.
    package var shortName: String {
        switch size {
        case .product(let m, let n, let k): return "\(family == "gemm" ? layout : family) \(m)x\(n)x\(k)"
        case .matrix(let rows, let columns): return "\(family) \(rows)x\(columns)"
        case .vector(let count):
            for (unit, name) in [(1 << 20, "Mi"), (1 << 10, "Ki")] where count % unit == 0 {
                return "\(layout) \(count / unit)\(name)"
            }
            return "\(layout) \(count)"
        case .step(let rows, _): return "step \(rows) x \(layout)"
        }
    }
}

extension BenchmarkResult: Codable {
    enum CodingKeys: String, CodingKey, CaseIterable {
        case family, layout, m, n, k, rows, columns, count, types, threads, kernel
        case medianSeconds = "median_seconds"
        case spread, repetitions, rate, unit
        case shareOfPeak = "share_of_peak"
        case limit
        case workingSet = "working_set_bytes"
        case level = "working_set"
        case baseline
        case baselineSeconds = "baseline_seconds"
        case baselineSpread = "baseline_spread"
        case ratio
        case referenceRate = "reference_gflops"
        case referenceSpread = "reference_spread"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func read<T: Decodable>(_ key: CodingKeys) throws -> T { try container.decode(T.self, forKey: key) }
        family = try read(.family)
        layout = try read(.layout)
        if container.contains(.m) {
            size = .product(m: try read(.m), n: try read(.n), k: try read(.k))
        } else if container.contains(.columns) {
            size = .matrix(rows: try read(.rows), columns: try read(.columns))
        } else if container.contains(.rows) {
            size = .step(rows: try read(.rows), count: try read(.count))
        } else {
            size = .vector(count: try read(.count))
        }
        types = try read(.types)
        threads = try read(.threads)
        kernel = try read(.kernel)
        medianSeconds = try read(.medianSeconds)
        spread = try read(.spread)
        repetitions = try read(.repetitions)
        rate = try read(.rate)
        unit = try read(.unit)
        shareOfPeak = try read(.shareOfPeak)
        limit = try read(.limit)
        workingSet = try read(.workingSet)
        level = try read(.level)
        baseline = try read(.baseline)
        baselineSeconds = try read(.baselineSeconds)
        baselineSpread = try read(.baselineSpread)
        ratio = try read(.ratio)
        referenceRate = try read(.referenceRate)
        referenceSpread = try read(.referenceSpread)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(family, forKey: .family)
        try container.encode(layout, forKey: .layout)
        switch size {
        case .product(let m, let n, let k):
            try container.encode(m, forKey: .m)
            try container.encode(n, forKey: .n)
            try container.encode(k, forKey: .k)
        case .matrix(let rows, let columns):
            try container.encode(rows, forKey: .rows)
            try container.encode(columns, forKey: .columns)
        case .vector(let count): try container.encode(count, forKey: .count)
        case .step(let rows, let count):
            try container.encode(rows, forKey: .rows)
            try container.encode(count, forKey: .count)
        }
        try container.encode(types, forKey: .types)
        try container.encode(threads, forKey: .threads)
        try container.encode(kernel, forKey: .kernel)
        try container.encode(medianSeconds, forKey: .medianSeconds)
        try container.encode(spread, forKey: .spread)
        try container.encode(repetitions, forKey: .repetitions)
        try container.encode(rate, forKey: .rate)
        try container.encode(unit, forKey: .unit)
        try container.encode(shareOfPeak, forKey: .shareOfPeak)
        try container.encode(limit, forKey: .limit)
        try container.encode(workingSet, forKey: .workingSet)
        try container.encode(level, forKey: .level)
        try container.encode(baseline, forKey: .baseline)
        try container.encode(baselineSeconds, forKey: .baselineSeconds)
        try container.encode(baselineSpread, forKey: .baselineSpread)
        try container.encode(ratio, forKey: .ratio)
        try container.encode(referenceRate, forKey: .referenceRate)
        try container.encode(referenceSpread, forKey: .referenceSpread)
    }

    /// One line of JSON, keys sorted.
    package var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do { return String(decoding: try encoder.encode(self), as: UTF8.self) } catch {
            fatalError("BenchmarkResult: a figure is not finite: \(self)")
        }
    }

    /// The measurements of a file that `--json` wrote.
    package static func read(_ path: String) throws -> [BenchmarkResult] {
        guard let text = RegularFile.text(of: FilePath(path)) else {
            throw BenchmarkError("\(path): not a readable text file")
        }
        var seen: Set<String> = []
        let measurements = try text.split(separator: "\n").enumerated().map { index, line in
            do {
                let measurement = try JSONDecoder().decode(BenchmarkResult.self, from: Data(line.utf8))
                guard measurement.isSound else {
                    throw BenchmarkError("times and counts must be above zero and finite")
                }
                guard seen.insert(measurement.name).inserted else {
                    throw BenchmarkError("'\(measurement.name)' stands in an earlier line, too")
                }
                return measurement
            } catch {
                let why = (error as? BenchmarkError)?.description ?? "not a line of needletail bench --json"
                throw BenchmarkError("\(path), line \(index + 1): \(why)")
            }
        }
        guard !measurements.isEmpty else { throw BenchmarkError("\(path): found no measurement") }
        return measurements
    }

    private var isSound: Bool {
        medianSeconds > 0 && medianSeconds.isFinite && spread >= 0 && spread.isFinite && repetitions > 0
            && baselineSeconds > 0 && referenceRate > 0 && threads > 0
    }
}
