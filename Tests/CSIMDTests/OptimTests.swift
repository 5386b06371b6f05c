import CSIMD
import Foundation
import Testing

@Suite struct OptimTests {
    static let variants: [OptimizerOptions] = [
        .init(kind: .sgd),
        .init(kind: .sgd, weightDecay: 0.01, maximize: true),
        .init(kind: .sgd, momentum: 0.9),
        .init(kind: .sgd, weightDecay: 0.01, momentum: 0.9, dampening: 0.3),
        .init(
            kind: .sgd, weightDecay: 0.01, momentum: 0.9, nesterov: true, gradientScale: 1.0 / 1024,
            clipCoefficient: 0.7),
        .init(kind: .sgd, momentum: 0.5, clipValue: 0.8),
        .init(kind: .adam, learningRate: 1e-3),
        .init(kind: .adam, learningRate: 1e-3, weightDecay: 0.01, maximize: true, gradientScale: 1.0 / 65536),
        .init(kind: .adam, learningRate: 1e-3, amsgrad: true),
        .init(kind: .adam, learningRate: 1e-3, beta1: 0.3, beta2: 0.7, clipValue: 0.8),
        .init(kind: .adamW, learningRate: 1e-3, weightDecay: 0.01, clipCoefficient: 0.37),
        .init(kind: .adamW, learningRate: 1e-3, weightDecay: 0.1, beta1: 0, amsgrad: true),
        .init(kind: .rmsprop),
        .init(kind: .rmsprop, weightDecay: 0.01, momentum: 0.9, gradientScale: 1.0 / 1024, clipCoefficient: 0.7),
        .init(kind: .rmsprop, maximize: true, alpha: 0.9, centered: true),
        .init(kind: .rmsprop, momentum: 0.5, alpha: 0.4, centered: true, clipValue: 0.8),
        .init(kind: .adagrad, epsilon: 1e-10),
        .init(kind: .adagrad, weightDecay: 0.01, maximize: true, learningRateDecay: 0.1, clipValue: 0.8),
        .init(kind: .lion, learningRate: 1e-3, beta2: 0.99),
        .init(
            kind: .lion, learningRate: 1e-3, weightDecay: 0.1, maximize: true, beta1: 0.4, beta2: 0.7,
            gradientScale: 1.0 / 65536),
    ]

    /// 100 steps against Double, with the error of PyTorch's float32 as the yardstick (TRUST.md):
    /// |p - p64| <= 4 |p32 - p64| + t 4u (|p| + update). Each step rounds p once (u |p|) and its update a few times.
    @Test(arguments: variants.indices)
    func trajectoriesAgreeWithFloat64(_ index: Int) {
        let options = OptimTests.variants[index]
        let largestUpdate = options.largestUpdate
        for count in [1, 7, 16, 37] {
            for type in [CSIMD_F32, CSIMD_F64] {
                forEachRow { kernels in
                    let arena = BufferArena()
                    defer { arena.release() }
                    var random = TestRandom(21)
                    let run = OptimizerRun(arena, options, type, initial: (0..<count).map { _ in random.normal() })
                    var exact = run.parameter.values.map { ScalarOptimizer<Double>(parameter: $0) }
                    var peer = run.parameter.values.map { ScalarOptimizer<Float>(parameter: Float($0)) }
                    let u = arithmeticRoundoff(type)
                    for step in 1...100 {
                        for i in 0..<count {
                            run.gradient[i] = i % 5 == 4 && step % 2 == 0 ? 0 : random.normal() / options.gradientScale
                            exact[i].step(options, gradient: run.gradient[i], step: step)
                            peer[i].step(options, gradient: Float(run.gradient[i]), step: step)
                        }
                        #expect(run.step(step) == CSIMD_OK)
                        for i in 0..<count {
                            let expected = exact[i].parameter
                            let peerError = type == CSIMD_F64 ? 0 : abs(Double(peer[i].parameter) - expected)
                            let bound = 4 * peerError + Double(step) * 4 * u * (abs(expected) + largestUpdate)
                            let ok = abs(run.parameter[i] - expected) <= bound
                            #expect(
                                ok,
                                "\(kernels) variant \(index) type \(type.rawValue) step \(step) at \(i): \(run.parameter[i]), expected \(expected) within \(bound)"
                            )
                        }
                    }
                }
            }
        }
    }

    /// A "true" 16-bit parameter: every step is the rounding of the float32 step from the stored value. One step's float32 error
    /// is under 8 u (|p| + lr), so the stored value is a rounding of something in that interval.
    @Test(arguments: variants.indices)
    func sixteenBitParametersAreRoundedOnce(_ index: Int) {
        let options = OptimTests.variants[index]
        let largestUpdate = options.largestUpdate
        for type in [CSIMD_F16, CSIMD_BF16] {
            forEachRow { kernels in
                let arena = BufferArena()
                defer { arena.release() }
                var random = TestRandom(22)
                let count = 53
                let run = OptimizerRun(arena, options, type, initial: (0..<count).map { _ in random.normal() })
                var exact = run.parameter.values.map { ScalarOptimizer<Double>(parameter: $0) }
                for step in 1...10 {
                    for i in 0..<count {
                        run.gradient[i] = random.normal() / options.gradientScale
                        exact[i].parameter = run.parameter[i]
                        exact[i].step(options, gradient: run.gradient[i], step: step)
                    }
                    #expect(run.step(step) == CSIMD_OK)
                    for i in 0..<count {
                        let expected = exact[i].parameter
                        let error = Double(step) * 8 * 0x1p-24 * (abs(expected) + largestUpdate)
                        let ok =
                            abs(run.parameter[i] - expected) <= error + storageRounding(type, abs(expected) + error)
                        #expect(
                            ok, "\(kernels) variant \(index) step \(step) at \(i): \(run.parameter[i]), not \(expected)"
                        )
                    }
                }
            }
        }
    }

    /// Gradients from 1e-12 to 1e15: SGD's update follows the scale, the others' does not depend on it; |g| = 1e38 overflows g^2
    /// to an infinite second moment, whose update is 0 as in PyTorch.
    @Test func gradientScalesFromTinyToHuge() {
        for scale in [1e-12, 1e-6, 1, 1e6, 1e15, 1e38] {
            for options in [
                OptimizerOptions(kind: .sgd), OptimizerOptions(kind: .adam),
                OptimizerOptions(kind: .adamW, amsgrad: true), OptimizerOptions(kind: .rmsprop, momentum: 0.9),
                OptimizerOptions(kind: .adagrad, epsilon: 1e-10), OptimizerOptions(kind: .lion, beta2: 0.99),
            ] {
                forEachRow { kernels in
                    let arena = BufferArena()
                    defer { arena.release() }
                    var random = TestRandom(23)
                    let run = OptimizerRun(arena, options, CSIMD_F32, initial: (0..<21).map { _ in random.normal() })
                    var peer = run.parameter.values.map { ScalarOptimizer<Float>(parameter: Float($0)) }
                    for step in 1...20 {
                        for i in 0..<run.parameter.count {
                            run.gradient[i] = scale * (0.5 + random.uniform()) * (random.uniform() < 0.5 ? -1 : 1)
                            peer[i].step(options, gradient: Float(run.gradient[i]), step: step)
                        }
                        #expect(run.step(step) == CSIMD_OK)
                        for i in 0..<run.parameter.count {
                            let expected = Double(peer[i].parameter)
                            // Both are float32: each within 4 u a step of the exact value.
                            let update =
                                options.kind == .sgd ? options.learningRate * 1.5 * scale : options.largestUpdate
                            let bound = Double(step) * 8 * 0x1p-24 * (abs(expected) + update)
                            let ok = abs(run.parameter[i] - expected) <= bound
                            #expect(
                                ok, "\(kernels) scale \(scale) step \(step): \(run.parameter[i]), expected \(expected)")
                        }
                    }
                }
            }
        }
    }

    /// Where all gradients were equal, v - m^2 is 0 but for roundings, and may be below: the root is then 0, never NaN. An
    /// infinite v leaves the parameter alone.
    @Test func centeredRMSpropTakesNoRootOfANegativeNumber() {
        for type in [CSIMD_F32, CSIMD_F64] {
            forEachRow { kernels in
                let arena = BufferArena()
                defer { arena.release() }
                let options = OptimizerOptions(kind: .rmsprop, learningRate: 1e-20, alpha: 0.5, centered: true)
                let run = OptimizerRun(arena, options, type, initial: [Double](repeating: 1, count: 37))
                for i in 0..<37 { run.gradient[i] = i == 0 ? 1e38 : 0.1 + Double(i) * 0.37 }
                for step in 1...200 { #expect(run.step(step) == CSIMD_OK) }
                for i in 0..<37 { #expect(run.parameter[i].isFinite, "\(kernels) \(type.rawValue) at \(i)") }
                if type == CSIMD_F32 { #expect(run.first[0] == .infinity && run.parameter[0] == 1, "\(kernels)") }
            }
        }
    }

    /// sign(0) is 0, and NaN stays one.
    @Test func lionsSignKeepsZeroAndNaN() {
        for type in [CSIMD_F32, CSIMD_F64] {
            forEachRow { kernels in
                let arena = BufferArena()
                defer { arena.release() }
                let gradients: [Double] = [0, -0.0, 1e-40, -1e-40, .infinity, -.infinity, .nan, 5, -7]
                let run = OptimizerRun(
                    arena, .init(kind: .lion, learningRate: 0.25), type, initial: gradients.map { _ in 0 })
                for (i, g) in gradients.enumerated() { run.gradient[i] = g }
                #expect(run.step(1) == CSIMD_OK)
                let expected = [0, 0, -0.25, 0.25, -0.25, 0.25, .nan, -0.25, 0.25]
                for i in gradients.indices {
                    let ok = run.parameter[i] == expected[i] || run.parameter[i].isNaN && expected[i].isNaN
                    #expect(ok, "\(kernels) \(gradients[i]): \(run.parameter[i])")
                }
            }
        }
    }

    @Test func zeroGradientsMoveNothing() {
        for options in OptimTests.variants where options.weightDecay == 0 {
            forEachRow { kernels in
                let arena = BufferArena()
                defer { arena.release() }
                let run = OptimizerRun(arena, options, CSIMD_F32, initial: (0..<19).map { Double($0) - 9.5 })
                let before = arena.copy(of: run.parameter)
                for step in 1...3 { #expect(run.step(step) == CSIMD_OK) }
                #expect(run.parameter.hasSameBits(as: before), "\(kernels)")
            }
        }
    }

    @Test(arguments: variants.indices)
    func theShadowIsTheRoundingOfTheMaster(_ index: Int) {
        let options = OptimTests.variants[index]
        for type in [CSIMD_F16, CSIMD_BF16] {
            forEachRow { kernels in
                let arena = BufferArena()
                defer { arena.release() }
                var random = TestRandom(24)
                // Every fourth value is a tie, half an ulp above a value of the type, and stays where it is without weight decay.
                let halfUlp = type == CSIMD_F16 ? 0x1p-11 : 0x1p-8
                var initial: [Double] = []
                for i in 0..<131 {
                    let ordinary = random.normal() * pow(10, Double(i % 13) - 8)
                    let tie = 1 + Double(i / 2 + 1) * halfUlp
                    initial.append(i % 4 == 0 ? tie : ordinary)
                }
                let run = OptimizerRun(arena, options, CSIMD_F32, initial: initial, shadow: type)
                let plain = OptimizerRun(arena, options, CSIMD_F32, initial: initial)
                for step in 1...4 {
                    for i in 0..<initial.count {
                        run.gradient[i] = i % 4 == 0 ? 0 : random.normal()
                        plain.gradient[i] = run.gradient[i]
                    }
                    #expect(run.step(step) == CSIMD_OK && plain.step(step) == CSIMD_OK)
                    let rounded = arena.make(type, run.parameter.values)
                    #expect(run.shadow!.hasSameBits(as: rounded), "\(kernels) variant \(index) step \(step)")
                    #expect(run.parameter.hasSameBits(as: plain.parameter), "\(kernels): the shadow changed the master")
                }
            }
        }
    }

    /// Where all arrays together exceed the caches the shadow is stored past them: it is still the rounded parameter, wherever it
    /// begins, for any number of threads.
    @Test func aShadowPastTheCachesIsTheSame() {
        let count = (32 << 20) / 14 + 1037
        var random = TestRandom(31)
        let block = (0..<9973).map { _ in Float(random.normal()) }
        let gradient = (0..<count).map { block[$0 % block.count] }
        for type in [CSIMD_F16, CSIMD_BF16] {
            forEachRow { kernels in
                if kernels == "ref" { return }
                for (threads, shift) in [(Int32(1), 0), (4, 0), (1, 1)] {
                    var parameter = gradient, first = [Float](repeating: 0, count: count), second = first
                    var shadow = [UInt16](repeating: 7, count: count + 2), rounded = shadow
                    let status = parameter.withUnsafeMutableBytes { parameter in
                        gradient.withUnsafeBytes { gradient in
                            shadow.withUnsafeMutableBytes { shadow in
                                var arguments = csimd_optimizer_args()
                                arguments.type = CSIMD_F32
                                arguments.count = count
                                arguments.parameter = parameter.baseAddress
                                arguments.gradient = gradient.baseAddress
                                (arguments.gradient_scale, arguments.clip_coefficient) = (0.5, 1)
                                arguments.shadow = shadow.baseAddress! + 2 * shift
                                arguments.shadow_type = type
                                arguments.learning_rate = 0.01
                                return withThreads(threads) {
                                    csimd_adam_step(&arguments, &first, &second, nil, 0.9, 0.999, 1e-8, true, 1)
                                }
                            }
                        }
                    }
                    #expect(status == CSIMD_OK)
                    #expect(csimd_convert(CSIMD_F32, parameter, type, &rounded, count) == CSIMD_OK)
                    let same = shadow.dropFirst(shift).prefix(count).elementsEqual(rounded.prefix(count))
                    #expect(
                        same && shadow[count + 1] == 7, "\(kernels) \(type) \(threads) threads, shifted by \(shift)")
                }
            }
        }
    }

    /// NaN and infinities reach the shadow from every place of a pair of vectors, and only their own element.
    @Test func theShadowKeepsNaNAndInfinity() {
        for type in [CSIMD_F16, CSIMD_BF16] {
            forEachRow { kernels in
                let arena = BufferArena()
                defer { arena.release() }
                for place in 0..<70 {
                    let options = OptimizerOptions(kind: .sgd, learningRate: 1)
                    let run = OptimizerRun(
                        arena, options, CSIMD_F32, initial: [Double](repeating: 0.5, count: 70), shadow: type)
                    for i in 0..<70 { run.gradient[i] = i == place ? .nan : i == 69 - place ? -.infinity : 0 }
                    #expect(run.step(1) == CSIMD_OK)
                    for i in 0..<70 {
                        let value = run.shadow![i]
                        let ok = i == place ? value.isNaN : value == (i == 69 - place ? .infinity : 0.5)
                        #expect(ok, "\(kernels) type \(type.rawValue), NaN at \(place): \(value) at \(i)")
                    }
                }
            }
        }
    }

    @Test func smallUpdatesOfABFloat16ShadowAreNotLost() {
        let options = OptimizerOptions(kind: .sgd, learningRate: 1e-5)
        forEachRow { kernels in
            let arena = BufferArena()
            defer { arena.release() }
            let run = OptimizerRun(
                arena, options, CSIMD_F32, initial: [Double](repeating: 1, count: 17), shadow: CSIMD_BF16)
            for i in 0..<17 { run.gradient[i] = 1 }
            for step in 1...400 { #expect(run.step(step) == CSIMD_OK) }
            for i in 0..<17 {
                let ok = abs(run.parameter[i] - 0.996) <= 400 * 0x1p-25  // half an ulp below 1 a step
                #expect(ok, "\(kernels): \(run.parameter[i])")
                #expect(run.shadow![i] == 0.99609375, "\(kernels): \(run.shadow![i])")
            }
        }
    }

    /// The order is: unscale, then clip. NaN and infinities are not hidden by the clamp.
    @Test func clippingByValueComesAfterUnscaling() {
        let options = OptimizerOptions(
            kind: .sgd, learningRate: 1, gradientScale: 0.5, clipCoefficient: 0.1, clipValue: 2)
        forEachRow { kernels in
            let arena = BufferArena()
            defer { arena.release() }
            let run = OptimizerRun(arena, options, CSIMD_F32, initial: [Double](repeating: 0, count: 7))
            for (i, g) in [1, 3.9, 4.1, -4.1, -1e30, .infinity, .nan].enumerated() { run.gradient[i] = g }
            #expect(run.step(1) == CSIMD_OK)
            #expect(run.parameter.values.dropLast() == [-0.5, -Double(Float(3.9)) / 2, -2, 2, 2, -2], "\(kernels)")
            #expect(run.parameter[6].isNaN, "\(kernels)")
        }
    }

    /// An element's bits depend on neither its position nor the number of threads.
    @Test func positionsAndThreadCountsChangeNoBit() {
        for (index, options) in OptimTests.variants.enumerated() {
            for type in TypedBuffer.allTypes {
                forEachRow { kernels in
                    let arena = BufferArena()
                    defer { arena.release() }
                    var random = TestRandom(25)
                    let period = 13, count = 40_000
                    let initial = (0..<period).map { _ in random.normal() },
                        gradients = (0..<period).map { _ in random.normal() }
                    let runs = (1...3).map { _ in
                        OptimizerRun(arena, options, type, initial: (0..<count).map { initial[$0 % period] })
                    }
                    for (run, threads) in zip(runs, [1, 2, 3] as [Int32]) {
                        for i in 0..<count { run.gradient[i] = gradients[i % period] }
                        withThreads(threads) { for step in 1...2 { _ = run.step(step) } }
                    }
                    for run in runs {
                        #expect(run.parameter.hasSameBits(as: runs[0].parameter), "\(kernels) variant \(index)")
                        let periodic = (period..<count).allSatisfy { run.parameter[$0] == run.parameter[$0 % period] }
                        #expect(periodic, "\(kernels) variant \(index) type \(type.rawValue)")
                    }
                }
            }
        }
    }

    @Test func badArgumentsAreRefused() {
        let arena = BufferArena()
        defer { arena.release() }
        let adam = OptimizerRun(arena, .init(kind: .adam), CSIMD_F32, initial: [1, 2])
        #expect(adam.step(0) == CSIMD_INVALID_ARGUMENT)
        let adagrad = OptimizerRun(arena, .init(kind: .adagrad), CSIMD_F32, initial: [1, 2])
        #expect(adagrad.step(0) == CSIMD_INVALID_ARGUMENT && adagrad.parameter.values == [1, 2])
        let shadowOf16 = OptimizerRun(arena, .init(kind: .sgd), CSIMD_F16, initial: [1, 2], shadow: CSIMD_BF16)
        #expect(shadowOf16.step(1) == CSIMD_INVALID_ARGUMENT)
        let wideShadow = OptimizerRun(arena, .init(kind: .sgd), CSIMD_F32, initial: [1, 2], shadow: CSIMD_F64)
        #expect(wideShadow.step(1) == CSIMD_INVALID_ARGUMENT)
        let empty = OptimizerRun(arena, .init(kind: .adam), CSIMD_F32, initial: [])
        #expect(empty.step(1) == CSIMD_OK)
        #expect(adam.parameter.values == [1, 2] && shadowOf16.parameter.values == [1, 2])
    }
}
