// Normalisation of channels by their statistics over a batch, or over groups of channels of one example. Axis 1 is the channels.

/// Statistics of a batch, by which ``batchNormalization(_:weight:bias:epsilon:activation:)`` normalised it.
public struct BatchStatistics: Sendable {
    /// The mean of each channel.
    public let mean: [Double]
    /// The mean squared difference from it; `variance · count / (count - 1)` is the unbiased estimate.
    public let variance: [Double]
    /// How many values a channel has.
    public let count: Int
}

/// activation((x - mean) / √(variance + ε) · weight + bias) with mean and variance of each channel over the batch.
///
/// Shapes: x [N, C, …], weight and bias [C], result as x. Of rank 4 it lies channels-last in memory.
/// Precision: arithmetic is float32 (float64 for float64), rounded once to the type of x. Statistics are right whatever the
/// values' offset and size, and a constant channel is normalised to 0 (docs/numerics.md has the bounds).
/// Gradients: with x̂ the normalised values and m values a channel: db = Σ dy, dw = Σ dy x̂,
/// dx = weight / √(variance + ε) · (dy - db / m - x̂ dw / m).
/// Errors: a channel of a single value traps: it has no variance.
/// - Returns: the result and the statistics, for running averages.
public func batchNormalization(
    _ x: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5,
    activation: Activation = .identity
) -> (result: Tensor, statistics: BatchStatistics) {
    checkNormalization("batchNormalization", x, weight, bias, channels: x.rank >= 2 ? x.shape[1] : 0)
    let plain = x.channelsLast()
    let layout = ColumnLayout(instances: 1, rows: plain.count / max(1, x.shape[1]), channels: x.shape[1])
    require(
        layout.rows > 1,
        "batchNormalization: shape \(x.shape) has \(layout.rows == 0 ? "no" : "one") value per channel to take statistics of, "
            + "expected more than one; in evaluation mean and variance are given")
    let statistics = ColumnStatistics(of: plain, layout, groups: layout.channels, epsilon: epsilon)
    let normalization = Normalization(
        name: "batchNormalization", layout: layout, groups: layout.channels, statistics: statistics,
        epsilon: epsilon, dependsOnInput: true)
    let result = normalization.apply(x, plain, weight, bias, activation)
    return (result, statistics.ofBatch(count: layout.rows))
}

/// activation((x - mean) / √(variance + ε) · weight + bias) with given mean and variance of each channel, as in evaluation.
///
/// Shapes: x [N, C, …], mean, variance, weight and bias [C], result as x.
/// Precision: as of the statistics of a batch. Gradients: dx = dy weight / √(variance + ε); none by mean and variance.
public func batchNormalization(
    _ x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor? = nil, bias: Tensor? = nil,
    epsilon: Double = 1e-5, activation: Activation = .identity
) -> Tensor {
    let channels = x.rank >= 2 ? x.shape[1] : 0
    checkNormalization("batchNormalization", x, weight, bias, channels: channels)
    require(
        mean.shape == [channels] && variance.shape == [channels],
        "batchNormalization: mean \(mean.shape) and variance \(variance.shape) of input \(x.shape), expected [\(channels)]"
    )
    let plain = x.channelsLast()
    let layout = ColumnLayout(instances: 1, rows: plain.count / max(1, channels), channels: channels)
    let statistics = ColumnStatistics(mean: mean.scalars(), variance: variance.scalars(), type: x.dtype)
    let normalization = Normalization(
        name: "batchNormalization", layout: layout, groups: channels, statistics: statistics, epsilon: epsilon,
        dependsOnInput: false)
    return normalization.apply(x, plain, weight, bias, activation)
}

/// activation((x - mean) / √(variance + ε) · weight + bias) with mean and variance of each example's groups of channels.
///
/// Shapes: x [N, C, …], weight and bias [C], groups divide C, result as x.
/// Precision: as of ``batchNormalization(_:weight:bias:epsilon:activation:)``. Gradients: as there, sums over a group.
/// Errors: a single example whose groups have one value each traps, as in PyTorch; of several such examples the result is the bias.
public func groupNormalization(
    _ x: Tensor, groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5,
    activation: Activation = .identity
) -> Tensor {
    let channels = x.rank >= 2 ? x.shape[1] : 0
    checkNormalization("groupNormalization", x, weight, bias, channels: channels)
    require(
        groups > 0 && channels > 0 && channels % groups == 0,
        "groupNormalization: \(groups) groups of the channels of shape \(x.shape), expected a divisor")
    let plain = x.channelsLast()
    let layout = ColumnLayout(
        instances: x.shape[0], rows: x.shape.dropFirst(2).reduce(1, *), channels: channels)
    require(
        layout.rows > 0 && x.count != groups,
        "groupNormalization: shape \(x.shape) has \(layout.rows == 0 ? "no" : "one") value per group of \(groups) to take "
            + "statistics of, expected more than one")
    let normalization = Normalization(
        name: "groupNormalization", layout: layout, groups: groups,
        statistics: ColumnStatistics(of: plain, layout, groups: groups, epsilon: epsilon), epsilon: epsilon,
        dependsOnInput: true)
    return normalization.apply(x, plain, weight, bias, activation)
}

private func checkNormalization(_ name: String, _ x: Tensor, _ weight: Tensor?, _ bias: Tensor?, channels: Int) {
    require(
        x.rank >= 2 && x.dtype.isFloatingPoint,
        "\(name): found \(x.dtype) of shape \(x.shape), expected a floating-point type and [N, C, …]")
    for (parameter, what) in [(weight, "weight"), (bias, "bias")] {
        guard let parameter else { continue }
        require(
            parameter.shape == [channels],
            "\(name): \(what) \(parameter.shape) of input \(x.shape), expected [\(channels)]")
    }
}

/// What each channel of each instance is normalised by.
private struct Normalization: Sendable {
    let name: StaticString
    let layout: ColumnLayout
    let groups: Int
    let statistics: ColumnStatistics
    /// x̂ = (unit x - mean - correction) inverse.
    let inverse: [Double]
    /// Whether mean and variance are the input's own.
    let dependsOnInput: Bool

    init(
        name: StaticString, layout: ColumnLayout, groups: Int, statistics: ColumnStatistics, epsilon: Double,
        dependsOnInput: Bool
    ) {
        (self.name, self.layout, self.groups) = (name, layout, groups)
        (self.statistics, self.dependsOnInput) = (statistics, dependsOnInput)
        inverse = statistics.inverses(epsilon)
    }

    /// The result for x, which is `plain` channels-last.
    func apply(
        _ x: Tensor, _ plain: Tensor, _ weight: Tensor?, _ bias: Tensor?, _ activation: Activation
    ) -> Tensor {
        let channels = layout.channels
        let ones = [Double](repeating: 1, count: channels), zeros = [Double](repeating: 0, count: channels)
        let factor = weight?.detached().scalars(as: Double.self) ?? ones
        let offset = bias?.detached().scalars(as: Double.self) ?? zeros
        let y = normalized(plain, factor, offset, relu: activation == .relu)
        let activated = activation == .gelu ? Kernels.unary(.gelu, y) : y
        var result = activated.viewedChannelsFirst()
        let nodes = [x.node, weight?.node, bias?.node]
        if GradientMode.isRecording, nodes.contains(where: { $0 != nil }) {
            let types = [x.dtype, weight?.dtype, bias?.dtype]
            let used = UsedParameters(of: [x] + (weight.map { [$0] } ?? []))
            result.node = OperationNode(name, inputs: nodes, using: used) { dz in
                gradients(plain, dz.channelsLast(), factor, nodes, types)
            }
        }
        let inputs = [x] + [weight, bias].compactMap { $0 }
        if let observer = GradientMode.current.observer {
            withoutObserver {
                observer.forward(name, inputs, result, computed: true, sequence: result.node?.sequence)
            }
        }
        return result.activatedChannelsLast(activation, of: result, saved: activation == .gelu ? y : activated)
    }

    private func normalized(_ x: Tensor, _ factor: [Double], _ offset: [Double], relu: Bool) -> Tensor {
        let scale = inverse.indices.map { inverse[$0] * factor[$0 % layout.channels] }
        let shift = scale.indices.map { offset[$0 % layout.channels] - statistics.correction[$0] * scale[$0] }
        let operand = statistics.operand(x, layout, inFloat64: !fitsFloat32(scale))
        let y = Tensor(uninitialized: x.shape, operand.dtype)
        Kernels.normalize(
            operand, layout, mean: statistics.mean, scale: scale, shift: shift, relu: relu, into: y)
        return y.cast(to: x.dtype)
    }

    /// Whether float32 has room for the distances from the means and for these factors of theirs.
    private func fitsFloat32(_ factors: [Double]) -> Bool {
        statistics.mean.allSatisfy { abs($0) < 0x1p100 }
            && inverse.allSatisfy { (0x1p-30...0x1p100).contains($0) }
            && factors.allSatisfy { $0 == 0 || (0x1p-100...0x1p100).contains(abs($0)) }
    }

    private func gradients(
        _ x: Tensor, _ dz: Tensor, _ factor: [Double], _ nodes: [GradientNode?], _ types: [DType?]
    ) -> [Tensor?] {
        let narrow = gradientFactors(x, dz, factor)
        let inFloat64 = x.dtype != .float64 && !(fitsFloat32(narrow.a) && narrow.isOrdinary)
        let wide = statistics.operand(x, layout, inFloat64: inFloat64), slopes = dz.cast(to: wide.dtype)
        let factors = inFloat64 ? gradientFactors(wide, slopes, factor) : narrow
        var dx: Tensor?
        if nodes[0] != nil {
            let target = Tensor(uninitialized: x.shape, wide.dtype)
            Kernels.normalizeGradient(
                wide, slopes, layout, mean: statistics.mean, a: factors.a, b: factors.b, k: factors.k, into: target)
            dx = statistics.operand(target, layout, inFloat64: false).cast(to: x.dtype).viewedChannelsFirst()
        }
        // A parameter's gradient stays as wide as it accumulates.
        func own(_ values: [Double], _ index: Int) -> Tensor? {
            guard let dtype = types[index],
                let target = GradientTarget(nodes[index], shape: [values.count], dtype.accumulationType)
            else { return nil }
            let gradient = Tensor(values).cast(to: dtype.accumulationType)
            if target.accumulate {
                Kernels.binary(.add, target.buffer, gradient, into: target.buffer)
            } else {
                Kernels.convert(gradient, to: target.buffer)
            }
            return target.remaining(dtype)
        }
        return [dx, own(factors.dw, 1), own(factors.db, 2)]
    }

    /// dx = unit (a dz + b (unit x - mean) + k), and the gradients of weight and bias.
    private struct GradientFactors {
        var a: [Double], b: [Double], k: [Double], dw: [Double], db: [Double]
        /// Whether nothing is near float32's largest value, so that no sum has left it and no term of dx will.
        var isOrdinary = true
    }

    private func gradientFactors(_ x: Tensor, _ dz: Tensor, _ factor: [Double]) -> GradientFactors {
        let channels = layout.channels, size = channels / groups, count = Double(layout.rows * size)
        let operand = statistics.operand(x, layout, inFloat64: false)
        var (sum, product) = Kernels.normalizeSums(operand, dz, layout, mean: statistics.mean)
        for index in sum.indices { product[index] -= statistics.correction[index] * sum[index] }
        let zeros = [Double](repeating: 0, count: layout.values), none = [Double](repeating: 0, count: channels)
        var result = GradientFactors(a: zeros, b: zeros, k: zeros, dw: none, db: none)
        for first in stride(from: 0, to: layout.values, by: size) {
            let own = first..<first + size
            let ofSums = own.reduce(0) { $0 + factor[$1 % channels] * sum[$1] } / count
            let ofProducts = own.reduce(0) { $0 + factor[$1 % channels] * product[$1] } / count
            for index in own {
                let (channel, inverse) = (index % channels, inverse[index])
                result.dw[channel] += product[index] * inverse
                result.db[channel] += sum[index]
                result.a[index] = factor[channel] * inverse
                let sizes = [sum[index], product[index], inverse * ofSums, inverse * ofProducts * inverse]
                if !sizes.allSatisfy({ abs($0) < 0x1p100 }) { result.isOrdinary = false }
                guard dependsOnInput else { continue }
                result.b[index] = -(ofProducts * inverse) * inverse * inverse
                result.k[index] = -inverse * ofSums - result.b[index] * statistics.correction[index]
            }
        }
        return result
    }
}
