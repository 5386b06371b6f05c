// The same seed gives the same checkpoint, byte for byte: with any number of threads, with any interruptions, and on every
// machine that has the kernel row. Fixtures/checkpoints.txt is the table of their checksums.
import Foundation
import Needletail
import Testing

/// A training run on the digits, and what decides on its bits.
struct ReproducibleRun: CustomTestStringConvertible, Sendable {
    enum Model: String, CaseIterable {
        case mlp, cnn

        /// Of `needletail train`, for two epochs of a few batches.
        fileprivate var options: String {
            switch self {
            case .mlp: "--hidden 160,32 --batch-size 192 --validation 97 --schedule cosine --seed 5"
            case .cnn:
                "--model cnn --batch-size 16 --limit-train-batches 4 --limit-val-batches 1 --limit-test-batches 1 --seed 5"
            }
        }

        /// Applied steps after which the run is interrupted: within each of its epochs.
        fileprivate var stops: [Int] { self == .mlp ? [3, 9] : [2, 7] }

        fileprivate var precisions: [Precision] {
            self == .mlp ? Precision.allCases : [.float32, .mixedBFloat16, .mixedFloat16]
        }
    }

    let model: Model
    let row: String
    /// The kernels of the row where there are several, or what float64 products rest on.
    let variant: String
    let precision: Precision
    var testDescription: String { "\(model) \(row) \(variant) \(precision.rawValue)" }

    /// Shell commands that hold a run to this row. OpenBLAS, which does float64 products only, chooses by the CPU.
    var setup: String {
        "export CSIMD_ISA=\(row) CSIMD_BF16_GEMM=\(variant == "native" ? "native" : "widen") OPENBLAS_CORETYPE=\(core)"
    }

    private var core: String { row == "ref" ? "Prescott" : "Haswell" }

    /// The runs that this machine can do.
    static let all = Model.allCases.flatMap(runs)

    private static func runs(_ model: Model) -> [ReproducibleRun] {
        KernelInfo.rows.filter(\.supported).flatMap { row in model.precisions.flatMap { runs(model, row.name, $0) } }
    }

    private static func runs(_ model: Model, _ row: String, _ precision: Precision) -> [ReproducibleRun] {
        let isNarrow = precision == .bfloat16 || precision == .mixedBFloat16
        let hasNative = isNarrow && row == "avx512" && KernelInfo.cpuFeatures.contains("avx512_bf16")
        let first = precision == .float64 ? openBLAS : "widen"
        return ([first] + (hasNative ? ["native"] : [])).map {
            ReproducibleRun(model: model, row: row, variant: $0, precision: precision)
        }
    }

    /// The library and its version: another one may round differently.
    private static let openBLAS: String = {
        let words = KernelInfo.openBLASConfiguration.split(separator: " ")
        return words.count > 1 ? "openblas-\(words[1])" : "openblas"
    }()
}

@Suite struct ReproducibleBitsTests {
    /// Trains in steps that end at the given numbers of applied steps, then to the end; each part with a number of threads.
    private func train(_ run: ReproducibleRun, _ folder: String, stops: [Int] = [], threads: [Int]) throws {
        for (index, threads) in threads.enumerated() {
            let end = index < stops.count ? "--max-steps \(stops[index])" : ""
            let resume = index > 0 ? "--resume last" : ""
            let process = try CommandProcess(
                "train --quiet --epochs 2 \(run.model.options) --precision \(run.precision.rawValue) --threads \(threads) --checkpoint \(folder) \(end) \(resume)",
                setup: run.setup)
            #expect(process.wait() == 0, "\(run.testDescription): \(process.complaint)")
        }
    }

    private static let files = ["model.safetensors", "optimizer.safetensors", "state.json"]

    /// The lines of the table by run.
    private static let table: [String: String] = {
        guard let url = Bundle.module.url(forResource: "Fixtures/checkpoints", withExtension: "txt"),
            let text = try? String(contentsOf: url, encoding: .utf8)
        else { return [:] }
        return Dictionary(
            text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
                let words = line.split(separator: " ")
                return (words.prefix(4).joined(separator: " "), words.dropFirst(4).joined(separator: " "))
            }, uniquingKeysWith: { $1 })
    }()

    /// One thread, three threads, and a run that was interrupted within each of its epochs give the bytes of the table.
    ///
    /// `make bits` records the lines that NEEDLETAIL_PRINT_BITS=1 makes this test print. It marks what another machine must
    /// record, and such a line is accepted here.
    @Test(arguments: ReproducibleRun.all)
    func theSameBytesEveryTime(_ run: ReproducibleRun) throws {
        let scratch = try Scratch()
        try train(run, scratch("one"), threads: [1])
        try train(run, scratch("three"), threads: [3])
        try train(run, scratch("parts"), stops: run.model.stops, threads: [2, 1, 3])
        let sums = Self.files.map { CRC32.text(contents(scratch("one/last/" + $0))) }.joined(separator: " ")
        for name in Self.files {
            let whole = contents(scratch("one/last/" + name))
            #expect(!whole.isEmpty)
            #expect(contents(scratch("three/last/" + name)) == whole, "three threads: \(name)")
            #expect(contents(scratch("parts/last/" + name)) == whole, "interrupted: \(name)")
        }
        if ProcessInfo.processInfo.environment["NEEDLETAIL_PRINT_BITS"] != nil {
            print("BITS \(run.testDescription) \(sums)")
        } else if let expected = Self.table[run.testDescription] {
            if expected == "to be recorded" {
                print("\(run.testDescription) is to be recorded (make bits), here \(sums)")
            } else {
                #expect(sums == expected)
            }
        } else {
            // Another OpenBLAS than the table's: there is nothing to compare with.
            #expect(run.precision == .float64, "the table has no line for \(run.testDescription)")
        }
    }
}
