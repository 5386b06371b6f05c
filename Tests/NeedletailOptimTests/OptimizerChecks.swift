// What every kind of optimizer must pass beside its trajectory.
import NeedletailOptim
import NeedletailTensor
import Testing

/// Named parameters of ones: a vector, a matrix, and one without elements.
func makeParameters() -> [Parameter] {
    let parameters = [Parameter(.ones([2])), Parameter(.ones([1, 3])), Parameter(.ones([0]))]
    for (parameter, name) in zip(parameters, ["layer.weight", "layer.bias", "empty"]) { parameter.name = name }
    return parameters
}

/// Steps with gradients that grow; one parameter may be left without.
func train(_ optimizer: Optimizer, steps: Int, skipping skipped: Int? = nil) {
    for step in 0..<steps {
        optimizer.zeroGradients()
        for (index, parameter) in optimizer.parameters.enumerated() where index != skipped {
            parameter.accumulate(gradient: .full(parameter.shape, Double(step + index + 1)))
        }
        optimizer.step()
    }
}

/// State saved after four steps and put into another optimizer gives the bits of the one that went on.
func checkResume(_ make: ([Parameter]) -> Optimizer) throws {
    let whole = makeParameters()
    let optimizer = make(whole)
    train(optimizer, steps: 4, skipping: 1)

    let resumed = makeParameters()
    for (target, source) in zip(resumed, whole) { try target.assign(source.master) }
    let second = make(resumed)
    let saved = Dictionary(
        uniqueKeysWithValues: optimizer.stateTensors().map {
            ($0.name, Tensor(bytes: $0.tensor.bytes, shape: $0.tensor.shape, dtype: $0.tensor.dtype))
        })
    try second.load(stateTensors: saved)
    let before = saved.mapValues(\.bytes)
    train(optimizer, steps: 3)
    train(second, steps: 3)
    for (a, b) in zip(whole, resumed) {
        #expect(a.master.bytes == b.master.bytes, "\(type(of: optimizer)) \(a.name)")
    }
    for (a, b) in zip(optimizer.stateTensors(), second.stateTensors()) {
        #expect(a.name == b.name && a.tensor.bytes == b.tensor.bytes, "\(type(of: optimizer)) \(a.name)")
    }
    #expect(saved.mapValues(\.bytes) == before, "loading must copy: steps write state in place")
}

/// 400 updates of about 1e-5 under a gradient of 1 on a bfloat16 weight of 1, whose distance to the next value below is
/// 2^-8: kept in bf16-mixed by the float32 master, and in bf16-true by Kahan's compensation; lost in bf16-true to nearest.
///
/// - Parameter exact: the weight after them in exact arithmetic. Tolerances: half a float32 ulp below 1 a step, 2^-25, and
///   4 u relative for the update; with Kahan also half an ulp of the bfloat16.
func checkSmallUpdatesAreKept(exact: Double, _ make: ([Parameter]) -> Optimizer) {
    for (storage, rounding) in [
        (DType.float32, UpdateRounding.nearest), (.bfloat16, .kahan), (.bfloat16, .nearest),
    ] {
        let weight = Parameter(.ones([17]))
        weight.setTypes(storage: storage, compute: .bfloat16)
        let optimizer = make([weight])
        optimizer.updateRounding = rounding
        for _ in 0..<400 {
            optimizer.zeroGradients()
            weight.accumulate(gradient: .ones([17]))
            optimizer.step()
        }
        let isLost = storage == .bfloat16 && rounding == .nearest
        let expected = isLost ? 1 : exact
        let tolerance = isLost ? 0 : 400 * 0x1p-25 + 4 * 0x1p-24 * (1 - exact) + (rounding == .kahan ? 0x1p-9 : 0)
        for value in weight.master.scalars(as: Double.self) {
            let ok = abs(value - expected) <= tolerance
            #expect(ok, "\(type(of: optimizer)) \(storage) \(rounding): \(value), expected \(expected)")
        }
        let shadow = weight.value.scalars(as: BFloat16.self)
        #expect(shadow == weight.master.cast(to: .bfloat16).scalars(as: BFloat16.self), "the shadow is its rounding")
    }
}

/// One-cycle sets the momentum, or what takes its place.
func checkOneCycle(_ optimizer: Optimizer) throws {
    let scheduler = try Scheduler(OneCycle(steps: 10), of: optimizer)
    func momentum() throws -> Double { try #require(optimizer.groups[0].options as? any MomentumOptions).momentum }
    #expect(try momentum() == 0.95)
    for _ in 0..<2 { scheduler.stepWasApplied() }
    #expect(try abs(momentum() - 0.85) <= 1e-15)
}

/// Unscaling and clipping are part of the step: scaled gradients, clipped by value, give the bits of clipped ones; clipped by
/// a norm to an eighth (a coefficient that is exact), those of an eighth.
func checkClipsAndUnscales(_ make: ([Parameter]) -> Optimizer) {
    // (2 + 1e-6 / 8) / (16 + 1e-6) is an eighth to a few float64 roundings, and in float32 exactly.
    for (clipping, clipped) in [
        (GradientClipping.value(0.5), [0.25, -0.5, 0.5] as [Float]),
        (.norm(2 + 1e-6 / 8, order: .infinity), [0.03125, -0.25, 2]),
    ] {
        let whole = Parameter(.ones([3])), small = Parameter(.ones([3]))
        let first = make([whole]), second = make([small])
        for _ in 0..<3 {
            first.zeroGradients()
            second.zeroGradients()
            whole.accumulate(gradient: Tensor([0.25, -2, 16].map { Float($0) * 65536 }))
            small.accumulate(gradient: Tensor(clipped))
            let check = first.checkGradients(gradientScale: 0x1p-16, order: clipping.order)
            first.step(check: check, clipping: clipping)
            second.step()
        }
        #expect(whole.master.bytes == small.master.bytes, "\(type(of: first)) \(clipping)")
        for (a, b) in zip(first.stateTensors(), second.stateTensors()) {
            #expect(a.tensor.bytes == b.tensor.bytes, "\(type(of: first)) \(clipping) \(a.name)")
        }
    }
}
