// Training by command: metrics, and the same bytes whatever the threads and wherever a run was interrupted.
import Foundation
import Testing

@Suite struct TrainCommandTests {
    /// The events of a metrics file.
    private func events(_ path: String) throws -> [[String: Any]] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    @Test(arguments: ["64-true", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true"])
    func learnsTheDigitsInEveryPrecision(precision: String) throws {
        let scratch = try Scratch()
        let metrics = scratch.path("metrics.jsonl")
        let run = try Needletail.succeeds("train --quiet --epochs 10 --precision \(precision) --metrics \(metrics)")
        #expect(run.output.contains("test_accuracy"))
        let events = try events(metrics)
        let summary = try #require(events.last)
        #expect(summary["event"] as? String == "summary")
        #expect(summary["precision"] as? String == precision)
        // 0.90 is far above chance (0.1) and below what each precision reaches (0.93 and more, see the README's table).
        #expect(try #require(summary["test_accuracy"] as? Double) >= 0.90)
        let steps = events.filter { $0["event"] as? String == "step" }
        let epochs = events.filter { $0["event"] as? String == "epoch" }
        #expect(epochs.count == 10)
        #expect(steps.count == (summary["steps_applied"] as? Int ?? 0) + (summary["steps_skipped"] as? Int ?? 0))
        for key in [
            "test_loss", "samples_per_second", "seconds_to_first_step", "peak_rss_bytes", "steps_applied",
            "steps_skipped",
            "threads",
        ] {
            #expect(summary[key] is NSNumber, "\(key)")
        }
        for key in ["step", "epoch", "loss", "scale", "gradient_norm"] { #expect(steps[0][key] is NSNumber, "\(key)") }
        for key in ["epoch", "train_loss", "validation_loss", "validation_accuracy"] {
            #expect(epochs[0][key] is NSNumber, "\(key)")
        }
    }

    /// Of one gradient, the norms 1, 2, 3 and inf fall in this order; and a limit far below them changes the weights.
    @Test func clippingTakesTheNormItIsTold() throws {
        let scratch = try Scratch()
        var norms: [Double] = []
        var weights: Set<[UInt8]> = []
        for clip in ["norm1:1e-3", "1e-3", "norm2:1e-3", "norm3:1e-3", "norm-inf:1e-3", "value:1e-3"] {
            let metrics = scratch.path("metrics.jsonl")
            let run = scratch.path(clip)
            _ = try Needletail.succeeds(
                "train --quiet --optimizer sgd --max-steps 2 --clip \(clip) --metrics \(metrics) --checkpoint \(run)")
            norms.append(try #require(try events(metrics)[0]["gradient_norm"] as? Double))
            weights.insert(Array(try Data(contentsOf: URL(fileURLWithPath: "\(run)/last/model.safetensors"))))
        }
        #expect(norms[0] > norms[1] && norms[1] == norms[2] && norms[2] > norms[3] && norms[3] > norms[4])
        #expect(norms[5] == norms[1])
        #expect(weights.count == 5, "all but 1e-3 and norm2:1e-3 differ")
    }

    /// Every optimizer by its name, with its own learning rate, under one-cycle, in a mode whose updates are rounded; the
    /// checkpoint knows it.
    @Test(arguments: [
        ("adam", 1e-3), ("adamw", 1e-3), ("sgd", 1e-3), ("rmsprop", 1e-2), ("adagrad", 1e-2), ("lion", 1e-4),
    ])
    func everyOptimizerTrainsAndResumes(optimizer: String, rate: Double) throws {
        let scratch = try Scratch()
        let metrics = scratch.path("metrics.jsonl")
        _ = try Needletail.succeeds("train --quiet --max-steps 2 --optimizer \(optimizer) --metrics \(metrics)")
        #expect(try events(metrics)[0]["learning_rate"] as? Double == rate)

        let common =
            "train --quiet --seed 3 --hidden 32 --epochs 2 --precision bf16-true --schedule one-cycle"
            + " --learning-rate 1e-3 --optimizer \(optimizer)"
        _ = try Needletail.succeeds("\(common) --checkpoint \(scratch.path("whole")) --metrics \(metrics)")
        let losses = try events(metrics).compactMap { $0["event"] as? String == "step" ? $0["loss"] as? Double : nil }
        let first = losses.prefix(5).reduce(0, +), last = losses.suffix(5).reduce(0, +)
        #expect(last < first, "\(optimizer): the loss went from \(first / 5) to \(last / 5)")
        let stopped = scratch.path("stopped")
        _ = try Needletail.succeeds("\(common) --checkpoint \(stopped) --max-steps 20")
        _ = try Needletail.succeeds("\(common) --checkpoint \(stopped) --resume last")
        #expect(try scratch.files(below: "whole/last") == scratch.files(below: "stopped/last"))
    }

    @Test(arguments: ["32-true", "bf16-mixed", "16-mixed"])
    func threadsDoNotChangeTheCheckpoint(precision: String) throws {
        let scratch = try Scratch()
        let common = "train --quiet --epochs 2 --seed 1 --hidden 300,200 --batch-size 256 --precision \(precision)"
        for threads in [1, 2] {
            _ = try Needletail.succeeds("\(common) --threads \(threads) --checkpoint \(scratch.path("t\(threads)"))")
        }
        let one = try scratch.files(below: "t1/last")
        #expect(one.count >= 3)
        #expect(one == (try scratch.files(below: "t2/last")))
    }

    @Test(arguments: ["32-true", "bf16-mixed", "16-mixed", "16-true"], [1, 20, 26, 27])
    func aStoppedAndResumedRunWritesTheSameBytes(precision: String, stop: Int) throws {
        let scratch = try Scratch()
        let common = "train --quiet --seed 3 --hidden 32 --epochs 2 --precision \(precision)"
        _ = try Needletail.succeeds("\(common) --checkpoint \(scratch.path("whole"))")
        let stopped = scratch.path("stopped")
        _ = try Needletail.succeeds("\(common) --checkpoint \(stopped) --max-steps \(stop)")
        _ = try Needletail.succeeds("\(common) --checkpoint \(stopped) --resume last")
        let whole = try scratch.files(below: "whole/last")
        let resumed = try scratch.files(below: "stopped/last")
        for (name, bytes) in whole { #expect(resumed[name] == bytes, "\(name) differs after a stop at step \(stop)") }
    }

    /// What a run has logged stays when it goes on under the same names.
    @Test func aResumedRunGoesOnInItsFiles() throws {
        let scratch = try Scratch()
        let (metrics, csv) = (scratch.path("metrics.jsonl"), scratch.path("metrics.csv"))
        let run = "train --quiet --hidden 16 --batch-size 500 --log-every-n-steps 1 --checkpoint \(scratch.path("run"))"
        for (epochs, rest) in [(1, ""), (2, "--resume last")] {
            _ = try Needletail.succeeds("\(run) --epochs \(epochs) --metrics \(metrics) --csv \(csv) \(rest)")
        }
        let epochs = try events(metrics).filter { $0["event"] as? String == "epoch" }
        #expect(epochs.map { $0["epoch"] as? Int } == [0, 1])
        let rows = try String(contentsOfFile: csv, encoding: .utf8).split(separator: "\n")
        #expect(rows[0].hasPrefix("epoch,step,train_loss_step,"))
        let steps = rows.dropFirst().map { $0.split(separator: ",", omittingEmptySubsequences: false) }
            .filter { !$0[2].isEmpty }.map { "\($0[0]) \($0[1])" }
        #expect(steps == ["0 1", "0 2", "0 3", "1 4", "1 5", "1 6"])
    }

    /// A finished run that is resumed says what to pass, and prints no rate of nothing.
    @Test func aFinishedRunSaysSo() throws {
        let scratch = try Scratch()
        let run = "train --hidden 16 --epochs 2 --checkpoint \(scratch.path("run"))"
        #expect(try Needletail.succeeds(run).output.contains("samples_per_second"))
        let metrics = scratch.path("metrics.jsonl")
        let again = try Needletail.succeeds("\(run) --resume last --metrics \(metrics)")
        #expect(
            again.complaint.contains("nothing is left to train") && again.complaint.contains("--epochs"),
            "\(again.complaint)")
        #expect(again.output.contains("test_accuracy") && !again.output.contains("samples_per_second"))
        #expect(!again.output.contains("Epoch "))
        #expect(try events(metrics).last?["samples_per_second"] is NSNull)
    }

    /// `auto` prints what it measured, and its checkpoint is that of a run in the mode that it took, byte for byte.
    @Test func autoRunsLikeTheModeThatItTakes() throws {
        let scratch = try Scratch()
        let common = "train --quiet --epochs 1 --seed 3 --max-steps 5 --threads 1"
        let metrics = scratch.path("metrics.jsonl")
        let auto = try Needletail.succeeds(
            "\(common) --precision auto --checkpoint \(scratch.path("auto")) --metrics \(metrics)")
        let mode = try #require(try events(metrics).last?["precision"] as? String)
        #expect(["32-true", "bf16-mixed", "16-mixed"].contains(mode))
        let rows = auto.output.split(separator: "\n").prefix(5)
        #expect(rows.first?.hasPrefix("precision auto: ") == true)
        #expect(rows.filter { $0.hasSuffix("chosen") }.map { $0.prefix(while: { $0 != " " }) } == [mode[...]])
        _ = try Needletail.succeeds("\(common) --precision \(mode) --checkpoint \(scratch.path("direct"))")
        let files = try scratch.files(below: "auto/last")
        let direct = try scratch.files(below: "direct/last")
        #expect(files.count == 3 && files == direct)

        let resumed = try Needletail.succeeds(
            "train --quiet --epochs 1 --seed 3 --threads 1 --precision auto --resume \(scratch.path("auto/last"))")
        #expect(resumed.complaint.contains("goes on in \(mode)") && !resumed.output.contains("precision auto"))
    }

    /// The rates of each schedule over 20 steps, of which the run takes 8, stops, and takes the rest.
    @Test(arguments: ["constant", "cosine", "linear", "step", "one-cycle"])
    func schedulesSetTheRateAndGoOnAfterAStop(schedule: String) throws {
        let scratch = try Scratch()
        let common =
            "train --quiet --seed 3 --hidden 32 --epochs 1 --precision 16-mixed --learning-rate 0.01 --schedule \(schedule) "
            + "--warmup-steps 4 --schedule-steps 20"
        func rates(_ arguments: String, to name: String) throws -> [Double] {
            let metrics = scratch.path(name)
            _ = try Needletail.succeeds("\(common) --metrics \(metrics) \(arguments)")
            return try events(metrics).compactMap { $0["learning_rate"] as? Double }
        }
        let whole = try rates("--max-steps 20 --checkpoint \(scratch.path("whole"))", to: "whole.jsonl")
        #expect(whole.count == 20 && whole[4] == 0.01 && whole[..<4].allSatisfy { $0 < 0.01 })
        #expect(whole[..<5] == whole[..<5].sorted()[...])
        #expect(schedule == "constant" ? whole[19] == 0.01 : whole[19] < 0.002)
        let stopped = "--checkpoint \(scratch.path("stopped"))"
        #expect(try rates("--max-steps 8 \(stopped)", to: "stopped.jsonl") == Array(whole[..<8]))
        #expect(try rates("--max-steps 20 --resume last \(stopped)", to: "stopped.jsonl") == whole)
        #expect(try scratch.files(below: "whole/last") == scratch.files(below: "stopped/last"))
        let inspected = try Needletail.succeeds("inspect \(scratch.path("whole"))").output
        #expect(inspected.contains("by step, count 20"))
    }

    /// After its steps every schedule stays at the rate that the help names, also where the run stops and goes on there, and
    /// however the steps divide into thirds.
    @Test(
        arguments: [("constant", 1), ("cosine", 0), ("linear", 0), ("step", 0.01), ("one-cycle", 1 / 250_000)]
            as [(name: String, end: Double)],
        [(10, 0), (11, 3), (12, 10), (1, 0)] as [(steps: Int, warmUp: Int)])
    func schedulesStayAtTheirEnd(schedule: (name: String, end: Double), span: (steps: Int, warmUp: Int)) throws {
        let scratch = try Scratch()
        let run =
            "train --quiet --seed 3 --hidden 8 --epochs 2 --learning-rate 0.01 --schedule \(schedule.name) "
            + "--warmup-steps \(span.warmUp) --schedule-steps \(span.steps) --checkpoint \(scratch.path("run")) "
            + "--metrics \(scratch.path("metrics.jsonl"))"
        _ = try Needletail.succeeds("\(run) --max-steps \(span.steps + 2)")
        _ = try Needletail.succeeds("\(run) --max-steps 40 --resume last")
        let rates = try events(scratch.path("metrics.jsonl")).compactMap { $0["learning_rate"] as? Double }
        try #require(rates.count == 40)
        // A single third has one rate, two thirds have two: shorter spans than three steps do not come down all the way.
        let rest = span.steps - span.warmUp
        let end = schedule.name == "step" && rest < 3 ? [1, 0.1][rest - 1] : schedule.end
        for rate in rates[span.steps...] {
            #expect(rate == rates[span.steps] && abs(rate - 0.01 * end) <= 1e-12 * end)
        }
    }

    /// The flag reaches the parameters, with the run's seed, and the metrics tell what is lost.
    @Test func updateRoundingChangesTheParametersAndIsCounted() throws {
        let scratch = try Scratch()
        let metrics = scratch.path("metrics.jsonl")
        var models: [Data] = []
        for rounding in ["nearest", "stochastic", "kahan"] {
            _ = try Needletail.succeeds(
                "train --quiet --epochs 3 --hidden 16 --learning-rate 1e-4 --precision bf16-true "
                    + "--update-rounding \(rounding) --metrics \(metrics) --checkpoint \(scratch.path(rounding))")
            models.append(try #require(try scratch.files(below: rounding + "/last")["model.safetensors"]))
            let shares = try events(metrics).compactMap { $0["updates_lost"] as? Double }
            #expect(!shares.isEmpty && shares.allSatisfy { $0 >= 0 && $0 <= 1 })
            #expect((shares.max() ?? 0 > 0.1) == (rounding != "kahan"), "\(rounding): \(shares)")
        }
        #expect(models[0] != models[1] && models[1] != models[2] && models[0] != models[2])
    }

    @Test func seedsDiffer() throws {
        let scratch = try Scratch()
        for seed in [1, 2] {
            _ = try Needletail.succeeds(
                "train --quiet --epochs 1 --seed \(seed) --checkpoint \(scratch.path("s\(seed)"))")
        }
        let one = try scratch.files(below: "s1/last")["model.safetensors"]
        let two = try scratch.files(below: "s2/last")["model.safetensors"]
        #expect(one != nil && one != two)
    }

    /// The page and the table; training's bytes stay what they are.
    @Test func numericsWritesAPageAndATable() throws {
        let scratch = try Scratch()
        let common = "train --epochs 1 --hidden 16 --precision bf16-mixed"
        let run = try Needletail.succeeds(
            "\(common) --numerics \(scratch.path("page.html")) --checkpoint \(scratch.path("with"))")
        #expect(run.output.contains("Numerics of 1 step in bf16-mixed"))
        #expect(run.output.contains("layer2 | weights") && run.output.contains("\nlayer1  fp16 "))
        let page = try String(contentsOfFile: scratch.path("page.html"), encoding: .utf8)
        #expect(page.hasPrefix("<!DOCTYPE html>") && page.hasSuffix("</html>\n"))
        #expect(page.components(separatedBy: "<svg").count == 9)  // two layers with four kinds of values
        let quiet = try Needletail.succeeds("\(common) --quiet --numerics \(scratch.path("page.html"))")
        #expect(!quiet.output.contains("Numerics"))
        _ = try Needletail.succeeds("\(common) --quiet --checkpoint \(scratch.path("without"))")
        #expect(try scratch.files(below: "with/last") == scratch.files(below: "without/last"))
    }
}
