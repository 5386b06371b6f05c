// Scaled-dot-product attention over views of heads.
internal import CSIMD

/// An attention's operands: q [batch, heads, queries, size], k and v [batch, keyHeads, keys, size], each with elements of a row
/// side by side; mask [batch, keys] bool, contiguous.
struct AttentionArguments {
    let q: Tensor
    let k: Tensor
    let v: Tensor
    let mask: Tensor?
    let isCausal: Bool
    let scale: Double
}

extension Kernels {
    /// The result into `o`, a view of heads; log-sum-exps [batch, heads, queries] in the accumulation type.
    static func attention(_ arguments: AttentionArguments, into o: Tensor) -> Tensor {
        let q = arguments.q
        let logSumExp = Tensor(uninitialized: Array(q.shape.dropLast()), q.dtype.accumulationType)
        let status = withNative(arguments) { native in
            withMemory(of: o, logSumExp) { csimd_attention(&native, heads(o, $0), $1) }
        }
        expectSuccess(status, "attention")
        return logSumExp
    }

    /// The gradients of q, k and v, all of them, into views of heads.
    static func attentionGradient(
        _ arguments: AttentionArguments, o: Tensor, logSumExp: Tensor, dy: Tensor, q: Tensor, k: Tensor, v: Tensor
    ) {
        let status = withNative(arguments) { native in
            withMemory(of: o, logSumExp, dy, q, k, v) {
                csimd_attention_gradient(
                    &native, heads(o, $0), $1, heads(dy, $2), heads(q, $3), heads(k, $4), heads(v, $5))
            }
        }
        expectSuccess(status, "attention gradient")
    }

    private static func withNative<Result>(
        _ arguments: AttentionArguments, _ body: (inout csimd_attention_args) -> Result
    ) -> Result {
        let (q, k, v) = (arguments.q, arguments.k, arguments.v)
        return withMemory(of: q, k, v, arguments.mask) {
            var native = csimd_attention_args(
                type: q.dtype.csimd, batch: q.shape[0], heads: q.shape[1], key_heads: k.shape[1], queries: q.shape[2],
                keys: k.shape[2], head_size: q.shape[3], q: heads(q, $0), k: heads(k, $1), v: heads(v, $2),
                scale: arguments.scale, causal: arguments.isCausal,
                mask: UnsafePointer($3?.assumingMemoryBound(to: UInt8.self)))
            return body(&native)
        }
    }

    private static func heads(_ x: Tensor, _ memory: UnsafeMutableRawPointer) -> csimd_heads {
        assert(x.rank == 4 && (x.shape[3] <= 1 || x.strides[3] == 1))
        return csimd_heads(
            base: UnsafeRawPointer(memory), batch_stride: x.strides[0], head_stride: x.strides[1],
            row_stride: x.strides[2])
    }

    /// Copies `rows` rows of x [batch, count, width] (elements of a row side by side) into y [batch, capacity, width] from row
    /// `position` on.
    static func copyRows(_ x: Tensor, into y: Tensor, at position: Int) {
        let size = x.dtype.byteCount, bytes = x.shape[2] * size
        withMemory(of: x, y) { source, target in
            for batch in 0..<x.shape[0] {
                for row in 0..<x.shape[1] {
                    let from = source + (batch * x.strides[0] + row * x.strides[1]) * size
                    let to = target + (batch * y.strides[0] + (position + row) * y.strides[1]) * size
                    to.copyMemory(from: from, byteCount: bytes)
                }
            }
        }
    }
}
