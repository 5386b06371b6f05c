// Attention with several heads, its projections included.
public import NeedletailTensor

/// Rows that look at each other: y = (attention of the heads of x W^T + b) P^T + c.
///
/// One product makes queries, keys and values, side by side; heads of keys and values may be fewer than those of queries, which
/// then share them. With `angles` queries and keys are turned by their rows' positions.
/// Shapes: x [batch, rows, width], W `c_attn.weight` [(heads + 2 keyHeads) size, width] with size = width / heads, P
/// `c_proj.weight` [width, width], y as x; the names are GPT-2's.
/// Precision: as `scaledDotProductAttention`, in the parameters' compute type. No matrix of rows by rows is stored.
/// Initialisation: as `Linear`.
public final class MultiheadAttention: Module, Layer {
    /// Heads of queries.
    public let heads: Int
    /// Heads of keys and values.
    public let keyHeads: Int
    /// Whether a row sees itself and those before it only.
    public let isCausal: Bool
    /// The product that makes queries, keys and values.
    public let projection: Linear
    /// The product that mixes the heads.
    public let output: Linear
    /// The angles by which positions turn queries and keys; nil where they do not.
    public let angles: RotaryAngles?

    /// Makes a layer for rows of `width`, a multiple of `heads`.
    public init(
        _ width: Int, heads: Int, keyHeads: Int? = nil, isCausal: Bool = false, bias: Bool = true,
        angles: RotaryAngles? = nil, using generator: inout SeededGenerator
    ) {
        let keyHeads = keyHeads ?? heads
        require(
            heads > 0 && keyHeads > 0 && width % heads == 0 && heads % keyHeads == 0,
            "MultiheadAttention(\(width), heads: \(heads), keyHeads: \(keyHeads)): the width must be a multiple of the heads, and "
                + "these of the key heads")
        let size = width / heads
        require(
            angles == nil || angles?.headSize == size,
            "MultiheadAttention: angles for heads of \(angles?.headSize ?? 0), expected \(size)")
        (self.heads, self.keyHeads, self.isCausal, self.angles) = (heads, keyHeads, isCausal, angles)
        projection = Linear(width, (heads + 2 * keyHeads) * size, bias: bias, using: &generator)
        output = Linear(width, width, bias: bias, using: &generator)
    }

    public override func members() -> [ModuleMember] { [.module("c_attn", projection), .module("c_proj", output)] }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor { forward(x, mask: nil, cache: nil) }

    /// y for `x`; `mask` [batch, rows] hides rows where it is false; with a `cache`, x holds the rows after those in it, whose
    /// keys and values are then added to it.
    public func forward(_ x: Tensor, mask: Tensor?, cache: KeyValueCache? = nil) -> Tensor {
        let qkv = projection(x)
        guard angles != nil || cache != nil else {
            return output(selfAttention(qkv: qkv, heads: heads, keyHeads: keyHeads, mask: mask, isCausal: isCausal))
        }
        let size = output.inputs / heads, batch = x.shape[0], rows = x.shape[1]
        var q = qkv.slice(axis: 2, 0..<heads * size)
        var k = qkv.slice(axis: 2, heads * size..<(heads + keyHeads) * size)
        var v = qkv.slice(axis: 2, (heads + keyHeads) * size..<(heads + 2 * keyHeads) * size)
        if let angles {
            let first = cache?.count ?? 0
            q = rotaryPositions(q, angles, first: first)
            k = rotaryPositions(k, angles, first: first)
        }
        if let cache { (k, v) = cache.append(keys: k, values: v) }
        func split(_ x: Tensor, _ heads: Int) -> Tensor { x.splitHeads(heads) }
        let y = scaledDotProductAttention(
            split(q, heads), split(k, keyHeads), split(v, keyHeads), mask: mask, isCausal: isCausal)
        return output(y.permuted([0, 2, 1, 3]).reshape([batch, rows, heads * size]))
    }
}
