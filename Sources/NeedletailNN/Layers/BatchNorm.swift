// Batch normalisation as layers, with running statistics.
public import NeedletailTensor

/// What ``BatchNorm1d`` and ``BatchNorm2d`` have in common.
///
/// ```text
/// y = activation((x - mean) / sqrt(variance + epsilon) * weight + bias)
/// ```
///
/// In training mean and variance of each channel are those of the batch, and the running statistics move towards them:
/// running = (1 - momentum) running + momentum batch, with the unbiased variance. In evaluation they are the running ones,
/// and so they are while both parameters are frozen (``tracksStatisticsWhenFrozen``).
///
/// Shapes: x [N, channels, …], y as x; `weight` and `bias` [channels]. Names: `weight`, `bias`, `running_mean`, `running_var`,
/// `num_batches_tracked`, as PyTorch has them; the last three are buffers, float32 and int64 in every precision.
/// Precision: statistics and arithmetic are float32, one rounding to the type of x.
/// Initialisation: weight 1, bias 0, running mean 0 and variance 1.
/// Errors: one value a channel has no variance. In training it is an error as in PyTorch, which a ``Trainer`` throws, before its
/// first step where the last batch of an epoch would be such a one, and which traps elsewhere.
open class BatchNorm: Module, RunningStatisticsHolder {
    /// The factor of each channel.
    public let weight: Parameter
    /// What is added to each channel.
    public let bias: Parameter
    /// The running statistics and how many batches they have seen.
    public let runningMean: Buffer, runningVariance: Buffer, batchesTracked: Buffer
    /// What is added to the variance.
    public let epsilon: Double
    /// The share of a batch in the running statistics; nil for their mean over all batches, as PyTorch's `momentum=None`.
    public final var momentum: Double?
    /// Whether a frozen layer goes on normalising by the batch and moving its running statistics, as PyTorch's does.
    public final var tracksStatisticsWhenFrozen = false
    /// The function applied to the result.
    public let activation: Activation

    /// Makes a layer for so many channels.
    public init(_ channels: Int, epsilon: Double = 1e-5, momentum: Double? = 0.1, activation: Activation = .identity) {
        require(channels > 0, "BatchNorm(\(channels)): there must be at least one channel")
        require(
            epsilon > 0 && (0...1).contains(momentum ?? 0),
            "BatchNorm: epsilon \(epsilon) and momentum \(momentum ?? .nan), expected above 0 and 0 to 1")
        weight = Parameter(.ones([channels]))
        bias = Parameter(.zeros([channels]))
        runningMean = Buffer(.zeros([channels]))
        runningVariance = Buffer(.ones([channels]))
        batchesTracked = Buffer(.zeros([], dtype: .int64))
        self.epsilon = epsilon
        self.momentum = momentum
        self.activation = activation
    }

    open override func members() -> [ModuleMember] {
        [
            .parameter("weight", weight), .parameter("bias", bias), .buffer("running_mean", runningMean),
            .buffer("running_var", runningVariance), .buffer("num_batches_tracked", batchesTracked),
        ]
    }

    /// Whether mean and variance are those of the batch: in training mode, unless both parameters are frozen.
    public final var usesBatchStatistics: Bool {
        isTraining && (tracksStatisticsWhenFrozen || !(weight.isFrozen && bias.isFrozen))
    }

    /// Makes the running mean 0 and the running variance 1, of no batches.
    public final func resetStatistics() {
        replace(runningMean, by: .zeros(runningMean.value.shape))
        replace(runningVariance, by: .ones(runningVariance.value.shape))
        replace(batchesTracked, by: .zeros([], dtype: .int64))
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { forward(x, activation: activation) }

    func forward(_ x: Tensor, activation: Activation) -> Tensor {
        guard usesBatchStatistics else {
            return batchNormalization(
                x, mean: runningMean.value, variance: runningVariance.value, weight: weight.borrowedValue,
                bias: bias.borrowedValue,
                epsilon: epsilon, activation: activation)
        }
        guard x.count != weight.shape[0] || x.rank < 2 || x.shape[1] != weight.shape[0] else {
            SingleValueLayers.refuse(
                self, x.shape, unit: "channel",
                advice:
                    "in training leave out a last batch of one sample (a DataLoader's dropLast: true) or freeze the "
                    + "layer; to predict, call evaluate()")
            return x
        }
        let (y, statistics) = batchNormalization(
            x, weight: weight.borrowedValue, bias: bias.borrowedValue, epsilon: epsilon, activation: activation)
        let batches = batchesTracked.value.scalars(as: Int64.self)[0] + 1
        let correction = Double(statistics.count) / Double(statistics.count - 1)
        let share = momentum ?? 1 / Double(batches)
        move(runningMean, towards: statistics.mean, by: share)
        move(runningVariance, towards: statistics.variance.map { $0 * correction }, by: share)
        replace(batchesTracked, by: Tensor([batches], shape: []))
        return y
    }

    private func move(_ buffer: Buffer, towards values: [Double], by share: Double) {
        let kept = buffer.value.scalars(as: Double.self)
        replace(buffer, by: Tensor(zip(kept, values).map { (1 - share) * $0 + share * $1 }))
    }

    private func replace(_ buffer: Buffer, by tensor: Tensor) {
        do { try buffer.assign(tensor) } catch { fatalError("\(error)") }
    }
}

/// Batch normalisation of x [N, channels] or [N, channels, L]; see ``BatchNorm``.
public final class BatchNorm1d: BatchNorm, FusingLayer {
    override func forward(_ x: Tensor, activation: Activation) -> Tensor {
        require(x.rank == 2 || x.rank == 3, "BatchNorm1d: shape \(x.shape), expected [N, C] or [N, C, L]")
        return super.forward(x, activation: activation)
    }
}

/// Batch normalisation of images x [N, channels, H, W]; see ``BatchNorm``.
public final class BatchNorm2d: BatchNorm, FusingLayer {
    override func forward(_ x: Tensor, activation: Activation) -> Tensor {
        require(x.rank == 4, "BatchNorm2d: shape \(x.shape), expected [N, C, H, W]")
        return super.forward(x, activation: activation)
    }
}
