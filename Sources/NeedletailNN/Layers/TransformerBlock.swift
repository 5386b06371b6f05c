// One block of a transformer: attention, then a feed-forward layer, each on normalised rows and added to them.
public import NeedletailTensor

/// What a feed-forward layer does between its products.
public enum FeedForwardKind: String, Codable, Sendable, CaseIterable {
    /// x Phi(x), the exact form.
    case gelu
    /// GELU's approximation by tanh, as in GPT-2.
    case geluTanh
    /// Gated by silu, without biases.
    case swiGLU
}

/// How rows are normalised.
public enum NormKind: String, Codable, Sendable, CaseIterable {
    /// `LayerNorm`.
    case layer
    /// `RMSNorm`.
    case rms

    func makeLayer(_ size: Int, bias: Bool, epsilon: Double) -> any Layer {
        self == .layer ? LayerNorm(size, bias: bias, epsilon: epsilon) : RMSNorm(size, epsilon: epsilon)
    }
}

/// y = activation(x A^T + a) B^T + b: the feed-forward layer of a transformer, named as in GPT-2.
///
/// Shapes: x [..., width], A `c_fc.weight` [hidden, width], B `c_proj.weight` [width, hidden], y as x.
public final class FeedForward: Module, Layer {
    /// The first product, with GELU where that is exact.
    public let inner: Linear
    /// The second product.
    public let output: Linear
    private let isApproximate: Bool

    /// Makes a layer with `.gelu` or `.geluTanh`.
    public init(
        _ width: Int, hidden: Int, kind: FeedForwardKind = .gelu, bias: Bool = true,
        using generator: inout SeededGenerator
    ) {
        require(kind != .swiGLU, "FeedForward: use SwiGLU for .swiGLU")
        isApproximate = kind == .geluTanh
        inner = Linear(width, hidden, bias: bias, activation: isApproximate ? .identity : .gelu, using: &generator)
        output = Linear(hidden, width, bias: bias, using: &generator)
    }

    public override func members() -> [ModuleMember] { [.module("c_fc", inner), .module("c_proj", output)] }

    /// y for `x`, by the formula above.
    ///
    /// In training, with exact GELU, backward keeps the sums before it alone (see `geluFeedForward`); not where the two
    /// layers have adapters.
    public func forward(_ x: Tensor) -> Tensor {
        let hasAdapters = inner.adapter != nil || output.adapter != nil
        if isRecordingGradients && !isApproximate && !hasAdapters {
            let y = geluFeedForward(
                x, innerWeight: inner.weight.borrowedValue, innerBias: inner.bias?.borrowedValue,
                outputWeight: output.weight.borrowedValue,
                outputBias: output.bias?.borrowedValue, showing: inner.outputObserver)
            return output.observed(y)
        }
        let hidden = inner(x)
        return output(isApproximate ? hidden.geluTanh() : hidden)
    }
}

/// The sizes and kinds of a transformer's block.
public struct TransformerBlockOptions: Sendable {
    /// Elements of a row.
    public var width: Int
    /// Heads of queries, and of keys and values (nil: as many).
    public var heads: Int, keyHeads: Int?
    /// Elements of a row between the feed-forward layer's products; nil for four widths.
    public var hidden: Int?
    /// Whether a row sees itself and those before it only.
    public var isCausal = true
    /// The share of what attention and feed-forward layer add that is dropped while training.
    public var dropout = 0.0
    /// Whether layers have biases.
    public var bias = true
    /// The feed-forward layer's activation.
    public var feedForward = FeedForwardKind.gelu
    /// How rows are normalised.
    public var norm = NormKind.layer
    /// What norms add to the variance.
    public var epsilon = 1e-5
    /// Rotary positions; nil for none.
    public var angles: RotaryAngles?

    /// Options with the defaults above.
    public init(width: Int, heads: Int) { (self.width, self.heads) = (width, heads) }
}

/// x + attention(norm(x)), and to that its feed-forward layer of norm: the block of GPT-2 (Llama's with RMS norm, SwiGLU and
/// rotary positions).
///
/// Shapes: x and y [batch, rows, width]. Names: `ln_1`, `attn`, `ln_2`, `mlp`.
public final class TransformerBlock: Module, Layer {
    /// Before attention.
    public let firstNorm: any Layer
    /// Rows look at rows.
    public let attention: MultiheadAttention
    /// Before the feed-forward layer.
    public let secondNorm: any Layer
    /// Each row for itself.
    public let feedForward: any Layer
    /// Drops of what attention adds.
    public let attentionDropout: Dropout
    /// Drops of what the feed-forward layer adds.
    public let feedForwardDropout: Dropout

    /// Makes a block.
    public init(_ options: TransformerBlockOptions, using generator: inout SeededGenerator) {
        let o = options, hidden = o.hidden ?? 4 * o.width
        firstNorm = o.norm.makeLayer(o.width, bias: o.bias, epsilon: o.epsilon)
        attention = MultiheadAttention(
            o.width, heads: o.heads, keyHeads: o.keyHeads, isCausal: o.isCausal, bias: o.bias, angles: o.angles,
            using: &generator)
        secondNorm = o.norm.makeLayer(o.width, bias: o.bias, epsilon: o.epsilon)
        feedForward =
            o.feedForward == .swiGLU
            ? SwiGLU(o.width, hidden: hidden, using: &generator)
            : FeedForward(o.width, hidden: hidden, kind: o.feedForward, bias: o.bias, using: &generator)
        attentionDropout = Dropout(o.dropout, using: &generator)
        feedForwardDropout = Dropout(o.dropout, using: &generator)
    }

    public override func members() -> [ModuleMember] {
        [
            .module("ln_1", firstNorm), .module("attn", attention), .module("ln_2", secondNorm),
            .module("mlp", feedForward), .module("drop_1", attentionDropout), .module("drop_2", feedForwardDropout),
        ]
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { forward(x, mask: nil, cache: nil) }

    /// y for `x`; mask and cache as in ``MultiheadAttention/forward(_:mask:cache:)``.
    public func forward(_ x: Tensor, mask: Tensor?, cache: KeyValueCache? = nil) -> Tensor {
        let normal = firstNorm(x)
        let seen = attention.calling { attention.observed(attention.forward(normal, mask: mask, cache: cache)) }
        let x = x + attentionDropout(seen)
        return x + feedForwardDropout(feedForward(secondNorm(x)))
    }
}
