// Optimizers on CSIMD and, one element at a time, by PyTorch's formulas: what the tests of the family "optim" compare.
import CSIMD
import Foundation

/// The options of one optimizer, with PyTorch's names spelled out.
struct OptimizerOptions {
    enum Kind { case sgd, adam, adamW, rmsprop, adagrad, lion }
    var kind: Kind
    var learningRate = 1e-2
    var weightDecay = 0.0
    var maximize = false
    var momentum = 0.0
    var dampening = 0.0
    var nesterov = false
    var beta1 = 0.9
    var beta2 = 0.999
    var epsilon = 1e-8
    var amsgrad = false
    var alpha = 0.99
    var centered = false
    var learningRateDecay = 0.0
    var gradientScale = 1.0
    var clipCoefficient = 1.0
    var clipValue = 0.0
    var rounding = CSIMD_ROUND_NEAREST

    /// What a step moves a parameter by at most, for gradients of at most 6: SGD's is taken relative to its gradient, Adam's,
    /// Adagrad's and Lion's is about the learning rate, RMSprop's that over the root of what a first gradient's square adds.
    var largestUpdate: Double {
        switch kind {
        case .sgd: learningRate * 6 / (1 - momentum)
        case .adam, .adamW, .adagrad, .lion: learningRate
        case .rmsprop: learningRate / (1 - alpha).squareRoot() / (1 - momentum)
        }
    }
}

/// One parameter under PyTorch 2.13's formulas, in its order of operations (torch.optim.sgd / adam / rmsprop / adagrad, the
/// single-tensor paths; Lion in the order of its authors' code), every operation rounded to `Value`: Float is what PyTorch computes in float32, Double the exact reference.
struct ScalarOptimizer<Value: BinaryFloatingPoint> {
    var parameter: Value
    var first: Value = 0
    var second: Value = 0
    var largest: Value = 0

    mutating func step(_ o: OptimizerOptions, gradient: Value, step: Int) {
        var g = gradient * Value(o.gradientScale)
        if o.clipValue > 0 {
            g = min(max(g, Value(-o.clipValue)), Value(o.clipValue))
        } else {
            g *= Value(o.clipCoefficient)
        }
        if o.maximize { g = -g }
        switch o.kind {
        case .sgd:
            if o.weightDecay != 0 { g += Value(o.weightDecay) * parameter }
            if o.momentum != 0 {
                first = step == 1 ? g : first * Value(o.momentum) + Value(1 - o.dampening) * g
                g = o.nesterov ? g + Value(o.momentum) * first : first
            }
            parameter += Value(-o.learningRate) * g
        case .adam, .adamW:
            if o.weightDecay != 0 {
                if o.kind == .adamW {
                    parameter *= Value(1 - o.learningRate * o.weightDecay)
                } else {
                    g += Value(o.weightDecay) * parameter
                }
            }
            let weight = 1 - o.beta1  // lerp
            first = weight < 0.5 ? first + Value(weight) * (g - first) : g - (g - first) * Value(1 - weight)
            second = second * Value(o.beta2) + Value(1 - o.beta2) * g * g
            if o.amsgrad { largest = max(largest, second) }
            let stepSize = o.learningRate / (1 - pow(o.beta1, Double(step)))
            let correction = sqrt(1 - pow(o.beta2, Double(step)))
            let denominator = (o.amsgrad ? largest : second).squareRoot() / Value(correction) + Value(o.epsilon)
            parameter += Value(-stepSize) * first / denominator
        case .rmsprop:
            if o.weightDecay != 0 { g += Value(o.weightDecay) * parameter }
            first = first * Value(o.alpha) + Value(1 - o.alpha) * g * g
            var square = first
            if o.centered {
                second += Value(1 - o.alpha) * (g - second)
                square -= second * second
            }
            let direction = g / (square.squareRoot() + Value(o.epsilon))
            largest = Value(o.momentum) * largest + direction
            parameter += Value(-o.learningRate) * largest
        case .adagrad:
            if o.weightDecay != 0 { g += Value(o.weightDecay) * parameter }
            first += g * g
            let rate = o.learningRate / (1 + Double(step - 1) * o.learningRateDecay)
            parameter += Value(-rate) * g / (first.squareRoot() + Value(o.epsilon))
        case .lion:
            parameter *= Value(1 - o.learningRate * o.weightDecay)
            let mean = first * Value(o.beta1) + Value(1 - o.beta1) * g
            parameter += Value(-o.learningRate) * (mean > 0 ? 1 : mean < 0 ? -1 : mean)
            first = first * Value(o.beta2) + Value(1 - o.beta2) * g
        }
    }
}

/// Buffers of one run of an optimizer on CSIMD.
struct OptimizerRun {
    let options: OptimizerOptions
    let type: csimd_type
    let parameter: TypedBuffer
    let gradient: TypedBuffer
    let first: TypedBuffer
    let second: TypedBuffer
    let largest: TypedBuffer
    let shadow: TypedBuffer?
    let compensation: TypedBuffer

    init(
        _ arena: BufferArena, _ options: OptimizerOptions, _ type: csimd_type, initial: [Double],
        shadow shadowType: csimd_type? = nil
    ) {
        self.options = options
        self.type = type
        let state = type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32
        let zeros = [Double](repeating: 0, count: initial.count)
        parameter = arena.make(type, initial)
        gradient = arena.make(state, zeros)
        first = arena.make(state, zeros)
        second = arena.make(state, zeros)
        largest = arena.make(state, zeros)
        compensation = arena.make(CSIMD_F32, zeros)
        shadow = shadowType.map { arena.make($0, count: initial.count) }
    }

    /// All that a step may change.
    var state: [TypedBuffer] { [parameter, first, second, largest, compensation] + (shadow.map { [$0] } ?? []) }

    /// One step; `key` and `firstIndex` are for stochastic rounding.
    func step(_ step: Int, lost: UnsafeMutablePointer<Int>? = nil, key: UInt64 = 0, firstIndex: Int = 0) -> csimd_status
    {
        var arguments = csimd_optimizer_args(
            type: type, count: parameter.count, parameter: parameter.pointer,
            gradient: UnsafeRawPointer(gradient.pointer),
            gradient_scale: options.gradientScale, clip_coefficient: options.clipCoefficient,
            clip_value: options.clipValue, shadow: shadow?.pointer, shadow_type: shadow?.type ?? CSIMD_F32,
            learning_rate: options.learningRate, weight_decay: options.weightDecay, maximize: options.maximize,
            rounding: options.rounding, random_key: key, first_index: firstIndex,
            compensation: options.rounding == CSIMD_ROUND_KAHAN
                ? compensation.pointer.assumingMemoryBound(to: Float.self) : nil,
            updates_lost: lost)
        switch options.kind {
        case .sgd:
            return csimd_sgd_step(
                &arguments, options.momentum == 0 ? nil : first.pointer, options.momentum, options.dampening,
                options.nesterov, step == 1)
        case .adam, .adamW:
            return csimd_adam_step(
                &arguments, first.pointer, second.pointer, options.amsgrad ? largest.pointer : nil, options.beta1,
                options.beta2, options.epsilon, options.kind == .adamW, UInt64(step))
        case .rmsprop:
            return csimd_rmsprop_step(
                &arguments, first.pointer, options.centered ? second.pointer : nil,
                options.momentum == 0 ? nil : largest.pointer, options.alpha, options.epsilon, options.momentum)
        case .adagrad:
            return csimd_adagrad_step(
                &arguments, first.pointer, options.learningRateDecay, options.epsilon, UInt64(step))
        case .lion: return csimd_lion_step(&arguments, first.pointer, options.beta1, options.beta2)
        }
    }
}
