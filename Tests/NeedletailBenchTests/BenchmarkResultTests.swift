import Foundation
import NeedletailBench
import Testing

@Suite struct BenchmarkResultTests {
    /// As a file would have it.
    static let line = """
        {"family":"gemm","layout":"NT","m":4,"n":5,"k":6,"types":"bfloat16","threads":2,"kernel":"avx2",\
        "median_seconds":0.5,"spread":0.01,"repetitions":11,"rate":240,"unit":"GFLOP/s","share_of_peak":0.75,\
        "limit":"peak","working_set_bytes":1000,"working_set":"L2","baseline":"other","baseline_seconds":1,\
        "baseline_spread":0.02,"ratio":2,"reference_gflops":200,"reference_spread":1}
        """

    static func result(
        size: BenchmarkSize = .product(m: 4, n: 5, k: 6), seconds: Double = 0.5, spread: Double = 0.01,
        reference: Double = 200, types: String = "bfloat16"
    ) -> BenchmarkResult {
        var result = try! JSONDecoder().decode(BenchmarkResult.self, from: Data(line.utf8))
        (result.size, result.types, result.referenceRate) = (size, types, reference)
        (result.medianSeconds, result.spread) = (seconds, spread)
        return result
    }

    static let sizes: [(BenchmarkSize, [String])] = [
        (.product(m: 4, n: 5, k: 6), ["m", "n", "k"]), (.matrix(rows: 4, columns: 5), ["rows", "columns"]),
        (.vector(count: 7), ["count"]), (.step(rows: 4, count: 99), ["rows", "count"]),
    ]

    @Test(arguments: sizes) func jsonHasTheseKeysAndReadsBack(size: BenchmarkSize, sizeKeys: [String]) throws {
        let result = Self.result(size: size)
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(result.json.utf8)) as? [String: Any])
        let common = [
            "family", "layout", "types", "threads", "kernel", "median_seconds", "spread", "repetitions", "rate", "unit",
            "share_of_peak", "limit", "working_set_bytes", "working_set", "baseline", "baseline_seconds",
            "baseline_spread", "ratio", "reference_gflops", "reference_spread",
        ]
        #expect(Set(object.keys) == Set(common + sizeKeys))
        #expect(!result.json.contains("\n"))
        #expect(try JSONDecoder().decode(BenchmarkResult.self, from: Data(result.json.utf8)) == result)
    }

    private func file(_ text: String) throws -> String {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("needletail-\(UUID().uuidString)")
        try Data(text.utf8).write(to: url)
        return url.path
    }

    @Test func filesReadBack() throws {
        let results = Self.sizes.map { Self.result(size: $0.0) }
        let path = try file(results.map(\.json).joined(separator: "\n") + "\n")
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(try BenchmarkResult.read(path) == results)
    }

    @Test(arguments: [
        "", "not JSON", "{}", "[1,2]", "{\"family\":\"gemm\"}",
        result().json + "\n" + result().json,
        result(seconds: -1).json, result(reference: 0).json,
        result().json.replacingOccurrences(of: "\"ratio\"", with: "\"ration\""),
        result().json.replacingOccurrences(of: "GFLOP", with: "TFLOP"),
    ])
    func foreignFilesAreRefused(text: String) throws {
        let path = try file(text)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let error = #expect(throws: BenchmarkError.self) { try BenchmarkResult.read(path) }
        #expect(error?.description.contains(path) == true)
    }

    @Test func missingFile() { #expect(throws: BenchmarkError.self) { try BenchmarkResult.read("/nowhere") } }

    @Test func timesHaveAUnitThatFits() {
        #expect(BenchmarkReport.seconds(2.5e-9) == "2.50 ns")
        #expect(BenchmarkReport.seconds(1.5e-5) == "15.0 us")
        #expect(BenchmarkReport.seconds(0.25) == "250 ms")
        #expect(BenchmarkReport.seconds(3) == "3.00 s")
    }

    @Test func gainsAreGeometricMeansOverShapesWithBothTypes() throws {
        func result(_ m: Int, _ types: String, _ seconds: Double) -> BenchmarkResult {
            Self.result(size: .product(m: m, n: 1, k: 1), seconds: seconds, types: types)
        }
        let gains = BenchmarkReport.gains([
            result(1, "float32", 2), result(1, "bfloat16", 1), result(2, "float32", 8), result(2, "bfloat16", 1),
            result(3, "bfloat16", 1),
        ])
        let gain = try #require(gains.first)
        #expect(gains.count == 1 && gain.ratios.count == 1)
        #expect(abs(gain.ratios[0].ratio - 4) <= 8 * 0x1p-52)  // sqrt(2 * 8), through log and exp
    }
}
