// Scaled-dot-product attention: no matrix of queries by keys is ever stored, forward or backward.

/// softmax(scale · q kᵀ) v over the keys that a query sees.
///
/// `heads` may be a multiple of `keyHeads`: then that many heads of queries share a head of keys and values. With `isCausal`,
/// query i sees the keys up to i + keys - queries: the last query sees all. `mask` [batch, keys] hides keys where it is false.
/// A query that sees nothing gives zeros. What a query does not see takes no part, NaN and infinities too: keys that no query sees
/// have gradients of 0. Without a `scale` it is 1 / √size.
///
/// Shapes: q [batch, heads, queries, size], k and v [batch, keyHeads, keys, size], result [batch, heads, queries, size] (in memory
/// [batch, queries, heads, size], so that joining the heads again copies nothing); size up to 512.
/// Precision: all three in the type of q; sums and exponentials are float32, weights float32 or, where the CPU multiplies bf16,
/// bf16; one rounding. Float64 is computed by the formula.
/// Gradients: recomputed from q, k, v, the result and a number a query; all three in one pass.
/// Source: Dao, arXiv 2307.08691.
public func scaledDotProductAttention(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, mask: Tensor? = nil, isCausal: Bool = false, scale: Double? = nil
) -> Tensor {
    require(
        q.rank == 4 && k.rank == 4 && v.shape == k.shape && q.shape[0] == k.shape[0] && q.shape[3] == k.shape[3]
            && k.shape[1] > 0 && q.shape[1] % k.shape[1] == 0 && (1...512).contains(q.shape[3]),
        "scaledDotProductAttention: queries \(q.shape), keys \(k.shape) and values \(v.shape): expected [batch, heads, rows, "
            + "size] with one batch and one size up to 512, keys and values alike, their heads a divisor of the queries'"
    )
    let k = k.cast(to: q.dtype), v = v.cast(to: q.dtype)
    let arguments = AttentionArguments(
        q: heads(q), k: heads(k), v: heads(v), mask: checked(mask, batch: k.shape[0], keys: k.shape[2]),
        isCausal: isCausal, scale: checked(scale, size: q.shape[3]))
    let o = emptyHeads(q.shape, q.dtype)
    let logSumExp = Kernels.attention(arguments, into: o)
    return o.recorded("attention", [q, k, v]) { dy in
        let (dq, dk, dv) = (
            emptyHeads(arguments.q.shape, o.dtype), emptyHeads(arguments.k.shape, o.dtype),
            emptyHeads(arguments.k.shape, o.dtype)
        )
        Kernels.attentionGradient(arguments, o: o, logSumExp: logSumExp, dy: heads(dy), q: dq, k: dk, v: dv)
        return [dq, dk, dv]
    }
}

/// Attention of rows among themselves, queries, keys and values side by side as one product makes them.
///
/// As ``scaledDotProductAttention(_:_:_:mask:isCausal:scale:)`` of the parts of `qkv`, but nothing is taken apart or put together.
/// Shapes: qkv [batch, rows, (heads + 2 · keyHeads) · size] (queries, then keys, then values), result [batch, rows, heads · size].
public func selfAttention(
    qkv: Tensor, heads: Int, keyHeads: Int? = nil, mask: Tensor? = nil, isCausal: Bool = false, scale: Double? = nil
) -> Tensor {
    let keyHeads = keyHeads ?? heads
    require(
        qkv.rank == 3 && qkv.dtype.isFloatingPoint && heads > 0 && keyHeads > 0 && heads % keyHeads == 0
            && qkv.shape[2] % (heads + 2 * keyHeads) == 0 && (1...512).contains(qkv.shape[2] / (heads + 2 * keyHeads)),
        "selfAttention: found \(qkv.dtype) \(qkv.shape) with \(heads) heads and \(keyHeads) of keys, expected "
            + "[batch, rows, (heads + 2 keyHeads) size] with a size up to 512")
    let plain = qkv.detached().contiguous()
    let shape = plain.shape, size = shape[2] / (heads + 2 * keyHeads)
    func parts(_ x: Tensor) -> (q: Tensor, k: Tensor, v: Tensor) {
        let split = x.reshape([shape[0], shape[1], heads + 2 * keyHeads, size]).permuted([0, 2, 1, 3])
        return (
            split.slice(axis: 1, 0..<heads), split.slice(axis: 1, heads..<heads + keyHeads),
            split.slice(axis: 1, heads + keyHeads..<heads + 2 * keyHeads)
        )
    }
    let (q, k, v) = parts(plain)
    let arguments = AttentionArguments(
        q: q, k: k, v: v, mask: checked(mask, batch: shape[0], keys: shape[1]), isCausal: isCausal,
        scale: checked(scale, size: size))
    let o = Tensor(uninitialized: [shape[0], shape[1], heads * size], plain.dtype)
    func split(_ x: Tensor) -> Tensor { x.reshape([shape[0], shape[1], heads, size]).permuted([0, 2, 1, 3]) }
    let logSumExp = Kernels.attention(arguments, into: split(o))
    return o.recorded("selfAttention", [qkv]) { dy in
        let gradient = Tensor(uninitialized: shape, o.dtype)
        let (dq, dk, dv) = parts(gradient)
        Kernels.attentionGradient(
            arguments, o: split(o), logSumExp: logSumExp, dy: split(dy.contiguous()), q: dq, k: dk, v: dv)
        return [gradient]
    }
}

/// Keys and values of the rows so far, for generation: rows are appended in place, and attention reads them where they lie.
public final class KeyValueCache {
    /// The most rows it holds.
    public let capacity: Int
    /// The rows that it holds.
    public private(set) var count = 0
    private var keys: Tensor?
    private var values: Tensor?

    /// An empty cache for `capacity` rows.
    public init(capacity: Int) { self.capacity = capacity }

    /// Forgets all rows; the memory stays.
    public func removeAll() { count = 0 }

    /// Appends rows of keys and values, [batch, rows, width] each, and returns all so far: views of the cache, which stay as they
    /// are.
    public func append(keys newKeys: Tensor, values newValues: Tensor) -> (keys: Tensor, values: Tensor) {
        require(
            newKeys.rank == 3 && newKeys.shape == newValues.shape && newKeys.dtype == newValues.dtype,
            "KeyValueCache: keys \(newKeys.shape) and values \(newValues.shape), expected [batch, rows, width] alike")
        let rows = newKeys.shape[1]
        require(count + rows <= capacity, "KeyValueCache: \(count + rows) rows, expected at most \(capacity)")
        let shape = [newKeys.shape[0], capacity, newKeys.shape[2]]
        if count == 0 {
            keys?.makeUnshared(keepingValues: false)
            values?.makeUnshared(keepingValues: false)
        }
        let allKeys = room(keys, shape, newKeys.dtype), allValues = room(values, shape, newKeys.dtype)
        (keys, values) = (allKeys, allValues)
        Kernels.copyRows(evenRows(newKeys.detached()), into: allKeys, at: count)
        Kernels.copyRows(evenRows(newValues.detached()), into: allValues, at: count)
        count += rows
        return (
            allKeys.handedOut().slice(axis: 1, 0..<count), allValues.handedOut().slice(axis: 1, 0..<count)
        )
    }

    private func room(_ memory: Tensor?, _ shape: [Int], _ dtype: DType) -> Tensor {
        guard let memory, count > 0 || (memory.shape == shape && memory.dtype == dtype) else {
            return Tensor(uninitialized: shape, dtype)
        }
        require(
            memory.shape == shape && memory.dtype == dtype,
            "KeyValueCache: rows of \(dtype) \(shape) in a cache of \(memory.dtype) \(memory.shape)")
        return memory
    }

    private func evenRows(_ x: Tensor) -> Tensor { x.shape[2] <= 1 || x.strides[2] == 1 ? x : x.contiguous() }
}

extension Tensor {
    /// A view [batch, heads, rows, size] of this tensor [batch, rows, heads · size], whatever its strides between rows.
    package func splitHeads(_ heads: Int) -> Tensor {
        require(rank == 3 && shape[2] % heads == 0, "splitHeads: \(shape) has no \(heads) heads")
        let size = shape[2] / heads
        let view = Tensor(
            storage: storage, offset: offset, shape: [shape[0], heads, shape[1], size],
            strides: [strides[0], size * strides[2], strides[1], strides[2]], dtype: dtype)
        let whole = shape
        return view.recorded("splitHeads", [self], isView: true) { [$0.permuted([0, 2, 1, 3]).reshape(whole)] }
    }
}

/// A view whose rows lie as the kernels read them, else a copy.
private func heads(_ x: Tensor) -> Tensor {
    let x = x.detached()
    let isEven = (x.shape[3] == 1 || x.strides[3] == 1) && (x.shape[2] <= 1 || x.strides[2] >= x.shape[3])
    return isEven ? x : x.contiguous()
}

/// A view [batch, heads, rows, size] of memory [batch, rows, heads, size].
private func emptyHeads(_ shape: [Int], _ dtype: DType) -> Tensor {
    Tensor(uninitialized: [shape[0], shape[2], shape[1], shape[3]], dtype).permuted([0, 2, 1, 3])
}

private func checked(_ mask: Tensor?, batch: Int, keys: Int) -> Tensor? {
    guard let mask else { return nil }
    require(
        mask.shape == [batch, keys] && mask.dtype == .bool,
        "attention: found a mask \(mask.dtype) \(mask.shape), expected bool [\(batch), \(keys)]")
    return mask.contiguous()
}

private func checked(_ scale: Double?, size: Int) -> Double {
    let scale = scale ?? 1 / Double(size).squareRoot()
    require(scale > 0 && scale.isFinite, "attention: scale is \(scale), expected a number above 0")
    return scale
}
