// What the command knows before training it says before training, in the names that its user has given.
import Foundation
import Needletail
import NeedletailSettings
import Testing

@Suite struct KnownBeforeCommandTests {
    private func run(_ arguments: String, environment: [String: String] = [:]) throws -> Needletail {
        try Needletail(arguments.split(separator: " ").map(String.init), environment: environment)
    }

    // MARK: Names

    /// Every option of the trainer that a flag sets is called by the flag, and every flag in the table is one.
    @Test func everyOptionOfTheTrainerHasTheNameOfItsFlag() throws {
        let help = try Needletail.succeeds("train --help").output
        let flags = Set(help.matches(of: /--([a-z0-9-]+)/).map { String($0.1) })
        let options = Mirror(reflecting: TrainerConfiguration()).children.compactMap(\.label)
        #expect(options.count > 30)
        func kebab(_ name: String) -> String {
            name.reduce("") { $0 + ($1.isUppercase ? "-" + $1.lowercased() : String($1)) }
        }
        // The command's seed is that of everything that is drawn, not the trainer's option.
        for option in options where flags.contains(kebab(option)) && option != "seed" {
            #expect(OptionFlags.all[option] == kebab(option))
        }
        for (option, flag) in OptionFlags.all {
            #expect(options.contains(option) && flags.contains(flag), "\(option): --\(flag)")
        }
        for (option, flag) in [
            "maxEpochs": "epochs", "accumulateGradBatches": "accumulate", "gradientClip": "clip", "profiler": "profile",
            "precisionOverrides": "keep",
        ] {
            #expect(OptionFlags.all[option] == flag)
        }
        #expect(OptionFlags.names { $0 == "epochs" ? "run.yaml" : nil }["maxEpochs"] == "--epochs (from run.yaml)")
    }

    /// No message of the command has the library's name of an option that has a flag, and none of the library's has a flag.
    private func expectFlagsOnly(_ text: String) {
        for (option, flag) in OptionFlags.all where option != flag {
            #expect(!text.contains(option), "\(text)")
        }
    }

    @Test(arguments: [
        ("train --limit-train-batches 0.001", "--limit-train-batches is 0.001"),
        ("train --limit-train-batches 0", "--limit-train-batches is 0, expected at least one"),
        ("train --limit-val-batches 0.001", "--limit-val-batches is 0.001"),
        ("train --limit-test-batches 0.001", "--limit-test-batches is 0.001"),
        ("train --overfit-batches 0.001", "--overfit-batches is 0.001"),
        ("train --overfit-batches 0", "--overfit-batches is 0"),
        (
            "train --val-check-interval 1000",
            "--val-check-interval is 1000 batches of 21 in an epoch, expected at most 21"
        ),
        ("train --val-check-interval 0", "--val-check-interval is 0"),
        ("train --min-epochs 20", "--min-epochs is 20, expected at most --epochs, 10"),
        ("train --min-steps 20 --max-steps 10", "--min-steps is 20, expected at most --max-steps, 10"),
        ("train --keep typo.*=float32", "--keep 'typo.*' matches no parameter"),
    ])
    func limitsAreKnownAndNamed(_ arguments: String, _ message: String) throws {
        for quiet in [" --quiet", ""] {
            let run = try run(arguments + quiet)
            #expect(run.status == 64 && run.complaint.contains(message), "\(run.complaint)")
            #expect(run.complaints.count == 1 && !run.output.contains("Epoch") && !run.output.contains("accuracy"))
            expectFlagsOnly(run.complaint)
        }
    }

    @Test func whereAnOptionComesFromIsSaid() throws {
        let scratch = try Scratch()
        let file = try scratch.write(Array("limit-test-batches: 0.001\nepochs: 4\n".utf8), "run.yaml")
        var run = try run("train --quiet --config \(file)")
        #expect(run.complaint.contains("--limit-test-batches (from \(file)) is 0.001"), "\(run.complaint)")
        run = try self.run("train --quiet --limit-test-batches 1 --min-epochs 5 --config \(file)")
        #expect(
            run.complaint.contains("--min-epochs is 5, expected at most --epochs (from \(file)), 4"), "\(run.complaint)"
        )
        run = try self.run("train --quiet", environment: ["NEEDLETAIL_LIMIT_VAL_BATCHES": "0.001"])
        #expect(run.complaint.contains("--limit-val-batches (from NEEDLETAIL_LIMIT_VAL_BATCHES) is 0.001"))
        run = try self.run("train --quiet --epochs 0", environment: ["NEEDLETAIL_SEED": "1"])
        #expect(
            run.status == 0 && run.complaint.contains("note: nothing is trained: --epochs is 0"), "\(run.complaint)")
        // What the command itself finds wrong, too.
        run = try self.run(
            "train --quiet --schedule cosine --schedule-steps 5", environment: ["NEEDLETAIL_WARMUP_STEPS": "9"])
        #expect(
            run.status == 64 && run.complaint.contains("warmup-steps is from NEEDLETAIL_WARMUP_STEPS"),
            "\(run.complaint)")
        #expect(!run.complaint.contains("schedule is from"))
    }

    @Test func aTestOfNothingIsNoNumber() throws {
        let scratch = try Scratch()
        let metrics = scratch.path("metrics")
        let run = try run("train --quiet --max-steps 2 --limit-test-batches 0 --metrics \(metrics)")
        #expect(run.status == 0 && run.complaint.contains("note: there is no test: --limit-test-batches is 0"))
        #expect(!run.output.contains("test_") && !run.output.contains("nan"), "\(run.output)")
        let summary = try String(contentsOfFile: metrics, encoding: .utf8).split(separator: "\n").last ?? ""
        #expect(summary.contains("\"test_accuracy\":null,\"test_loss\":null"), "\(summary)")
    }

    @Test func aResumedRunWithNothingLeftNamesTheFlags() throws {
        let scratch = try Scratch()
        let folder = scratch.path("run")
        _ = try run("train --quiet --epochs 1 --checkpoint \(folder)")
        for (arguments, word) in [
            ("--epochs 1", "has done 1 epochs and --epochs is 1; to go on, raise it"),
            ("--epochs 5 --max-steps 3", "and --max-steps is 3; to go on, raise it"),
            ("", "--epochs (from checkpoint \(folder)/last) is 1"),
            ("--epochs 5 --fast-dev-run 1", "--fast-dev-run is 1"),
        ] {
            let run = try run("train --quiet --checkpoint \(folder) --resume last \(arguments)")
            #expect(
                run.status == 0 && run.complaint.contains("nothing is left to train"), "\(arguments): \(run.complaint)")
            #expect(run.complaint.contains(word), "\(arguments): \(run.complaint)")
            expectFlagsOnly(run.complaint)
        }
    }

    // MARK: Values

    /// A negative number is found, whatever the option; where it is wrong, what was expected is said.
    @Test func negativeNumbersAreValues() throws {
        let numeric = [
            "epochs": "-1", "batch-size": "-1", "learning-rate": "-1", "warmup-steps": "-1", "schedule-steps": "-1",
            "validation": "-1", "accumulate": "-1", "seed": "-1", "threads": "-1", "max-steps": "-1",
            "min-epochs": "-1",
            "min-steps": "-1", "limit-train-batches": "-0.5", "limit-val-batches": "-1", "limit-test-batches": "-1",
            "overfit-batches": "-1", "fast-dev-run": "-1", "val-check-interval": "-1", "check-val-every-n-epochs": "-1",
            "num-sanity-val-steps": "-2", "log-every-n-steps": "-1", "clip": "-1", "hidden": "-1", "max-time": "-1:00",
        ]
        for (option, value) in numeric {
            let run = try run("train --quiet --\(option) \(value)")
            #expect(run.status == 64 && run.complaints.count == 1, "\(run.complaint)")
            #expect(run.complaint.contains("--\(option)") && run.complaint.contains(value), "\(run.complaint)")
            #expect(run.complaint.contains("expected") && !run.complaint.contains("Missing"), "\(run.complaint)")
        }
        for arguments in ["generate x --temperature -1", "generate x --top-k -1", "bench trainer --rounds -1"] {
            let run = try run(arguments)
            #expect(run.status == 64 && run.complaint.contains("-1") && run.complaint.contains("expected"))
        }
        for (option, word) in [
            ("epochs", "a whole number"), ("seed", "from 0 to"), ("learning-rate", "a number"), ("hidden", "128,256"),
            ("limit-val-batches", "share"), ("clip", "norm1:"), ("threads", "a whole number"),
            ("max-steps", "a whole number"),
        ] {
            let run = try run("train --\(option) many")
            #expect(
                run.status == 64 && run.complaint.contains("expected") && run.complaint.contains(word),
                "\(run.complaint)")
        }
    }

    // MARK: Labels

    /// A folder of 4 x 4 images with these labels.
    private func folder(_ scratch: Scratch, _ name: String, _ training: [UInt8], _ test: [UInt8]) throws -> String {
        try FileManager.default.createDirectory(atPath: scratch.path(name), withIntermediateDirectories: true)
        for (part, labels) in [("train", training), ("t10k", test)] {
            let pixels = labels.flatMap { label in (0..<16).map { UInt8(truncatingIfNeeded: Int(label) * 5 + $0) } }
            _ = try scratch.write(idx([labels.count, 4, 4], pixels), "\(name)/\(part)-images-idx3-ubyte")
            _ = try scratch.write(idx([labels.count], labels), "\(name)/\(part)-labels-idx1-ubyte")
        }
        return scratch.path(name)
    }

    @Test func labelsAreLookedAt() throws {
        let scratch = try Scratch()
        let good = (0..<60).map { UInt8($0 % 10) }
        var wrong = good
        wrong[17] = 255
        let fine = try folder(scratch, "fine", good, good)
        let folders = [
            (try folder(scratch, "wrong", wrong, good), "label 255 of image 17", "train-labels-idx1-ubyte, byte 25"),
            (try folder(scratch, "gap", good.map { $0 == 3 ? 4 : $0 }, good), "label 3 of image 3", "t10k-labels"),
            (
                try folder(scratch, "one", [UInt8](repeating: 0, count: 60), [0, 0]), "all 60 labels are 0",
                "train-labels"
            ),
        ]
        for (path, what, place) in folders {
            let run = try run("train --quiet --max-steps 1 --data \(path)")
            #expect(run.status == 0, "\(run.complaint)")
            let warnings = run.complaints.filter { $0.hasPrefix("warning: ") && $0.contains(what) }
            #expect(warnings.count == 1 && warnings.first?.contains(place) == true, "\(run.complaint)")
        }
        let model = scratch.path("model")
        let trained = try run("train --quiet --max-steps 1 --data \(fine) --checkpoint \(model)")
        #expect(trained.status == 0 && trained.complaint.isEmpty, "\(trained.complaint)")
        #expect(try run("evaluate \(model) --data \(fine)").complaint.isEmpty)
        #expect(try run("train --quiet --max-steps 1").complaint.isEmpty)
        // Above training's: an error, in both commands.
        var above = good
        above[5] = 12
        let bad = try folder(scratch, "bad", good, above)
        for arguments in ["train --quiet --data \(bad)", "evaluate \(model) --data \(bad)"] {
            let run = try run(arguments)
            #expect(run.status == 65 && run.complaints.count == 1 && run.output.isEmpty)
            #expect(
                run.complaint.contains("t10k-labels-idx1-ubyte, byte 13: found label 12 of image 5"), "\(run.complaint)"
            )
        }
        // Above the model's.
        let wide = try folder(scratch, "wide", good.map { $0 + 2 }, good.map { $0 + 2 })
        let evaluated = try run("evaluate \(model) --data \(wide)")
        #expect(evaluated.status == 65 && evaluated.complaint.contains("expected 0 to 9, the classes of the model"))
        let single = try folder(scratch, "single", good, [3, 3, 3])
        #expect(try run("evaluate \(model) --data \(single)").complaint.contains("warning: "))
    }
}
