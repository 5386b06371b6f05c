// Rows looked up, pairs rotated by position, elements dropped.
internal import CSIMD

extension Kernels {
    /// The rows of table [rows, columns] that index [count…] names, as [count, columns]. Traps at an index outside the table.
    static func embedding(_ table: Tensor, _ index: Tensor) -> Tensor {
        let y = Tensor(uninitialized: [index.count, table.shape[1]], table.dtype)
        let positions = index.buffer(Int64.self)
        var bad = 0
        let status = csimd_embedding(
            table.dtype.csimd, table.shape[0], table.shape[1], index.count, table.pointer, positions.baseAddress,
            y.pointer, &bad)
        if status == CSIMD_BAD_TARGET {
            fatalError(
                "embedding: index \(positions[bad]) at position \(bad) is outside 0..<\(table.shape[0]), the table's rows"
            )
        }
        expectSuccess(status, "embedding")
        return y
    }

    /// gradient[index[i]] += dy[i] in order, the gradient in the accumulation type.
    static func embeddingGradient(_ dy: Tensor, _ index: Tensor, accumulate: Bool, into gradient: Tensor) {
        assert(dy.isContiguous && gradient.isContiguous && gradient.dtype == dy.dtype.accumulationType)
        let status = csimd_embedding_gradient(
            dy.dtype.csimd, gradient.shape[0], gradient.shape[1], index.count, dy.pointer,
            index.buffer(Int64.self).baseAddress, accumulate, gradient.pointer)
        expectSuccess(status, "embedding gradient")
    }

    /// x [rows, heads · size], rows `stride` elements apart, rotated by the angles of positions `first` + row mod `period`.
    static func rotary(
        _ x: Tensor, stride: Int, heads: Int, size: Int, cosine: Tensor, sine: Tensor, first: Int, period: Int,
        inverse: Bool
    ) -> Tensor {
        let y = Tensor(uninitialized: x.shape, x.dtype)
        if x.count == 0 { return y }
        var arguments = csimd_rotary_args(
            type: x.dtype.csimd, rows: x.count / (heads * size), heads: heads, head_size: size, x_stride: stride,
            x: UnsafeRawPointer(x.pointer), cosine: UnsafeRawPointer(cosine.pointer),
            sine: UnsafeRawPointer(sine.pointer), first_position: first, period: period, inverse: inverse, y: y.pointer)
        expectSuccess(csimd_rotary(&arguments), "rotary positions")
        return y
    }

    /// Elements of contiguous x dropped by the words of `generator` from its position on.
    static func dropout(_ x: Tensor, probability: Double, generator: SeededGenerator) -> Tensor {
        let y = Tensor(uninitialized: x.shape, x.dtype)
        let status = csimd_dropout(
            x.dtype.csimd, x.count, x.pointer, probability, generator.seed, generator.stream, generator.position,
            y.pointer)
        expectSuccess(status, "dropout")
        return y
    }
}
