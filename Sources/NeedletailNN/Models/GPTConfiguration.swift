// What a GPT is built from.

/// Sizes and kinds of a GPT; kept in checkpoints.
public struct GPTConfiguration: Codable, Equatable, Sendable {
    /// How a row's position enters.
    public enum Positions: String, Codable, Sendable, CaseIterable {
        /// A learned vector for each position is added to the token's.
        case learned
        /// Queries and keys are turned.
        case rotary
    }

    /// Tokens that there are.
    public var vocabulary: Int
    /// Most rows at once.
    public var context: Int
    /// Blocks.
    public var layers: Int
    /// Heads of queries a block, and of keys and values (nil: as many).
    public var heads: Int, keyHeads: Int?
    /// Elements of a row.
    public var width: Int
    /// Elements of a row between a feed-forward layer's products; nil for four widths.
    public var hidden: Int?
    /// The share dropped while training, of embeddings and of what blocks add.
    public var dropout = 0.0
    /// Whether linear layers and layer norms have biases.
    public var bias = true
    /// The feed-forward layers' activation.
    public var feedForward = FeedForwardKind.gelu
    /// How rows are normalised.
    public var norm = NormKind.layer
    /// How positions enter.
    public var positions = Positions.learned
    /// What norms add to the variance.
    public var epsilon = 1e-5

    /// A GPT-2 of these sizes, with exact GELU.
    public init(vocabulary: Int, context: Int, layers: Int, heads: Int, width: Int) {
        (self.vocabulary, self.context, self.layers, self.heads, self.width) = (
            vocabulary, context, layers, heads, width
        )
    }

    /// What is wrong with values that come from a file or an argument; nil where a model can be built from them.
    public var problem: String? {
        let most = Int(Int32.max)
        let sizes = [
            ("vocabulary", vocabulary), ("context", context), ("heads", heads), ("key heads", keyHeads ?? heads),
            ("width", width), ("hidden", hidden ?? 1),
        ]
        for (name, size) in sizes where !(1...most).contains(size) {
            return "\(name) is \(size), expected 1 to \(most)"
        }
        if !(0...10_000).contains(layers) { return "layers is \(layers), expected 0 to 10000" }
        if width % heads != 0 { return "width is \(width), expected a multiple of the \(heads) heads" }
        if heads % (keyHeads ?? heads) != 0 {
            return "heads is \(heads), expected a multiple of the \(keyHeads ?? 1) key heads"
        }
        if width / heads > 512 { return "a head has \(width / heads) elements, expected at most 512; use more heads" }
        if positions == .rotary && width / heads % 2 != 0 {
            return "a head has \(width / heads) elements, expected an even number for rotary positions"
        }
        if !(dropout >= 0 && dropout <= 1) { return "dropout is \(dropout), expected 0 to 1" }
        if !(epsilon >= 0 && epsilon.isFinite) {
            return "epsilon is \(epsilon), expected a finite number, zero or more"
        }
        guard parameterCount <= Double(most) else { return "the sizes make more than \(most) parameters" }
        return nil
    }

    /// About how many parameters the model has, as a number that cannot overflow.
    public var parameterCount: Double {
        let width = Double(width), hidden = Double(self.hidden ?? 4 * self.width)
        let kept = width / Double(heads) * Double(keyHeads ?? heads)
        let products = width * (2 * width + 2 * kept) + (feedForward == .swiGLU ? 3 : 2) * width * hidden
        return (Double(vocabulary) + (positions == .learned ? Double(context) : 0)) * width + Double(layers) * products
    }
}
