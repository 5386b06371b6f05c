// Attention and its gradients by the kernels, for tests that compare runs bit by bit.
import CSIMD
import Testing

extension AttentionShape {
    /// The heads of an operand [batch, rows, heads, size].
    func operand(_ buffer: TypedBuffer, isQuery: Bool) -> csimd_heads {
        let heads = isQuery ? self.heads : keyHeads, rows = isQuery ? queries : keys
        return csimd_heads(
            base: buffer.pointer, batch_stride: rows * heads * size, head_stride: size, row_stride: heads * size)
    }

    /// o, dq, dk and dv of operands of this shape, by the row and with the threads that are chosen.
    func run(
        _ arena: BufferArena, q: TypedBuffer, k: TypedBuffer, v: TypedBuffer, dy: TypedBuffer
    ) -> AttentionRun {
        let type = q.type
        let hidden = mask.map { bytes in
            let buffer = GuardedBuffer<UInt8>(count: bytes.count, fill: 0)
            for (index, byte) in bytes.enumerated() { buffer.pointer[index] = byte }
            return buffer
        }
        defer { hidden?.release() }
        var arguments = csimd_attention_args()
        arguments.type = type
        (arguments.batch, arguments.heads, arguments.key_heads) = (batch, heads, keyHeads)
        (arguments.queries, arguments.keys, arguments.head_size) = (queries, keys, size)
        (arguments.scale, arguments.causal) = (scale, causal)
        arguments.q = operand(q, isQuery: true)
        arguments.k = operand(k, isQuery: false)
        arguments.v = operand(v, isQuery: false)
        arguments.mask = hidden.map { UnsafePointer($0.pointer) }
        let results = AttentionRun(
            o: arena.make(type, count: q.count), dq: arena.make(type, count: q.count),
            dk: arena.make(type, count: k.count), dv: arena.make(type, count: k.count))
        let sums = arena.make(type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32, count: batch * heads * queries)
        let o = operand(results.o, isQuery: true)
        #expect(csimd_attention(&arguments, o, sums.pointer) == CSIMD_OK)
        #expect(
            csimd_attention_gradient(
                &arguments, o, sums.pointer, operand(dy, isQuery: true), operand(results.dq, isQuery: true),
                operand(results.dk, isQuery: false), operand(results.dv, isQuery: false)) == CSIMD_OK)
        return results
    }
}

/// What an attention and its gradient give.
struct AttentionRun {
    let o: TypedBuffer, dq: TypedBuffer, dk: TypedBuffer, dv: TypedBuffer

    var all: [(name: String, buffer: TypedBuffer)] { [("o", o), ("dq", dq), ("dk", dk), ("dv", dv)] }

    var isFinite: Bool { all.allSatisfy { $0.buffer.values.allSatisfy(\.isFinite) } }

    /// The first element of those that `isCompared` names (a result's name and an index) whose bits are not `other`'s, in words.
    func difference(from other: AttentionRun, where isCompared: (String, Int) -> Bool = { _, _ in true }) -> String? {
        for (mine, theirs) in zip(all, other.all) {
            let size = TypedBuffer.size(of: mine.buffer.type)
            if mine.buffer.hasSameBits(as: theirs.buffer) { continue }
            let (a, b) = (mine.buffer.bytes, theirs.buffer.bytes)
            for index in 0..<mine.buffer.count where isCompared(mine.name, index) {
                if a[index * size..<(index + 1) * size] != b[index * size..<(index + 1) * size] {
                    return "\(mine.name)[\(index)] is \(mine.buffer[index]), not \(theirs.buffer[index])"
                }
            }
        }
        return nil
    }
}
