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
/// Precision: statistics and arithmetic are float32 (float64 for float64), rounded once to the type of x.
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
    let (mean, variance) = Kernels.moments(plain, layout)
    let normalization = Normalization(
        name: "batchNormalization", layout: layout, groups: layout.channels, mean: mean,
        inverse: variance.map { 1 / ($0 + epsilon).squareRoot() }, dependsOnInput: true)
    let result = normalization.apply(x, plain, weight, bias, activation)
    return (result, BatchStatistics(mean: mean, variance: variance, count: layout.rows))
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
    let normalization = Normalization(
        name: "batchNormalization", layout: layout, groups: channels, mean: mean.scalars(),
        inverse: variance.scalars(as: Double.self).map { 1 / ($0 + epsilon).squareRoot() }, dependsOnInput: false)
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
    var (mean, inverse) = Kernels.moments(plain, layout)
    let size = channels / groups
    for first in stride(from: 0, to: mean.count, by: size) {
        let own = first..<first + size
        let middle = own.reduce(0) { $0 + mean[$1] } / Double(size)
        let spread = own.reduce(0) { $0 + inverse[$1] + (mean[$1] - middle) * (mean[$1] - middle) } / Double(size)
        for index in own { (mean[index], inverse[index]) = (middle, 1 / (spread + epsilon).squareRoot()) }
    }
    let normalization = Normalization(
        name: "groupNormalization", layout: layout, groups: groups, mean: mean, inverse: inverse, dependsOnInput: true)
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
    let mean: [Double]
    /// 1 / √(variance + ε).
    let inverse: [Double]
    /// Whether mean and variance are the input's own.
    let dependsOnInput: Bool

    /// The result for x, which is `plain` channels-last.
    func apply(
        _ x: Tensor, _ plain: Tensor, _ weight: Tensor?, _ bias: Tensor?, _ activation: Activation
    ) -> Tensor {
        let channels = layout.channels
        let ones = [Double](repeating: 1, count: channels), zeros = [Double](repeating: 0, count: channels)
        let factor = weight?.detached().scalars(as: Double.self) ?? ones
        let offset = bias?.detached().scalars(as: Double.self) ?? zeros
        let scale = mean.indices.map { inverse[$0] * factor[$0 % channels] }
        let y = Tensor(uninitialized: plain.shape, x.dtype)
        Kernels.normalize(
            plain, layout, mean: mean, scale: scale, shift: mean.indices.map { offset[$0 % channels] },
            relu: activation == .relu, into: y)
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

    private func gradients(
        _ x: Tensor, _ dz: Tensor, _ factor: [Double], _ nodes: [GradientNode?], _ types: [DType?]
    ) -> [Tensor?] {
        let channels = layout.channels, size = channels / groups
        let (sum, product) = Kernels.normalizeSums(x, dz, layout, mean: mean)
        var a = [Double](repeating: 0, count: layout.values)
        var (b, k) = (a, a)
        var dw = [Double](repeating: 0, count: channels)
        var db = dw
        let count = Double(layout.rows * size)
        for first in stride(from: 0, to: layout.values, by: size) {
            let own = first..<first + size
            let ofSums = own.reduce(0) { $0 + factor[$1 % channels] * sum[$1] } / count
            let ofProducts = own.reduce(0) { $0 + factor[$1 % channels] * product[$1] } / count
            for index in own {
                let (channel, inverse) = (index % channels, inverse[index])
                dw[channel] += product[index] * inverse
                db[channel] += sum[index]
                a[index] = factor[channel] * inverse
                guard dependsOnInput else { continue }
                b[index] = -inverse * inverse * inverse * ofProducts
                k[index] = -inverse * ofSums
            }
        }
        var dx: Tensor?
        if nodes[0] != nil {
            let target = Tensor(uninitialized: x.shape, x.dtype)
            Kernels.normalizeGradient(x, dz, layout, mean: mean, a: a, b: b, k: k, into: target)
            dx = target.viewedChannelsFirst()
        }
        // A parameter's gradient stays as wide as it accumulates.
        func own(_ values: [Double], _ index: Int) -> Tensor? {
            guard let node = nodes[index], let dtype = types[index] else { return nil }
            return Tensor(values).cast(to: (node as? LeafNode)?.dtype ?? dtype)
        }
        return [dx, own(dw, 1), own(db, 2)]
    }
}
