// The tables that people read.
import Foundation
import NeedletailTensor

/// Lines about a run and its measurements.
package struct BenchmarkReport {
    private let run: BenchmarkRun

    package init(_ run: BenchmarkRun) { self.run = run }

    /// The machine, its limits as measured, and what the columns mean.
    package var heading: String {
        var lines = [
            "\(KernelInfo.cpuModel), \(KernelInfo.cpuFeatures)",
            "kernels \(run.options.kernel ?? KernelInfo.activeRow); baseline of gemm: OpenBLAS sgemm, \(OpenBLASChoice.description)",
            "caches: L2 \(bytes(run.memory.l2)) a core, L3 \(bytes(run.memory.l3)); operands: fresh random values",
        ]
        for limits in run.limits {
            let bandwidths = MemoryLevel.allCases.map { level in
                "\(level.rawValue) \(figure((limits.bandwidth[level] ?? 0) / 1e9)) GB/s"
            }
            lines.append(
                "limits of \(threads(limits.threads)), measured now: \(figure(limits.peak / 1e9)) GFLOP/s float32, "
                    + bandwidths.joined(separator: ", "))
        }
        if let peak = run.bfloat16Peak {
            lines.append(
                "bf16 products: the CPU's own instruction, \(figure(peak / 1e9)) GFLOP/s of one thread; shares are of the "
                    + "float32 peak")
        }
        lines.append(
            "median of \(run.options.rounds) interleaved repetitions; spread: interquartile range; ratio: baseline's time over ours"
        )
        return lines.joined(separator: "\n")
    }

    private static let widths = (shape: 34, type: 19)

    /// The line above a family's table.
    package func columns(of first: BenchmarkResult) -> String {
        pad(first.family, Self.widths.shape) + pad("type", Self.widths.type)
            + " thr   median   spread    \(pad(first.unit.rawValue, 8)) share of   working set  ratio  baseline"
    }

    /// One measurement.
    package func line(_ measurement: BenchmarkResult, label: String) -> String {
        var shape =
            switch measurement.size {
            case .product(let m, let n, let k): "\(m)x\(n)x\(k) \(measurement.layout)"
            case .matrix(let rows, let columns): "\(rows)x\(columns)"
            case .vector(let count): "\(count) \(measurement.layout)"
            case .step(let rows, _): "\(rows) x \(measurement.layout)"
            }
        if !label.isEmpty { shape += " " + label }
        let spread = 100 * measurement.spread / measurement.medianSeconds
        return pad(shape, Self.widths.shape) + pad(measurement.types, Self.widths.type)
            + left("\(measurement.threads)", 4) + left(Self.seconds(measurement.medianSeconds), 10)
            + left(String(format: "%.1f%%", spread), 8) + left(figure(measurement.rate), 10)
            + left(String(format: "%.0f%%", 100 * measurement.shareOfPeak), 7) + " "
            + pad(measurement.limit, 7) + left(bytes(measurement.workingSet), 8) + " "
            + pad(measurement.level.rawValue, 6) + left(String(format: "%.2f", measurement.ratio), 6) + "  "
            + measurement.baseline
    }

    /// How steady the machine was, and what 16 bit bought.
    package func closing(_ measurements: [BenchmarkResult]) -> String {
        guard !run.reference.isEmpty else { return "" }
        let reference = SampleStatistics(run.reference.map { $0 / 1e9 })
        let least = (run.reference.min() ?? 0) / 1e9
        var lines = [
            "",
            "reference (multiply-adds of one thread, once a round): median \(figure(reference.median)) GFLOP/s, quartiles "
                + "\(figure(reference.lowerQuartile)) and \(figure(reference.upperQuartile)), least \(figure(least))",
        ]
        if reference.spread > 0.05 * reference.median {
            lines.append("the machine was not steady: another load or a changing clock moved these figures")
        }
        let gains = Self.gains(measurements)
        if !gains.isEmpty {
            lines.append("what 16 bit buys here, float32's time over its own (geometric mean over the shapes):")
            for gain in gains {
                lines.append(
                    "  " + pad(gain.family, 14) + pad(threads(gain.threads), 12)
                        + gain.ratios.map { "\($0.type) \(String(format: "%.2f", $0.ratio))x" }.joined(separator: ", "))
            }
        }
        return lines.joined(separator: "\n")
    }

    /// Geometric means of float32's time over each other type's, by family and thread count, over shapes that have both.
    package static func gains(_ measurements: [BenchmarkResult]) -> [(
        family: String, threads: Int, ratios: [(type: String, ratio: Double)]
    )] {
        var order: [String] = []
        var groups: [String: [BenchmarkResult]] = [:]
        for measurement in measurements {
            let key = "\(measurement.family) \(measurement.threads)"
            if groups[key] == nil { order.append(key) }
            groups[key, default: []].append(measurement)
        }
        return order.compactMap { key in
            guard let group = groups[key], let first = group.first else { return nil }
            let ratios = [DType.bfloat16, .float16].compactMap { type -> (type: String, ratio: Double)? in
                let logarithms = group.filter { $0.types == type.rawValue }.compactMap { own -> Double? in
                    let plain = group.first {
                        $0.types == DType.float32.rawValue && $0.size == own.size && $0.layout == own.layout
                    }
                    return plain.map { log($0.medianSeconds / own.medianSeconds) }
                }
                if logarithms.isEmpty { return nil }
                return (type.rawValue, exp(logarithms.reduce(0, +) / Double(logarithms.count)))
            }
            return ratios.isEmpty ? nil : (first.family, first.threads, ratios)
        }
    }

    /// Seconds in the unit that leaves one to three digits before the point.
    package static func seconds(_ value: Double) -> String {
        let (factor, unit) =
            value < 1e-6 ? (1e9, "ns") : value < 1e-3 ? (1e6, "us") : value < 1 ? (1e3, "ms") : (1, "s")
        return figure(value * factor) + " " + unit
    }

    private func threads(_ count: Int) -> String { "\(count) thread\(count == 1 ? "" : "s")" }
}

/// Three significant digits at least, none after the point from 100 on.
func figure(_ value: Double) -> String {
    String(format: value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value)
}

func bytes(_ count: Int) -> String {
    let value = Double(count)
    if value < 1024 { return "\(count) B" }
    if value < 1024 * 1024 { return String(format: "%.0f KiB", value / 1024) }
    if value < 1024 * 1024 * 1024 { return String(format: "%.1f MiB", value / 1024 / 1024) }
    return String(format: "%.1f GiB", value / 1024 / 1024 / 1024)
}

private func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
}

private func left(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(1, width - text.count)) + text
}
