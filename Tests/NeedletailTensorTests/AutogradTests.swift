import NeedletailTensor
import Testing

@Suite struct AutogradTests {
    @Test func parametersAccumulateUntilReset() {
        let parameter = Parameter(Tensor([1, 2] as [Float]))
        #expect(parameter.gradient == nil)
        (parameter.value * 3).sum().backward()
        #expect(parameter.gradient?.scalars(as: Float.self) == [3, 3])
        (parameter.value * 2).sum().backward(seed: 0.5)
        #expect(parameter.gradient?.scalars(as: Float.self) == [4, 4])
        parameter.zeroGradient()
        #expect(parameter.gradient == nil)
        parameter.value.sum().backward()
        #expect(parameter.gradient?.scalars(as: Float.self) == [1, 1])
    }

    @Test func weightsAccumulateThroughTheMatrixProduct() {
        let weight = Parameter(Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]))
        let bias = Parameter(Tensor([0, 0] as [Float]))
        let x = Tensor([1, 10] as [Float], shape: [1, 2])
        for round in 1...3 {
            linear(x, weight: weight.value, bias: bias.value).sum().backward()
            let n = Float(round)
            #expect(weight.gradient?.scalars(as: Float.self) == [n, 10 * n, n, 10 * n])
            #expect(bias.gradient?.scalars(as: Float.self) == [n, n])
        }
    }

    @Test func frozenParametersAreLeftAlone() {
        let frozen = Parameter(Tensor([2] as [Float]), requiresGradient: false)
        let free = Parameter(Tensor([3] as [Float]))
        (frozen.value * free.value).sum().backward()
        #expect(frozen.gradient == nil)
        #expect(free.gradient?.scalars(as: Float.self) == [2])
    }

    @Test func nothingIsRecordedInsideTheClosure() {
        let parameter = Parameter(Tensor([2] as [Float]))
        let y = withoutGradients { parameter.value * 2 }
        #expect(!y.requiresGradient)
        #expect((parameter.value * 2).requiresGradient)
        #expect(!(parameter.value * 2).detached().requiresGradient)
    }

    @Test func sharedSubexpressionsAreVisitedOnce() {
        // y = x², z = y² + y: dz/dx = (2 y + 1) · 2 x, at x = 2: 9 · 4.
        let x = Tensor([2] as [Double]).trackingGradient()
        let y = x * x
        let z = (y * y + y).sum()
        #expect(gradients(of: z, withRespectTo: [x])[0].scalars(as: Double.self) == [36])
        #expect(gradients(of: z, withRespectTo: [x])[0].scalars(as: Double.self) == [36])
    }

    @Test func anInputThatIsNotReachedHasZeroGradient() {
        let x = Tensor([2] as [Double]).trackingGradient()
        let unused = Tensor([1, 1] as [Float]).trackingGradient()
        let found = gradients(of: (x * x).sum(), withRespectTo: [x, unused])
        #expect(found[0].item() == 4)
        #expect(found[1].scalars(as: Float.self) == [0, 0])
    }

    /// Freed by recursion, a graph this deep would overflow the stack.
    @Test func deepGraphsAreWalkedAndFreed() {
        let x = Tensor([1] as [Double]).trackingGradient()
        var y = x
        for _ in 0..<200_000 { y = y + 1 }
        #expect(gradients(of: y.sum(), withRespectTo: [x])[0].item() == 1)
    }

    @Test func activationTakenOverGivesTheBitsOfTheSeparateOne() {
        // relu's mask is exact, so it does not matter where it is applied.
        var generator = SeededGenerator(seed: 11)
        let x = Tensor.normal([33, 20], dtype: .bfloat16, using: &generator)
        let first = Tensor.normal([17, 20], dtype: .bfloat16, using: &generator)
        let second = Tensor.normal([10, 17], dtype: .bfloat16, using: &generator)
        func run(hide: Bool) -> [[UInt8]] {
            let inputs = [x, first, second].map { $0.trackingGradient() }
            var hidden = linear(inputs[0], weight: inputs[1], activation: .relu)
            if hide { hidden = hidden.reshape([33, 17]) }  // a view between hides the activation from the product
            let y = linear(hidden, weight: inputs[2])
            return gradients(of: y.sum(), withRespectTo: inputs).map(\.bytes)
        }
        #expect(run(hide: false) == run(hide: true))
    }

    /// Weight and bias of any two types: an override may keep one of them in another. Integers this small are exact in all.
    @Test func linearTakesABiasOfAnotherType() throws {
        let x = Tensor([1, -2, 3, 0, 2, 1] as [Float], shape: [2, 3])
        for weightType in floatingTypes {
            for biasType in floatingTypes {
                let weight = Parameter(Tensor([1, 0, -1, 2, 1, 1] as [Float], shape: [2, 3]).cast(to: weightType))
                let bias = Parameter(Tensor([5, -3] as [Float]).cast(to: biasType))
                let y = linear(x, weight: weight.value, bias: bias.value)
                y.sum().backward()
                #expect(
                    y.dtype == weightType && y.scalars(as: Float.self) == [3, 0, 4, 0], "\(weightType) \(biasType)")
                #expect(weight.gradient?.scalars(as: Float.self) == [1, 0, 4, 1, 0, 4], "\(weightType) \(biasType)")
                #expect(bias.gradient?.scalars(as: Float.self) == [2, 2], "\(weightType) \(biasType)")
            }
        }
    }
}
