import Needletail
import Testing

@Suite struct PrecisionRecommendationTests {
    /// A layer with the given values; weights and activations are harmless where nothing is said.
    private func layer(
        weights: [Double] = [0.5], activations: [Double] = [1], activationGradients: [Double] = [],
        weightGradients: [Double] = []
    ) -> LayerNumerics {
        var layer = LayerNumerics(name: "layer", type: "Linear", parameterCount: weights.count)
        layer[.weights] = exponentHistogram(Tensor(weights))
        layer[.activations] = exponentHistogram(Tensor(activations))
        layer[.activationGradients] = exponentHistogram(Tensor(activationGradients))
        layer[.weightGradients] = exponentHistogram(Tensor(weightGradients))
        return layer
    }

    private func ones(_ count: Int, and rest: Double...) -> [Double] { [Double](repeating: 1, count: count) + rest }

    @Test func table() {
        let rows: [(LayerNumerics, String)] = [
            (layer(), "fp16 fine; bf16 fine"),
            (layer(activations: [0, 0, 0]), "fp16 fine; bf16 fine"),
            // One in a hundred may become zero, two may not.
            (layer(activations: ones(99, and: 1e-9)), "fp16 fine; bf16 fine"),
            (
                layer(activations: ones(98, and: 1e-9, 1e-9)),
                "fp16 no (2.00% of activations become zero); bf16 fine"
            ),
            (layer(weights: [1e-9]), "fp16 no (100.0% of weights become zero); bf16 fine"),
            (layer(activations: [65519.9]), "fp16 fine; bf16 fine"),
            (layer(activations: [65520, -1e6]), "fp16 no (2 activations become infinite); bf16 fine"),
            // Of gradients, -25 is kept, -26 needs 2^2 to reach the smallest subnormal number, 2^-24.
            (layer(activationGradients: [0x1.8p-25]), "fp16 fine; bf16 fine"),
            (layer(activationGradients: [0x1p-25]), "fp16 needs scaling of at least 2^1; bf16 fine"),
            (layer(activationGradients: [0x1p-26, 1]), "fp16 needs scaling of at least 2^2; bf16 fine"),
            (layer(activationGradients: [0x1p-36, 0x1p3]), "fp16 needs scaling of at least 2^12; bf16 fine"),
            (
                layer(activationGradients: [0x1p-36, 0x1p4]),
                "fp16 no (activation gradients span more than its range); bf16 fine"
            ),
            (layer(activationGradients: ones(99, and: 0x1p-36)), "fp16 fine; bf16 fine"),
            (layer(activationGradients: [1e5]), "fp16 no (1 activation gradients become infinite); bf16 fine"),
            // Weight gradients, float32 in every mode, count only where no others were seen.
            (layer(weightGradients: [0x1p-30]), "fp16 needs scaling of at least 2^6; bf16 fine"),
            (layer(activationGradients: [1], weightGradients: [0x1p-30]), "fp16 fine; bf16 fine"),
            (
                layer(weights: [1e39]),
                "keep in float32: fp16 no (1 weights become infinite), bf16 no (1 weights become infinite)"
            ),
            (
                layer(activations: [1e-41]),
                "keep in float32: fp16 no (100.0% of activations become zero), bf16 no (100.0% of activations become zero)"
            ),
            (
                layer(activations: [1, .nan]),
                "activations are not finite: find the cause, or record again in 32-true"
            ),
        ]
        for (layer, text) in rows { #expect("\(layer.recommendation)" == text) }
    }

    /// The scale that is recommended does what it is for, in the conversion itself, and half of it does not.
    @Test(arguments: [-26, -30, -41, -60]) func theScaleIsTheSmallestThatWorks(exponent: Int) throws {
        let gradients = Tensor([1.5, 1.25, 1].map { $0 * Double(sign: .plus, exponent: exponent, significand: 1) })
        var layer = LayerNumerics(name: "layer", type: "Linear", parameterCount: 0)
        layer[.activationGradients] = exponentHistogram(gradients)
        guard case .scaled(let power) = layer.recommendation.float16 else {
            Issue.record("\(layer.recommendation)")
            return
        }
        func zeros(_ power: Int) -> Int {
            let scaled = gradients * Double(sign: .plus, exponent: power, significand: 1)
            return scaled.cast(to: .float16).scalars(as: Float.self).count { $0 == 0 }
        }
        #expect(zeros(power) == 0 && zeros(power - 1) == 1)
    }
}
