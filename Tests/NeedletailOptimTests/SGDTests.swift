// SGD: trajectories, clipping, 16-bit parameters, options.
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct SGDTests {
    @Test(arguments: [DType.float32, .float64])
    func followsPyTorch(_ type: DType) throws {
        try Trajectory(name: "sgd", type: type).check { SGD($0, learningRate: 0.1) }
        try Trajectory(name: "sgd_decay", type: type).check { SGD($0, learningRate: 0.05, weightDecay: 0.01) }
        try Trajectory(name: "sgd_momentum", type: type).check { SGD($0, learningRate: 0.01, momentum: 0.9) }
        try Trajectory(name: "sgd_nesterov", type: type).check {
            SGD($0, learningRate: 0.01, momentum: 0.9, weightDecay: 1e-2, nesterov: true)
        }
        var options = SGD.Options()
        options.learningRate = 0.01
        options.momentum = 0.9
        options.dampening = 0.5
        options.weightDecay = 1e-3
        try Trajectory(name: "sgd_dampening", type: type).check { SGD($0, options) }
        options = SGD.Options()
        options.learningRate = 0.01
        options.momentum = 0.5
        options.maximize = true
        try Trajectory(name: "sgd_maximize", type: type).check { SGD($0, options) }
    }

    @Test(arguments: [1, 1024, 0x1p-10] as [Float])
    func clippingByNormFollowsPyTorchAtAnyScale(_ scale: Float) throws {
        try Trajectory(name: "sgd_clip", gradients: "tame", clipping: .norm(1), scale: scale).check {
            SGD($0, learningRate: 0.1, momentum: 0.9)
        }
    }

    @Test func smallUpdatesReachTheShadow() {
        // 400 steps of 1e-5: the float32 master moves, each update rounded once at values below 1 (u = 2^-24 relative,
        // ulp/2 = 2^-25 absolute): |p - 0.996| <= 400 (2^-25 + 1e-5 2^-24) < 1.2e-5. A bfloat16 weight alone would stay
        // at 1.
        let parameter = Parameter(.ones([1]))
        parameter.setTypes(storage: .float32, compute: .bfloat16)
        let optimizer = SGD([parameter], learningRate: 1e-5)
        for _ in 0..<400 {
            optimizer.zeroGradients()
            parameter.value.sum().backward()
            optimizer.step()
            let master = parameter.master.scalars(as: Float.self)[0]
            #expect(parameter.value.scalars(as: Float.self)[0] == Float(BFloat16(master)))
        }
        #expect(abs(parameter.master.item() - 0.996) <= 1.2e-5)
    }

    @Test func trueSixteenBitParametersAreRoundedOnce() {
        // w = 1, 64 updates of -1e-3 in bfloat16 with rounding to nearest: half an ulp below 1 is 2^-9 > 1e-3, so w
        // stays.
        let parameter = Parameter(.ones([3]))
        parameter.setTypes(storage: .bfloat16, compute: .bfloat16)
        let optimizer = SGD([parameter], learningRate: 1e-3, momentum: 0)
        for _ in 0..<64 {
            optimizer.zeroGradients()
            parameter.value.sum().backward()
            optimizer.step()
        }
        #expect(parameter.master.scalars(as: Float.self) == [1, 1, 1])
        // One step of 2^-7 is exact.
        optimizer.learningRate = 0x1p-7
        optimizer.step()
        #expect(parameter.master.scalars(as: Float.self) == [0.9921875, 0.9921875, 0.9921875])
    }

    @Test func invalidOptionsAreRefused() {
        let changes: [(inout SGD.Options) -> Void] = [
            { $0.learningRate = -1 }, { $0.learningRate = .nan }, { $0.weightDecay = -1 }, { $0.momentum = -0.1 },
            { $0.nesterov = true },
            {
                $0.momentum = 0.9
                $0.dampening = 0.1
                $0.nesterov = true
            },
        ]
        for change in changes {
            var options = SGD.Options()
            change(&options)
            #expect(throws: OptimizerOptionsError.self, "\(options)") { try options.validate() }
        }
        #expect(throws: Never.self) { try SGD.Options().validate() }
    }
}
