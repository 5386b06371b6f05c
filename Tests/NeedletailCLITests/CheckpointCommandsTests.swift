// evaluate, inspect and doctor: what they print about a run is what the run was.
import Foundation
import Testing

@Suite struct CheckpointCommandsTests {
    private func object(_ line: some StringProtocol) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test(arguments: ["64-true", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true"])
    func evaluateRepeatsTheTestOfTheRun(precision: String) throws {
        let scratch = try Scratch()
        let (run, metrics) = (scratch.path("run"), scratch.path("metrics.jsonl"))
        _ = try Needletail.succeeds(
            "train --quiet --epochs 2 --precision \(precision) --checkpoint \(run) --metrics \(metrics)")
        let summary = try object(
            try #require(try String(contentsOfFile: metrics, encoding: .utf8).split(separator: "\n").last))
        for path in [run, run + "/last"] {
            let evaluation = try object(try Needletail.succeeds("evaluate --json \(path)").output)
            #expect(evaluation["test_accuracy"] as? Double == summary["test_accuracy"] as? Double)
            #expect(evaluation["test_loss"] as? Double == summary["test_loss"] as? Double)
            #expect(evaluation["precision"] as? String == precision)
        }
    }

    /// Types kept for single layers are in the summary, in the checkpoint, and in force when it is evaluated.
    @Test func keptTypesAreShownStoredAndUsed() throws {
        let scratch = try Scratch()
        let (run, metrics) = (scratch.path("run"), scratch.path("metrics.jsonl"))
        let training = try Needletail.succeeds(
            "train --epochs 1 --precision bf16-mixed --keep layer3.bias=float16 --keep layer3.*=float64 "
                + "--checkpoint \(run) --metrics \(metrics)")
        let row = try #require(training.output.split(separator: "\n").first { $0.hasPrefix("layer3") })
        #expect(row.contains("float64 / float64, float32 / float16"))
        #expect(training.output.contains("float32 / bfloat16"))
        let inspection = try Needletail.succeeds("inspect \(run)").output
        #expect(inspection.contains("kept types      layer3.bias=float16, layer3.*=float64"))
        let summary = try object(
            try #require(try String(contentsOfFile: metrics, encoding: .utf8).split(separator: "\n").last))
        let evaluation = try object(try Needletail.succeeds("evaluate --json \(run)").output)
        #expect(evaluation["test_loss"] as? Double == summary["test_loss"] as? Double)
    }

    @Test func evaluateRefusesImagesOfAnotherSize() throws {
        let scratch = try Scratch()
        _ = try Needletail.succeeds("train --quiet --epochs 1 --checkpoint \(scratch.path("run"))")
        for part in ["train", "t10k"] {
            _ = try scratch.write(idx([2, 4, 4], [UInt8](repeating: 9, count: 32)), "\(part)-images-idx3-ubyte")
            _ = try scratch.write(idx([2], [0, 1]), "\(part)-labels-idx1-ubyte")
        }
        let run = try Needletail(["evaluate", scratch.path("run"), "--data", scratch.folder.path])
        #expect(run.status == 65)
        for part in ["4 x 4", "8 x 8"] { #expect(run.complaint.contains(part), "\(run.complaint)") }
    }

    @Test func inspectPrintsWhatTheCheckpointHolds() throws {
        let scratch = try Scratch()
        let run = scratch.path("run")
        _ = try Needletail.succeeds("train --quiet --epochs 2 --hidden 32 --precision 16-mixed --checkpoint \(run)")
        let output = try Needletail.succeeds("inspect \(run)").output
        for part in [
            "16-mixed", "epoch 2, batch 0", "42 applied, 0 skipped", "65536.0, 42 steps", "learningRate",
            "layer1.weight",
            "float32", "[32, 64]", "8192 bytes", "0/layer2.bias.exp_avg_sq", "4 tensors, 2410 elements, 9640 bytes",
        ] {
            #expect(output.contains(part), "\(part) is missing in:\n\(output)")
        }
    }

    @Test func inspectFindsOneFlippedBit() throws {
        let scratch = try Scratch()
        _ = try Needletail.succeeds("train --quiet --epochs 1 --hidden 8 --checkpoint \(scratch.path("run"))")
        for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
            let url = scratch.folder.appendingPathComponent("run/last/\(name)")
            let whole = try Data(contentsOf: url)
            var damaged = whole
            damaged[whole.count / 2] ^= 4
            try damaged.write(to: url)
            let run = try Needletail(["inspect", scratch.path("run")])
            #expect(run.status == 65)
            #expect(run.complaint.contains(name), "\(run.complaint)")
            try whole.write(to: url)
        }
    }

    @Test func doctorNamesRowsFamiliesAndPeak() throws {
        let output = try Needletail.succeeds("doctor --threads 1").output
        for part in ["CPU", "OpenMP", "OpenBLAS", "huge pages", "kernels ref", "gemm", "softmax", "optim", "GFLOP/s"] {
            #expect(output.contains(part), "\(part) is missing in:\n\(output)")
        }
        let lowered = try Needletail(["doctor"], environment: ["CSIMD_ISA": "ref"])
        #expect(lowered.output.contains("gemm             ref"), "\(lowered.output)")
        // The way of multiplying bf16 may be lowered too; a CPU that has no other widens in any case.
        let widened = try Needletail(["doctor"], environment: ["CSIMD_BF16_GEMM": "widen"])
        #expect(widened.output.contains(#/gemm bf16 +\w+ widen: /#), "\(widened.output)")
        let impossible = try Needletail(
            ["doctor"], environment: ["CSIMD_BF16_GEMM": "native", "CSIMD_ISA": "ref"])
        #expect(impossible.output.contains(#/gemm bf16 +ref widen: /#), "\(impossible.output)")
    }
}
