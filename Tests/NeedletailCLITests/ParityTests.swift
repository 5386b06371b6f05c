// The digits run of Tests/parity/make_digits_fixture.py: PyTorch's losses and weights, from its initial weights in its order.
import Foundation
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct ParityTests {
    private func fixture(_ name: String) throws -> String {
        try #require(Bundle.module.url(forResource: "Fixtures/digits_parity/\(name)", withExtension: nil)).path
    }

    /// The losses of PyTorch's steps in one of its modes.
    private func losses(_ mode: String) throws -> [Double] {
        struct Fixture: Decodable { let losses: [String: [Double]] }
        let data = try Data(contentsOf: URL(fileURLWithPath: fixture("losses.json")))
        return try #require(try JSONDecoder().decode(Fixture.self, from: data).losses[mode])
    }

    /// Losses of the first `steps` steps, none of which may be skipped, and the parameters after them.
    private func train(_ steps: Int, _ precision: String) throws -> (losses: [Double], weights: [String: Tensor]) {
        let scratch = try Scratch()
        let metrics = scratch.path("metrics.jsonl")
        let scale: Double = precision == "16-mixed" ? 65536 : 1  // PyTorch's GradScaler skips no step either
        _ = try Needletail.succeeds(
            "train --quiet --validation 0 --scaling unit --no-shuffle --hidden 24,16 --epochs 14 --max-steps \(steps)"
                + " --init \(try fixture("init.safetensors")) --precision \(precision) --metrics \(metrics)"
                + " --checkpoint \(scratch.path("run"))")
        let losses = try String(contentsOfFile: metrics, encoding: .utf8).split(separator: "\n").compactMap {
            line -> Double? in
            let event = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            guard event["event"] as? String == "step" else { return nil }
            #expect(event["applied"] as? Bool == true && event["scale"] as? Double == scale)
            return try #require(event["loss"] as? Double)
        }
        #expect(losses.count == steps)
        return (losses, try SafeTensorsFile.read(scratch.path("run/last/model.safetensors")).tensors)
    }

    /// In float64 both sides differ by the order of sums only: 64 terms a sum and 10 steps stay far below 1e-12, while a
    /// wrong epsilon, bias correction or initial weight shows in the first digits.
    @Test func float64FollowsPyTorchTo1eMinus12() throws {
        let expected = try losses("float64")
        let (losses, weights) = try train(10, "64-true")
        for (step, loss) in losses.enumerated() {
            #expect(abs(loss - expected[step]) <= 1e-12, "step \(step + 1)")
        }
        try compare(weights, relative: 1e-11)
    }

    /// Bounds of the promise for the first steps: losses to 1e-6 of float64, weights to 1e-5 relative.
    @Test func float32FollowsFloat64ForTenSteps() throws {
        let expected = try losses("float64")
        let (losses, weights) = try train(10, "32-true")
        for (step, loss) in losses.enumerated() {
            #expect(abs(loss - expected[step]) <= 1e-6, "step \(step + 1)")
        }
        try compare(weights, relative: 1e-5)
    }

    /// After the first steps one flipped ReLU makes single losses a matter of chance: means of 100, within 4% and 5% of
    /// PyTorch in the same mode (autocast, with a GradScaler in 16-mixed) and in float32.
    @Test(arguments: [("32-true", "float32", 0.04), ("bf16-mixed", "bf16-mixed", 0.05), ("16-mixed", "16-mixed", 0.05)])
    func meanLossesOfAHundredStepsFollowPyTorch(precision: String, mode: String, bound: Double) throws {
        let ours = try train(300, precision).losses
        for peer in [mode, "float32"] {
            let theirs = try losses(peer)
            for start in [0, 100, 200] {
                let mean = ours[start..<start + 100].reduce(0, +) / 100
                let expected = theirs[start..<start + 100].reduce(0, +) / 100
                let ok = abs(mean - expected) <= bound * expected
                #expect(ok, "steps \(start + 1) to \(start + 100): \(mean), PyTorch's \(peer) \(expected)")
            }
        }
    }

    /// The first batch in 16 bit: equal weights, equal inputs (pixels / 16 are exact), and logits that differ from PyTorch's by
    /// what three layers round. A layer's output has an error of at most 2 u16 of its own magnitude beside the error of its
    /// input, which the two roundings of weight and activation make about 3 u16 a layer, 9 u16 in all for logits below 1, on
    /// either side; the mean loss moves by no more than twice the largest logit's error.
    @Test(arguments: [("bf16-mixed", 0x1p-8), ("16-mixed", 0x1p-11)])
    func firstLossesFollowPyTorch(precision: String, roundoff: Double) throws {
        let first = try train(1, precision).losses[0]
        for (peer, sides) in [(precision, 2.0), ("float64", 1)] {
            let expected = try losses(peer)[0]
            #expect(abs(first - expected) <= sides * 2 * 9 * roundoff, "\(first), PyTorch's \(peer) \(expected)")
        }
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
