// Rows looked up, pairs rotated by position, elements dropped.
internal import CSIMD

extension Kernels {
    /// The rows of table [rows, columns] that index [count…] names, as [count, columns]. Traps at an index outside the table.
    static func embedding(_ table: Tensor, _ index: Tensor) -> Tensor {
        let y = Tensor(uninitialized: [index.count, table.shape[1]], table.dtype)
        withMemory(of: table, index.elements(Int64.self), y) { memory, positions, y in
            var bad = 0
            let status = csimd_embedding(
                table.dtype.csimd, table.shape[0], table.shape[1], index.count, memory, positions.baseAddress, y, &bad)
            if status == CSIMD_BAD_TARGET {
                stop(
                    "embedding: index \(positions[bad]) at position \(bad) is outside 0..<\(table.shape[0]), the table's rows"
                )
            }
            expectSuccess(status, "embedding")
        }
        return y
    }

    /// gradient[index[i]] += dy[i] in order, the gradient in the accumulation type.
    static func embeddingGradient(_ dy: Tensor, _ index: Tensor, accumulate: Bool, into gradient: Tensor) {
        assert(dy.isContiguous && gradient.isContiguous && gradient.dtype == dy.dtype.accumulationType)
        let status = withMemory(of: dy, index.elements(Int64.self), gradient) {
            csimd_embedding_gradient(
                dy.dtype.csimd, gradient.shape[0], gradient.shape[1], index.count, $0, $1.baseAddress, accumulate, $2)
        }
        expectSuccess(status, "embedding gradient")
    }

    /// x [rows, heads · size], rows `stride` elements apart, rotated by the angles of positions `first` + row mod `period`.
    static func rotary(
        _ x: Tensor, stride: Int, heads: Int, size: Int, cosine: Tensor, sine: Tensor, first: Int, period: Int,
        inverse: Bool
    ) -> Tensor {
        let y = Tensor(uninitialized: x.shape, x.dtype)
        if x.count == 0 { return y }
        let status = withMemory(of: x, cosine, sine, y) {
            var arguments = csimd_rotary_args(
                type: x.dtype.csimd, rows: x.count / (heads * size), heads: heads, head_size: size, x_stride: stride,
                x: UnsafeRawPointer($0), cosine: UnsafeRawPointer($1), sine: UnsafeRawPointer($2),
                first_position: first, period: period, inverse: inverse, y: $3)
            return csimd_rotary(&arguments)
        }
        expectSuccess(status, "rotary positions")
        return y
    }

    /// Elements of contiguous x dropped by the words of `generator` from its position on.
    static func dropout(_ x: Tensor, probability: Double, generator: SeededGenerator) -> Tensor {
        let y = Tensor(uninitialized: x.shape, x.dtype)
        let status = withMemory(of: x, y) {
            csimd_dropout(
                x.dtype.csimd, x.count, $0, probability, generator.seed, generator.stream, generator.position, $1)
        }
        expectSuccess(status, "dropout")
        return y
    }
}
