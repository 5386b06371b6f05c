// Wrong arguments and bad data: one line on standard error, and the exit code that says which it was.
import Foundation
import Testing

@Suite struct ArgumentTests {
    @Test(
        arguments: [
            "nonsense",
            "train --nonsense",
            "train stray",
            "train --data",
            "train --epochs -1",
            "train --epochs three",
            "train --batch-size 0",
            "train --batch-size 9223372036854775807",
            "train --hidden 128,,256",
            "train --hidden 0",
            "train --hidden wide",
            "train --hidden 100000,100000",
            "train --hidden 1000000000000",
            "train --optimizer sophia",
            "train --learning-rate 0",
            "train --learning-rate nan",
            "train --precision fp8",
            "train --precision 16-MIXED",
            "train --keep layer3.*",
            "train --keep layer3.*=int8",
            "train --keep layer9.*=float32",
            "train --update-rounding up",
            "train --accumulate 0",
            "train --schedule sine",
            "train --warmup-steps -1",
            "train --schedule-steps 0",
            "train --quiet --schedule cosine --warmup-steps 30 --schedule-steps 30",
            "train --quiet --schedule one-cycle --warmup-steps 29 --schedule-steps 30",
            "train --clip -1",
            "train --clip value:",
            "train --clip norm4:1",
            "train --clip norm1:0",
            "train --seed -1",
            "train --threads 0",
            "train --validation -1",
            "train --scaling loud",
            "train --resume last",
            "train --init a --resume b",
            "train --validation 100000",
            "evaluate",
            "predict",
            "predict checkpoint",
            "inspect",
            "doctor --threads many",
            "bench warp",
            "bench gemm --types fp8",
            "bench gemm --types f32,f32",
            "bench gemm --threads 0",
            "bench gemm --threads 1,,2",
            "bench gemm --shapes 64x64",
            "bench gemm --shapes 64x0x64",
            "bench gemm --shapes nowhere.txt",
            "bench gemm --shapes 8x8x8/XX",
            "bench nll --shapes 8x8x8",
            "bench convert --types f32",
            "bench gemm --kernel avx1024",
            "bench gemm --min-time 0",
            "bench gemm --min-time soon",
            "bench compare one.jsonl",
            "bench compare a b --tolerance -1",
        ])
    func wrongArgumentsAreOneLineAndExitCode64(arguments: String) throws {
        let run = try Needletail(arguments.split(separator: " ").map(String.init))
        #expect(run.status == 64)
        #expect(run.complaints.count == 1, "\(run.complaint)")
        #expect(run.output.isEmpty)
    }

    @Test func precisionErrorListsWhatIsAllowed() throws {
        let run = try Needletail(["train", "--precision", "fp8"])
        for name in ["64-true", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "auto"] {
            #expect(run.complaint.contains(name))
        }
    }

    @Test func keepErrorsListTypesAndLayers() throws {
        let type = try Needletail(["train", "--keep", "layer3.*=int8"])
        for name in ["float64", "float32", "float16", "bfloat16"] { #expect(type.complaint.contains(name)) }
        let layer = try Needletail(["train", "--quiet", "--keep", "layer9.*=float32"])
        for name in ["layer9.*", "layer1", "layer2", "layer3"] { #expect(layer.complaint.contains(name)) }
    }

    @Test(arguments: ["", "train", "evaluate", "predict", "inspect", "doctor", "bench", "bench compare"])
    func helpGoesToStandardOutput(command: String) throws {
        let run = try Needletail(command.split(separator: " ").map(String.init) + ["--help"])
        #expect(run.status == 0)
        #expect(run.complaint.isEmpty)
        #expect(run.output.contains("USAGE: needletail"))
    }

    @Test func trainHelpNamesEveryOption() throws {
        let help = try Needletail.succeeds("train --help").output
        for option in [
            "data", "hidden", "epochs", "batch-size", "optimizer", "learning-rate", "precision", "keep", "accumulate",
            "clip",
            "seed", "threads", "init", "checkpoint", "resume", "metrics", "max-steps", "no-shuffle", "validation",
            "schedule", "warmup-steps", "schedule-steps",
        ] {
            #expect(help.contains("--\(option)"))
        }
    }

    @Test func badDataIsOneLineAndExitCode65() throws {
        let scratch = try Scratch()
        let images = idx([20, 4, 4], [UInt8](repeating: 7, count: 320))
        let labels = idx([20], (0..<20).map { UInt8($0 % 10) })
        func folder(_ name: String, images: [UInt8], labels: [UInt8]) throws -> String {
            try FileManager.default.createDirectory(atPath: scratch.path(name), withIntermediateDirectories: true)
            for part in ["train", "t10k"] {
                _ = try scratch.write(images, "\(name)/\(part)-images-idx3-ubyte")
                _ = try scratch.write(labels, "\(name)/\(part)-labels-idx1-ubyte")
            }
            return scratch.path(name)
        }
        let truncated = try folder("truncated", images: Array(images.dropLast()), labels: labels)
        let short = try folder("short", images: images, labels: idx([19], [UInt8](repeating: 0, count: 19)))
        let swapped = try folder("swapped", images: labels, labels: images)
        let empty = try folder("empty", images: idx([0, 4, 4], []), labels: idx([0], []))
        let text = try scratch.write(Array("not a checkpoint".utf8), "text")
        for arguments in [
            ["train", "--data", scratch.path("nowhere")],
            ["train", "--data", truncated],
            ["train", "--data", short],
            ["train", "--data", swapped],
            ["train", "--data", empty],
            ["train", "--init", scratch.path("nowhere")],
            ["train", "--init", text],
            ["train", "--resume", scratch.path("nowhere")],
            ["evaluate", scratch.path("nowhere")],
            ["inspect", text],
            ["predict", scratch.path("nowhere"), text],
        ] {
            let run = try Needletail(arguments + (arguments[0] == "train" ? ["--quiet"] : []))
            #expect(run.status == 65, "\(arguments): \(run.complaint)")
            #expect(run.complaints.count == 1, "\(arguments): \(run.complaint)")
        }
        let run = try Needletail(["train", "--quiet", "--data", truncated])
        for part in ["train-images-idx3-ubyte", "found", "expected"] { #expect(run.complaint.contains(part)) }
    }

    @Test func divergenceIsTheAutopsyAndExitCode70() throws {
        for options in ["--precision 16-mixed", "--optimizer sgd"] {
            let run = try Needletail.init(
                "train --quiet --learning-rate 1e30 \(options)".split(separator: " ").map(String.init))
            #expect(run.status == 70)
            #expect(run.complaints.count >= 5, "\(run.complaint)")
            for part in ["needletail: training diverged", "where: epoch 0, batch", "layer 'layer", "learning rate"] {
                #expect(run.complaint.contains(part), "\(run.complaint)")
            }
        }
    }

    @Test func unwritableOutputIsAnErrorBeforeTraining() throws {
        for option in ["--metrics", "--checkpoint"] {
            let run = try Needletail(["train", option, "/proc/needletail/runs"])
            #expect(run.status == 74)
            #expect(run.complaints.count == 1, "\(run.complaint)")
            #expect(run.output.isEmpty)
        }
    }
}
