// `needletail bench`: bounded runs whose figures agree with one another; never how fast anything is.
import Foundation
import NeedletailBench
import Testing

@Suite struct BenchCommandTests {
    private static let quick = "--min-time 0.0005"

    private func results(_ arguments: String) throws -> [BenchmarkResult] {
        let run = try Needletail.succeeds("bench \(arguments) \(Self.quick) --json")
        return try run.output.split(separator: "\n").map {
            try JSONDecoder().decode(BenchmarkResult.self, from: Data($0.utf8))
        }
    }

    /// Family, shape, and the work of one call in billions of what the rate counts, by type.
    @Test(arguments: [
        // 2 m n k
        ("gemm", "5x6x7/TN", ["float32": 420e-9, "bfloat16": 420e-9, "float16": 420e-9]),
        // Logits read twice, gradient written, targets read: 3 * 3 * 5 * size + 8 * 3
        ("nll", "3x5", ["float32": 204e-9, "bfloat16": 114e-9, "float16": 114e-9]),
        // Three products of 2 * 3 * 5 * 4
        ("linear-nll", "3x5x4", ["float32": 360e-9, "bfloat16": 360e-9, "float16": 360e-9]),
        // A number of 4 bytes and one of 2
        (
            "convert", "100",
            [
                "float32->bfloat16": 600e-9, "bfloat16->float32": 600e-9, "float32->float16": 600e-9,
                "float16->float32": 600e-9,
            ]
        ),
        // 2 * 4 * (3 * (6 * 5 + 5 * 3) - 6 * 5)
        ("step", "4x6x5x3", ["float32": 840e-9, "bfloat16": 840e-9, "float16": 840e-9]),
        // Seven products of 2 * 2 heads * 9 * 9 / 2 pairs * 8
        ("attention", "9x2x8", ["float32": 9072e-9, "bfloat16": 9072e-9, "float16": 9072e-9]),
        // Four times a table of 5 rows of 64, a block of 12 * 64 * 64 weights, 9 * 64 biases and 4 * 64 of norms, 2 * 64 of the last
        ("generation", "1x64x5", ["float32": 806_912e-9, "bfloat16": 403_456e-9, "float16": 403_456e-9]),
    ])
    func figuresAgree(family: String, shape: String, work: [String: Double]) throws {
        let results = try results("\(family) --shapes \(shape)")
        #expect(Set(results.map(\.types)) == Set(work.keys))
        for result in results {
            try check(result, family: family)
            let expected = try #require(work[result.types])
            // One multiplication and one division apart.
            #expect(abs(result.rate * result.medianSeconds - expected) <= 4 * 0x1p-52 * expected, "\(result)")
        }
    }

    /// Bytes an element. SGD with momentum: gradient read twice, value and momentum read and written; AdamW: two moments.
    @Test(arguments: [
        ("optimizer", "sgd momentum", 24.0, 26.0), ("optimizer", "adamw", 32, 34), ("elementwise", "add", 12, 6),
        ("elementwise", "gelu", 8, 4),
    ])
    func bytesOfAnElement(family: String, layout: String, float32: Double, half: Double) throws {
        let results = try results("\(family) --shapes 1000").filter { $0.layout == layout }
        #expect(results.count == 3)
        for result in results {
            try check(result, family: family)
            let expected = 1000e-9 * (result.types == "float32" ? float32 : half)
            #expect(abs(result.rate * result.medianSeconds - expected) <= 4 * 0x1p-52 * expected, "\(result)")
        }
    }

    private func check(_ result: BenchmarkResult, family: String) throws {
        #expect(result.family == family)
        #expect(result.medianSeconds > 0 && result.spread >= 0 && result.shareOfPeak > 0)
        #expect(result.repetitions > 10)
        #expect(result.threads == 1)
        #expect(result.ratio == result.baselineSeconds / result.medianSeconds)
        #expect(result.referenceRate > 0 && result.referenceSpread >= 0)
        #expect(!result.baseline.isEmpty && result.level == .l2)
    }

    @Test func kernelThreadsAndTypesAreThoseAskedFor() throws {
        let results = try results("gemm --shapes 8x8x8,9x9x9/NT --kernel ref --threads 1,2 --types bf16,float32")
        #expect(results.count == 8)
        #expect(results.allSatisfy { $0.kernel.hasPrefix("ref") && $0.ratio > 0 })
        #expect(results.map(\.threads) == [1, 1, 2, 2, 1, 1, 2, 2])
        #expect(
            results.map(\.types) == [
                "bfloat16", "float32", "bfloat16", "float32", "bfloat16", "float32", "bfloat16", "float32",
            ])
        #expect(results.map(\.layout) == ["NN", "NN", "NN", "NN", "NT", "NT", "NT", "NT"])
    }

    @Test func tableHasLimitsBaselineReferenceAndSummary() throws {
        let scratch = try Scratch()
        let shapes = try scratch.write(Array("# two\n8x8x8/NT head of it\n9x9x9\n".utf8), "shapes.txt")
        let run = try Needletail.succeeds("bench gemm --shapes \(shapes) \(Self.quick)")
        for part in [
            "OpenBLAS sgemm", "kernels", "limits of 1 thread", "GFLOP/s", "memory", "8x8x8 NT head of it", "9x9x9 NN",
            "reference", "what 16 bit buys here", "bfloat16", "972 B L2",
        ] {
            #expect(run.output.contains(part), "\(part) in \(run.output)")
        }
    }

    /// The environment may not take vectors from the baseline that the CPU has.
    @Test func baselineRunsTheBestKernelsWhateverTheEnvironmentSays() throws {
        for core in ["Prescott", "Nehalem"] {
            let run = try Needletail(
                ["bench", "gemm", "--shapes", "8x8x8", "--min-time", "0.0005"], environment: ["OPENBLAS_CORETYPE": core]
            )
            #expect(run.status == 0)
            let line = run.output.split(separator: "\n").first { $0.contains("baseline of gemm") } ?? ""
            // Where the CPU has nothing better there is nothing to put right.
            #expect(line.contains("OPENBLAS_CORETYPE=\(core)"), "\(line)")
            if line.contains("put right") { #expect(!line.contains("\(core) kernels"), "\(line)") }
        }
    }

    @Test func rooflineIsDrawn() throws {
        let scratch = try Scratch()
        let path = scratch.path("roofline.svg")
        _ = try Needletail.succeeds("bench gemm nll --shapes 8x8x8,4x5 \(Self.quick) --roofline \(path)")
        let svg = try String(contentsOfFile: path, encoding: .utf8)
        for part in ["<svg", "NN 8x8x8", "nll 4x5", "peak", "</svg>"] { #expect(svg.contains(part)) }
        let refused = try Needletail(["bench", "--roofline", "/proc/needletail/picture.svg"])
        #expect(refused.status == 74 && refused.complaints.count == 1 && refused.output.isEmpty)
    }

    @Test func compareSaysWhatChangedAndItsExitCodeToo() throws {
        let scratch = try Scratch()
        let before = try Needletail.succeeds("bench gemm --shapes 64x64x64 --types f32 \(Self.quick) --json").output
        var slow = try JSONDecoder().decode(BenchmarkResult.self, from: Data(before.utf8))
        slow.medianSeconds *= 50
        let (a, b) = (
            try scratch.write(Array(before.utf8), "a.jsonl"), try scratch.write(Array(slow.json.utf8), "b.jsonl")
        )
        let same = try Needletail(["bench", "compare", a, a])
        #expect(same.status == 0 && same.output.contains("no difference"))
        let worse = try Needletail(["bench", "compare", a, b])
        #expect(worse.status == 1 && worse.complaint.isEmpty, "\(worse.complaint)")
        #expect(worse.output.contains("slower"))
        let better = try Needletail(["bench", "compare", b, a])
        #expect(better.status == 0 && better.output.contains("faster"))
        let foreign = try scratch.write(Array("{\"loss\":1}\n".utf8), "metrics.jsonl")
        for files in [[a, foreign], [foreign, a], [a, scratch.path("nowhere")]] {
            let run = try Needletail(["bench", "compare"] + files)
            #expect(run.status == 65 && run.complaints.count == 1 && run.output.isEmpty, "\(run.complaint)")
        }
    }
}
