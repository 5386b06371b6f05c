// A parameter that is changed between forward and backward is an error wherever backward needs its values.
import NeedletailTensor
import Testing

/// Losses of a parameter of shape [4, 4].
private let losses: [(name: String, needsValues: Bool, @Sendable (Parameter) -> Tensor)] = [
    ("multiply", true, { ($0.value * $0.value).sum() }),
    ("divide", true, { (1 / $0.value).sum() }),
    ("matmul", true, { Tensor.ones([2, 4]).trackingGradient().matmul($0.value).sum() }),
    ("matmul", true, { Tensor.ones([2, 4]).trackingGradient().matmul($0.value.transposed()).sum() }),
    ("linear", true, { linear(Tensor.ones([2, 4]).trackingGradient(), weight: $0.value).sum() }),
    ("exp", true, { $0.value.exp().sum() }),
    ("gelu", true, { $0.value.gelu().sum() }),
    ("pow", true, { $0.value.pow(3).sum() }),
    ("maximum", true, { Tensor.maximum($0.value, Tensor.zeros([4, 4])).sum() }),
    ("recomputing", true, { w in recomputing(Tensor.ones([2, 4]).trackingGradient()) { $0.matmul(w.value) }.sum() }),
    (
        "recomputing", true,
        { w in
            recomputing(Tensor.ones([2, 4]).trackingGradient()) { x in
                recomputing(x) { $0.matmul(w.value) }
            }.sum()
        }
    ),
    ("recomputing", true, { w in recomputing(Tensor.ones([4, 4]).trackingGradient()) { $0 * w.master }.sum() }),
    ("add", false, { ($0.value + Tensor.ones([4, 4])).sum() }),
    ("subtract", false, { (Tensor.ones([4, 4]) - $0.value).sum() }),
    ("views", false, { $0.value.transposed()[1].sum() }),
    ("cast", false, { $0.value.cast(to: .float64).mean() }),
    ("scale", false, { ($0.value * 2.0 + 1.0).sum() }),
    ("embedding", false, { embedding($0.value, Tensor([0, 3] as [Int64])).sum() }),
]

private let changes: [@Sendable (Parameter) -> Void] = [
    { try? $0.assign(.ones([4, 4])) },
    { w in
        w.value.sum().backward()
        _ = sgdUpdate(
            w, momentumBuffer: nil, learningRate: 1, momentum: 0, dampening: 0, nesterov: false, weightDecay: 0,
            maximize: false, firstStep: true, pass: UpdatePass())
    },
]

private func lossThenChange(_ loss: Int, _ change: Int) -> (Parameter, Tensor) {
    let w = Parameter(exactValues([4, 4], seed: 2, dtype: .float32) + 5)
    w.name = "layer.weight"
    let result = losses[loss].2(w)
    changes[change](w)
    return (w, result)
}

@Suite struct ParameterVersionTests {
    @Test(arguments: losses.indices.filter { losses[$0].needsValues }, changes.indices)
    func backwardAfterAChangeIsAnError(_ loss: Int, _ change: Int) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [loss, change] in
            lossThenChange(loss, change).1.backward()
        }
        expectMessage(result, "backward: parameter 'layer.weight' was changed")
        expectMessage(result, "after '\(losses[loss].name)' used it")
    }

    @Test(arguments: losses.indices.filter { !losses[$0].needsValues })
    func whereNoValuesAreNeededItIsNone(_ loss: Int) {
        let (w, result) = lossThenChange(loss, 0)
        result.backward()
        let changed = w.gradient?.scalars(as: Float.self)
        let fresh = Parameter(.ones([4, 4]))
        losses[loss].2(fresh).backward()
        #expect(changed == fresh.gradient?.scalars(as: Float.self), "\(losses[loss].name)")
    }

    /// A GAN that forms both losses first: the generator's would be walked through a changed discriminator.
    @Test func lossesFormedBeforeAnotherOptimizersStepAreAnError() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let (generator, discriminator) = (Parameter(.ones([3, 3])), Parameter(.ones([3, 3])))
            discriminator.name = "discriminator.weight"
            let fake = linear(Tensor.ones([2, 3]), weight: generator.value)
            let ofDiscriminator = linear(fake.detached(), weight: discriminator.value).sum()
            let ofGenerator = linear(fake, weight: discriminator.value).sum()
            ofDiscriminator.backward()
            _ = sgdUpdate(
                discriminator, momentumBuffer: nil, learningRate: 1, momentum: 0, dampening: 0, nesterov: false,
                weightDecay: 0, maximize: false, firstStep: true, pass: UpdatePass())
            ofGenerator.backward()
        }
        expectMessage(result, "parameter 'discriminator.weight' was changed")
    }

    /// The old gradient is nobody's: nothing may arrive there unseen.
    @Test(arguments: losses.indices) func backwardAfterAChangeOfTypesIsAnError(_ loss: Int) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [loss] in
            let w = Parameter(.ones([4, 4]))
            w.name = "layer.weight"
            let result = losses[loss].2(w)
            w.setTypes(storage: .float32, compute: .bfloat16)
            result.backward()
        }
        expectMessage(result, "parameter 'layer.weight' w")
    }

    /// A value that was read as a constant stays as it is: backward computes with it.
    @Test func aConstantThatWasReadIsNoneOfTheParameters() throws {
        let teacher = Parameter(.full([4, 4], 3)), constant = teacher.value.detached()
        let x = Tensor.ones([2, 4]).trackingGradient()
        let loss = linear(x, weight: constant).sum() + (x * teacher.value.detached()[0]).sum()
        try teacher.assign(.zeros([4, 4]))
        #expect(gradients(of: loss, withRespectTo: [x])[0].scalars(as: Float.self) == [Float](repeating: 15, count: 8))
    }

    /// The weight of a frozen layer has no gradient, but that of its input is computed with it.
    @Test func aFrozenWeightCountsToo() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let weight = Parameter(.ones([4, 4]), requiresGradient: false)
            let loss = linear(Tensor.ones([2, 4]).trackingGradient(), weight: weight.borrowedValue).sum()
            try? weight.assign(.zeros([4, 4]))
            loss.backward()
        }
        expectMessage(result, "a parameter of shape [4, 4]")
    }

    /// A trial between forward and backward that is put back is no change.
    @Test func aStateThatIsPutBackIsNoChange() throws {
        let w = Parameter(.full([4, 4], 3))
        let loss = (w.value * w.value).sum()
        let kept = w.state
        w.setTypes(storage: .float64, compute: .float64)
        try w.assign(.zeros([4, 4]))
        (w.value * w.value).sum().backward()
        w.state = kept
        loss.backward()
        #expect(w.gradient?.scalars(as: Float.self) == [Float](repeating: 6, count: 16))
    }

    @Test func changesAfterBackwardAndBeforeForwardAreNone() throws {
        let w = Parameter(.ones([4, 4]))
        for value in 1...3 {
            try w.assign(.full([4, 4], Double(value)))
            w.zeroGradient()
            (w.value * w.value).sum().backward()
            #expect(w.gradient?.scalars(as: Float.self) == [Float](repeating: 2 * Float(value), count: 16))
        }
    }
}
