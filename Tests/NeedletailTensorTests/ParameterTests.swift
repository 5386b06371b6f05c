import NeedletailTensor
import Testing

@Suite struct ParameterTests {
    @Test func mixedTypesKeepAMasterAndAShadow() throws {
        let parameter = Parameter(Tensor([1.0009765625, -3] as [Float]))
        parameter.setTypes(storage: .float32, compute: .bfloat16)
        #expect(parameter.storageType == .float32)
        #expect(parameter.computeType == .bfloat16)
        #expect(parameter.master.scalars(as: Float.self) == [1.0009765625, -3])
        #expect(parameter.value.dtype == .bfloat16)
        #expect(parameter.value.scalars(as: Float.self) == [1, -3])
        (parameter.value * 2).sum().backward()
        #expect(parameter.gradient?.dtype == .float32)
        try parameter.assign(Tensor([5, 6] as [Double]))
        #expect(parameter.value.scalars(as: Float.self) == [5, 6])
        #expect(parameter.master.scalars(as: Float.self) == [5, 6])
    }

    @Test func trueTypesStoreSixteenBitsOnly() {
        let parameter = Parameter(Tensor([1.0009765625] as [Float]))
        parameter.setTypes(storage: .bfloat16, compute: .bfloat16)
        #expect(parameter.master.dtype == .bfloat16)
        parameter.setTypes(storage: .float64, compute: .float64)
        #expect(parameter.master.scalars(as: Double.self) == [1])
        parameter.value.sum().backward()
        #expect(parameter.gradient?.dtype == .float64)
    }

    @Test func aWrongShapeIsRefusedAndNothingChanges() {
        let parameter = Parameter(Tensor([1, 2] as [Float]))
        parameter.name = "layer.weight"
        #expect {
            try parameter.assign(Tensor([1, 2, 3] as [Float]))
        } throws: { error in
            "\(error)" == "parameter 'layer.weight': found shape [3], expected [2]"
        }
        #expect(parameter.master.scalars(as: Float.self) == [1, 2])
    }

    @Test func theInitialTensorIsCopied() throws {
        let initial = Tensor([1, 2] as [Float])
        let parameter = Parameter(initial)
        try parameter.assign(Tensor([3, 4] as [Float]))
        #expect(initial.scalars(as: Float.self) == [1, 2])
    }

    @Test func updatesWriteMasterAndShadowTogether() {
        let parameter = Parameter(Tensor([1, 2] as [Float]))
        parameter.setTypes(storage: .float32, compute: .float16)
        (parameter.value * Tensor([1, 2] as [Float16])).sum().backward(seed: 8)
        let lost = sgdUpdate(
            parameter, momentumBuffer: nil, learningRate: 0.5, momentum: 0, dampening: 0, nesterov: false,
            weightDecay: 0, maximize: false, firstStep: true,
            pass: UpdatePass(GradientTransform(gradientScale: 1.0 / 8)))
        #expect(lost == 0)
        #expect(parameter.master.scalars(as: Float.self) == [0.5, 1])
        #expect(parameter.value.scalars(as: Float.self) == [0.5, 1])
    }
}
