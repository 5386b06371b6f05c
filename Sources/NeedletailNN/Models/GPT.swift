// A language model of the GPT kind.
public import NeedletailTensor

/// Rows of tokens to rows of the width: embedding, blocks, a last norm; the head is the embedding's table (tied).
///
/// Names are GPT-2's, as in transformers: `wte.weight`, `wpe.weight`, `h.0.ln_1.weight`, `h.0.attn.c_attn.weight`, ….
/// Initialisation: N(0, 0.02²), products that are added to rows N(0, 0.02² / (2 layers)), biases zero, as GPT-2.
public final class GPT: Module, Layer {
    /// Sizes and kinds.
    public let configuration: GPTConfiguration
    /// Vectors of tokens, and the head.
    public let tokens: Embedding
    /// Vectors of positions, where these are learned.
    public let positions: Embedding?
    /// Drops of the sum of both.
    public let dropout: Dropout
    /// The blocks.
    public let blocks: [TransformerBlock]
    /// After the blocks.
    public let norm: any Layer
    /// Whether each block's activations are computed again in backward instead of being kept.
    public var recomputesActivations = false

    /// A model with random weights.
    public init(_ configuration: GPTConfiguration, using generator: inout SeededGenerator) {
        if let problem = configuration.problem { stop("GPT: \(problem)") }
        let c = configuration
        self.configuration = c
        tokens = Embedding(c.vocabulary, c.width, deviation: 0.02, using: &generator)
        positions =
            c.positions == .learned ? Embedding(c.context, c.width, deviation: 0.02, using: &generator) : nil
        dropout = Dropout(c.dropout, using: &generator)
        var options = TransformerBlockOptions(width: c.width, heads: c.heads)
        (options.keyHeads, options.hidden, options.dropout, options.bias) = (c.keyHeads, c.hidden, c.dropout, c.bias)
        (options.feedForward, options.norm, options.epsilon) = (c.feedForward, c.norm, c.epsilon)
        options.angles =
            c.positions == .rotary ? RotaryAngles(headSize: c.width / c.heads, positions: c.context) : nil
        blocks = (0..<c.layers).map { _ in TransformerBlock(options, using: &generator) }
        norm = c.norm.makeLayer(c.width, bias: c.bias, epsilon: c.epsilon)
        super.init()
        let added = 0.02 / Double(2 * max(1, c.layers)).squareRoot()
        for case (let name, let layer as Linear) in namedModules() {
            let isAdded = name.hasSuffix("c_proj") || name.hasSuffix("down_proj")
            let values = Tensor.normal(layer.weight.shape, deviation: isAdded ? added : 0.02, using: &generator)
            try? layer.weight.assign(values)
            if let bias = layer.bias { try? bias.assign(.zeros(bias.shape)) }
        }
    }

    public override func members() -> [ModuleMember] {
        [.module("wte", tokens)] + (positions.map { [.module("wpe", $0)] } ?? []) + [.module("drop", dropout)]
            + blocks.enumerated().map { .module("h.\($0.offset)", $0.element) } + [.module("ln_f", norm)]
    }

    /// Rows [batch, rows, width] after the last norm, for tokens [batch, rows].
    public func forward(_ x: Tensor) -> Tensor { forward(x, caches: nil) }

    /// The same; with `caches`, one a block, tokens are those after the ones in them.
    public func forward(_ x: Tensor, caches: [KeyValueCache]?) -> Tensor {
        require(x.rank == 2, "GPT: found tokens of shape \(x.shape), expected [batch, rows]")
        let first = caches?.first?.count ?? 0, rows = x.shape[1]
        require(
            first + rows <= configuration.context,
            "GPT: \(first + rows) rows, expected at most the context, \(configuration.context)")
        var y = tokens(x)
        if let positions { y = y + positions.weight.borrowedValue.slice(axis: 0, first..<first + rows) }
        y = dropout(y)
        for (index, block) in blocks.enumerated() {
            if recomputesActivations && caches == nil {
                y = block.checkpointed(y) { block($0) }
            } else {
                let input = y
                y = block.calling { block.observed(block.forward(input, mask: nil, cache: caches?[index])) }
            }
        }
        return norm(y)
    }

    /// The logits [batch, rows, vocabulary] of rows that `forward` gave.
    public func logits(_ rows: Tensor) -> Tensor { linear(rows, weight: tokens.weight.borrowedValue) }

    /// The mean cross-entropy of the tokens that follow: targets as tokens, [batch, rows]; -100 is left out.
    ///
    /// The logits of all rows never exist together.
    /// - Throws: `TargetError` for a target outside the vocabulary.
    public func loss(_ x: Tensor, targets: Tensor) throws -> Tensor {
        try linearCrossEntropy(self(x), weight: tokens.weight.borrowedValue, targets)
    }

    /// The parameters that weight decay is for, matrices and tables, and the others, norms and biases.
    public func decayGroups() -> (decayed: [Parameter], others: [Parameter]) {
        let trained = parameters().filter(\.requiresGradient)
        return (trained.filter { $0.shape.count >= 2 }, trained.filter { $0.shape.count < 2 })
    }
}
