import Foundation
import Needletail
import Testing

@Suite struct ProfilerTests {
    private final class Output {
        var text = ""
        var console: Console { Console(isTerminal: false) { self.text += $0 } }
    }

    /// A clock that moves by a second each time that it is read.
    private final class Ticks {
        var now = 0.0
        func read() -> Double {
            now += 1
            return now
        }
    }

    private func fit(
        _ profiler: Profiler?, _ module: SmallClassifier = SmallClassifier(),
        _ configure: (inout TrainerConfiguration) -> Void = { _ in }
    ) throws -> SmallClassifier {
        let trainer = quietTrainer(maxEpochs: 2, precision: .mixedBFloat16) {
            $0.profiler = profiler
            configure(&$0)
        }
        try trainer.fit(
            module, train: DataLoader(Points(48), batchSize: 16),
            validation: DataLoader(Points(16, seed: 8), batchSize: 16))
        return module
    }

    /// Rows as name -> the cells after it.
    private func rows(_ text: String, names: Int) -> [String: [String]] {
        var rows: [String: [String]] = [:]
        for line in text.split(separator: "\n") where line.contains("|") {
            let cells = line.split(separator: "|", omittingEmptySubsequences: false)
                .map { $0.trimmingCharacters(in: .whitespaces) }
            rows[cells[..<names].joined(separator: " ")] = Array(cells[names...])
        }
        return rows
    }

    /// Every part of each of the 6 steps, and every operation, is counted; the parts make up the whole of the time.
    @Test func partsAddUpToTheWhole() throws {
        let output = Output()
        let ticks = Ticks()
        let profiler = Profiler(.simple, trace: nil, console: output.console, clock: ticks.read)
        _ = try fit(profiler)
        #expect(output.text == profiler.text)
        let found = rows(output.text, names: 1)
        for part in ["forward", "backward", "update", "forget gradients", "finite check"] {
            #expect(found[part]?.first == "6", "\(part): \(output.text)")
        }
        #expect(found["validation"]?.first == "2" && found["sanity check"]?.first == "1")
        for operation in ["linear", "linear gradients"] { #expect(found[operation]?.first == "12", "\(output.text)") }
        let total = try #require(output.text.firstMatch(of: /Profile of ([0-9.]+) s/)?.1)
        let parts = profiler.actionSeconds.values.reduce(0, +)
        // Sums of whole seconds are exact.
        #expect(Double(total) == parts, "\(parts) of \(total)")
    }

    /// 2·m·n·k: in the advanced profile a row is a layer's product of one shape.
    @Test func operationsOfProductsAreCounted() throws {
        let profiler = Profiler(.advanced, console: Output().console)
        _ = try fit(profiler)
        let found = rows(profiler.text, names: 3)
        let shapes = "[16, 6] [8, 6] [8] bfloat16"
        #expect(found["hidden linear \(shapes)"]?.first == "6", "\(profiler.text)")
        #expect(found["head linear gradients [16, 8] [3, 8] [3] bfloat16"]?.first == "6")
        // A batch: both forward; backward dW of the first layer, dX and dW of the second.
        let products = profiler.operations(where: { $0.contains("linear") })
        let first: Double = 2 * 16 * 6 * 8, second: Double = 2 * 16 * 8 * 3
        #expect(products == 6 * (2 * first + 3 * second))
    }

    @Test func bitsStayTheSame() throws {
        let directory = try TemporaryDirectory()
        let profiler = Profiler(.advanced, trace: directory("trace.json"), console: Output().console)
        #expect(try fit(profiler) { $0.callbacks = [ThroughputMonitor()] }.bits == fit(nil).bits)
    }

    /// What chrome://tracing asks for: an object with events that have name, phase, time, process and thread; spans nest.
    @Test func theTraceIsWhatChromeReads() throws {
        let directory = try TemporaryDirectory()
        let output = Output()
        _ = try fit(Profiler(.simple, trace: directory("trace.json"), console: output.console))
        let data = try Data(contentsOf: URL(fileURLWithPath: directory("trace.json")))
        let trace = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let events = try #require(trace["traceEvents"] as? [[String: Any]])
        var spans: [Int: [(from: Double, to: Double)]] = [:]
        var names: Set<String> = []
        for event in events {
            let phase = try #require(event["ph"] as? String)
            #expect(event["name"] is String && event["pid"] is Int)
            guard phase == "X" else { continue }
            let begin = try #require(event["ts"] as? Double), length = try #require(event["dur"] as? Double)
            #expect(begin >= 0 && length >= 0)
            spans[try #require(event["tid"] as? Int), default: []].append((begin, begin + length))
            names.insert(try #require(event["name"] as? String))
        }
        #expect(
            names.isSuperset(of: ["forward", "backward", "update", "hidden", "head", "linear", "linear gradients"]))
        for (thread, spans) in spans {
            // Outer ones first; times are written to a nanosecond.
            let sorted = spans.sorted { ($0.from, -$0.to) < ($1.from, -$1.to) }
            var open: [(from: Double, to: Double)] = []
            for span in sorted {
                while let last = open.last, last.to <= span.from + 0.002 { open.removeLast() }
                if let last = open.last { #expect(span.to <= last.to + 0.002, "thread \(thread)") }
                open.append(span)
            }
        }
        // The place of a trace is tried before the first step.
        #expect(throws: LogFileError.self) {
            _ = try fit(Profiler(.simple, trace: directory("trace.json/where.json"), console: output.console))
        }
    }
}
