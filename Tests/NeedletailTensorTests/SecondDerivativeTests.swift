// Gradients have no derivatives: a loss that depends on one is an error, whatever lies between.
import NeedletailTensor
import Testing

/// Losses that depend on the gradient of (w x²) by x.
private let penalties: [@Sendable (_ gradient: Tensor, _ w: Parameter) -> Tensor] = [
    { gradient, _ in (gradient * gradient).sum() },
    { gradient, w in (w.value * w.value).sum() + (gradient * gradient).sum() },
    { gradient, w in (w.value * gradient).sum() },
    { gradient, w in linear(gradient.reshape([1, 3]), weight: w.value.reshape([1, 3]), activation: .relu).sum() },
    { gradient, w in w.value.sum() + gradient.cast(to: .bfloat16).exp().mean().cast(to: .float32) },
    { gradient, w in Tensor.concatenate([w.value, gradient]).sum() },
    { gradient, w in Tensor.where(Tensor([true, false, true]), w.value, gradient).sum() },
    { gradient, w in w.value.sum() + recomputing(gradient) { $0 * w.value }.sum() },
]

private func gradientAndParameter() -> (Tensor, Parameter) {
    let w = Parameter(Tensor([1, 2, 3]))
    let x = Tensor([3, 4, 5]).trackingGradient()
    return (gradients(of: (w.value * x * x).sum(), withRespectTo: [x])[0], w)
}

@Suite struct SecondDerivativeTests {
    @Test(arguments: penalties.indices) func aLossOfAGradientIsAnError(_ index: Int) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [index] in
            let (gradient, w) = gradientAndParameter()
            penalties[index](gradient, w).backward()
        }
        expectMessage(result, "second derivatives are not supported")
    }

    @Test func soIsOneOfAParametersGradient() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let w = Parameter(Tensor([1, 2, 3]))
            (w.value * w.value).sum().backward()
            guard let gradient = w.gradient else { return }
            (w.value.sum() + (gradient * gradient).sum()).backward()
        }
        expectMessage(result, "second derivatives are not supported")
    }

    @Test func detachedItIsAConstant() {
        let (gradient, w) = gradientAndParameter()
        #expect(!gradient.requiresGradient)
        #expect(!(gradient * gradient).sum().requiresGradient)
        w.zeroGradient()
        (w.value * gradient.detached()).sum().backward()
        #expect(w.gradient?.scalars(as: Float.self) == [6, 16, 30])
    }

    /// A running mean of gradients, formed while operations are recorded, holds no graph.
    @Test func sumsOfGradientsRecordNothing() {
        var mean = Tensor.zeros([3])
        for _ in 0..<3 {
            let (gradient, _) = gradientAndParameter()
            mean = mean * 0.5 + gradient * 0.5
            #expect(!mean.requiresGradient)
        }
        #expect(mean.scalars(as: Float.self) == [5.25, 14, 26.25])
    }

    @Test(arguments: penalties.indices) func withoutRecordingItIsAnOrdinaryTensor(_ index: Int) {
        let (gradient, w) = gradientAndParameter()
        let found = withoutGradients { penalties[index](gradient, w) }
        let expected = withoutGradients { penalties[index](gradient.detached(), w) }
        #expect(found.bytes == expected.bytes)
    }
}
