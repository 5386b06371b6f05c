// `--model cnn`: its checkpoints evaluate, predict, inspect and resume as the perceptron's do.
import Foundation
import Testing

@Suite struct ModelCommandTests {
    private func summary(_ path: String) throws -> [String: Any] {
        let line = try #require(try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").last)
        return try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    /// Chance is 0.1. The test after training and the command that reads the checkpoint see the same running statistics.
    @Test(arguments: ["32-true", "bf16-mixed", "16-mixed"]) func theConvolutionalModelLearns(precision: String) throws {
        let scratch = try Scratch()
        let (run, metrics) = (scratch.path("run"), scratch.path("metrics.jsonl"))
        let training = try Needletail.succeeds(
            "train --model cnn --epochs 1 --precision \(precision) --checkpoint \(run) --metrics \(metrics)")
        let row = try #require(training.output.split(separator: "\n").first { $0.hasPrefix("conv2") })
        // 2 · 8 · 8 · 64 · 32 · 9 multiply-adds and additions of one image, and those of the ReLU.
        #expect(row.contains("Conv2d") && row.contains("18,496") && row.contains("2,36"), "\(row)")
        let found = try summary(metrics)
        #expect(found["test_accuracy"] as? Double ?? 0 > 0.8)

        let evaluation = try Needletail.succeeds("evaluate --json \(run)").output
        let object = try #require(try JSONSerialization.jsonObject(with: Data(evaluation.utf8)) as? [String: Any])
        #expect(object["test_accuracy"] as? Double == found["test_accuracy"] as? Double)
        #expect(object["test_loss"] as? Double == found["test_loss"] as? Double)

        let image = try scratch.write([UInt8](repeating: 9, count: 64), "image.raw")
        #expect(try Needletail.succeeds("predict \(run) \(image)").output.hasPrefix("\(image): "))
        let inspection = try Needletail.succeeds("inspect \(run)").output
        for part in ["cnn", "norm3.running_var", "norm3.num_batches_tracked", "int64", "[64, 32, 3, 3]"] {
            #expect(inspection.contains(part), "\(part) is missing in:\n\(inspection)")
        }
    }

    /// Dropout's generator and the running statistics are part of a checkpoint: the files of both ways are equal byte for byte,
    /// on one thread and on two.
    @Test func aResumedRunHasTheBitsOfAnUninterruptedOne() throws {
        let scratch = try Scratch()
        let options = "train --quiet --model cnn --precision bf16-mixed --limit-train-batches 4 --checkpoint"
        _ = try Needletail.succeeds("\(options) \(scratch.path("whole")) --epochs 2 --threads 1")
        _ = try Needletail.succeeds("\(options) \(scratch.path("parts")) --epochs 1 --threads 2")
        _ = try Needletail.succeeds("\(options) \(scratch.path("parts")) --epochs 2 --threads 2 --resume last")
        let (whole, parts) = (try scratch.files(below: "whole/last"), try scratch.files(below: "parts/last"))
        #expect(whole["model.safetensors"] != nil && whole["model.safetensors"] == parts["model.safetensors"])
        #expect(whole["optimizer.safetensors"] == parts["optimizer.safetensors"])
    }

    @Test func smallImagesAreRefused() throws {
        let scratch = try Scratch()
        for part in ["train", "t10k"] {
            _ = try scratch.write(idx([12, 3, 9], [UInt8](repeating: 9, count: 12 * 27)), "\(part)-images-idx3-ubyte")
            _ = try scratch.write(idx([12], [UInt8](0..<10) + [0, 1]), "\(part)-labels-idx1-ubyte")
        }
        let run = try Needletail(["train", "--model", "cnn", "--data", scratch.folder.path])
        #expect(
            run.status == 64 && run.complaint.contains("4 x 4") && run.complaint.contains("3 x 9"), "\(run.complaint)")
    }
}
