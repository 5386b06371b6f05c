// The digits run of Tests/parity/make_digits_fixture.py: PyTorch's losses and weights, from its initial weights in its order.
import Foundation
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct ParityTests {
    private struct Fixture: Decodable {
        let losses: [String: [Double]]
    }

    private func fixture(_ name: String) throws -> String {
        try #require(Bundle.module.url(forResource: "Fixtures/digits_parity/\(name)", withExtension: nil)).path
    }

    /// Losses of the first `steps` steps, and the parameters after them.
    private func train(_ steps: Int, _ precision: String) throws -> (losses: [Double], weights: [String: Tensor]) {
        let scratch = try Scratch()
        let metrics = scratch.path("metrics.jsonl")
        _ = try Needletail.succeeds(
            "train --quiet --validation 0 --scaling unit --no-shuffle --hidden 24,16 --epochs 9 --max-steps \(steps)"
                + " --init \(try fixture("init.safetensors")) --precision \(precision) --metrics \(metrics)"
                + " --checkpoint \(scratch.path("run"))")
        let losses = try String(contentsOfFile: metrics, encoding: .utf8).split(separator: "\n").compactMap { line in
            let event = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            return event["event"] as? String == "step" ? try #require(event["loss"] as? Double) : nil
        }
        #expect(losses.count == steps)
        return (losses, try SafeTensorsFile.read(scratch.path("run/last/model.safetensors")).tensors)
    }

    /// In float64 both sides differ by the order of sums only: 64 terms a sum and 10 steps stay far below 1e-12, while a
    /// wrong epsilon, bias correction or initial weight shows in the first digits.
    @Test func float64FollowsPyTorchTo1eMinus12() throws {
        let expected = try JSONDecoder().decode(
            Fixture.self, from: Data(contentsOf: URL(fileURLWithPath: try fixture("losses.json"))))
        let (losses, weights) = try train(10, "64-true")
        for (step, loss) in losses.enumerated() {
            #expect(abs(loss - expected.losses["float64"]![step]) <= 1e-12, "step \(step + 1)")
        }
        try compare(weights, relative: 1e-11)
    }

    /// Bounds of the promise for the first steps: losses to 1e-6 of float64, weights to 1e-5 relative.
    @Test func float32FollowsFloat64ForTenSteps() throws {
        let expected = try JSONDecoder().decode(
            Fixture.self, from: Data(contentsOf: URL(fileURLWithPath: try fixture("losses.json"))))
        let (losses, weights) = try train(10, "32-true")
        for (step, loss) in losses.enumerated() {
            #expect(abs(loss - expected.losses["float64"]![step]) <= 1e-6, "step \(step + 1)")
        }
        try compare(weights, relative: 1e-5)
    }

    /// After the first steps one flipped ReLU makes single losses a matter of chance: means of 100, within 4% and 5%.
    @Test(arguments: [("32-true", 0.04), ("bf16-mixed", 0.05), ("16-mixed", 0.05)])
    func meanLossOfAHundredStepsFollowsPyTorch(precision: String, bound: Double) throws {
        let expected = try JSONDecoder().decode(
            Fixture.self, from: Data(contentsOf: URL(fileURLWithPath: try fixture("losses.json"))))
        let losses = try train(100, precision).losses
        let ours = losses.reduce(0, +) / 100
        let theirs = expected.losses["float32"]!.reduce(0, +) / 100
        #expect(abs(ours - theirs) <= bound * theirs, "\(ours) against \(theirs)")
    }

    /// Each tensor's error norm over its norm.
    private func compare(_ weights: [String: Tensor], relative bound: Double) throws {
        let expected = try SafeTensorsFile.read(try fixture("step10.safetensors")).tensors
        #expect(Set(weights.keys) == Set(expected.keys))
        for (name, tensor) in expected {
            let reference = tensor.scalars(as: Double.self)
            let found = try #require(weights[name]).scalars(as: Double.self)
            let error = zip(found, reference).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
            let norm = reference.reduce(0) { $0 + $1 * $1 }.squareRoot()
            #expect(error <= bound * norm, "\(name): \(error / norm)")
        }
    }
}
