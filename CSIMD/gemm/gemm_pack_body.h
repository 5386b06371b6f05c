// Packing at vector speed, included by each instruction set's file after its vector operations: every element is read once,
// widened to float32 and written once in the order in which the micro-kernel reads it. Bound by stores (a line of L2 a vector),
// except for B stored [n, k], whose transposition in registers costs 2 shuffles and 4 loads a vector of float32 or of 16-bit
// pairs.

// y[i] = x[i], widened; x is `count` elements of `type`.
V_INLINE void widen_row(csimd_type type, const void *x, size_t index, size_t count, float *y) {
    size_t i = 0;
    for (; i + v_lanes <= count; i += v_lanes) store_floats(y + i, load_some(type, x, index + i, v_lanes));
    if (i < count) store_floats(y + i, load_some(type, x, index + i, count - i));  // rows end in spare room
}

V_INLINE void pack_a_rows_of(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed) {
    for (size_t i = 0; i < rows; i++) widen_row(type, a, i * lda, depth, packed + i * A_ROW_STRIDE);
}

V_INLINE void pack_a_panels_of(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed) {
    for (size_t i = 0; i < rows;) {
        const size_t height = csimd_gemm_next_height(rows - i, TILE_ROWS);
        // What stands past the panel's height is never used: whole vectors are read as long as the rows of A have them.
        for (size_t p = 0; p < depth; p++, packed += v_lanes) store_floats(packed, load_some(type, a, p * lda + i, rows - i));
        i += height;
    }
}

V_INLINE void pack_b_rows_of(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed) {
    enum { rows_at_once = 16 };  // long enough runs of writes, short enough to stay on few pages of B
    for (size_t first = 0; first < depth; first += rows_at_once) {
        const size_t last = csimd_minimum(depth, first + rows_at_once);
        size_t j = 0;
        for (; j + TILE_COLUMNS <= columns; j += TILE_COLUMNS) {
            float *to = packed + j * depth + first * TILE_COLUMNS;
            for (size_t p = first; p < last; p++, to += TILE_COLUMNS) {
                store_floats(to, load_some(type, b, p * ldb + j, v_lanes));
                store_floats(to + v_lanes, load_some(type, b, p * ldb + j + v_lanes, v_lanes));
            }
        }
        const size_t rest = columns - j;
        if (rest > v_lanes) {
            float *to = packed + j * depth + first * TILE_COLUMNS;
            for (size_t p = first; p < last; p++, to += TILE_COLUMNS) {
                store_floats(to, load_some(type, b, p * ldb + j, v_lanes));
                store_floats(to + v_lanes, load_some(type, b, p * ldb + j + v_lanes, rest - v_lanes));
            }
        } else if (rest > 0) {
            float *to = packed + j * depth + first * v_lanes;
            for (size_t p = first; p < last; p++, to += v_lanes) store_floats(to, load_some(type, b, p * ldb + j, rest));
        }
    }
}

// packed[p * width + j] = x[j, p] for j < v_lanes and p < depth, at most as much of a row as one vector's bytes hold: v_lanes
// float32 elements, or twice as many of 16 bits, which travel in pairs and are split last. Row j is offset[j] bytes after x, or
// j * stride where offset is NULL.
V_INLINE void transpose_square(csimd_type type, const char *x, size_t stride, const size_t *offset, size_t depth, size_t width,
                               float *packed) {
    enum { lane_bytes = 16, lane_floats = 4 };
#pragma clang loop unroll(full)
    for (size_t q = 0; q < v_lanes; q += lane_floats) {
        v_f32 r[lane_floats];
        const char *lane = x + q / lane_floats * lane_bytes;
#pragma clang loop unroll(full)
        for (size_t s = 0; s < lane_floats; s++)
            r[s] = offset ? load_lanes_at(lane, offset + s) : load_lanes(lane + s * stride, stride);
        transpose_lanes(r);
#pragma clang loop unroll(full)
        for (size_t s = 0; s < lane_floats; s++) {
            const size_t p = type == CSIMD_F32 ? q + s : 2 * (q + s);
            v_f32 even = r[s], odd = r[s];
            if (type != CSIMD_F32) split_pairs(type, r[s], &even, &odd);
            if (p < depth) store_floats(packed + p * width, even);
            if (type != CSIMD_F32 && p + 1 < depth) store_floats(packed + (p + 1) * width, odd);
        }
    }
}

// packed[p * width + j] = b[j * ldb + p]; from `columns` on the last column is read again. Ends of rows shorter than a square
// pass through a copy, so that nothing outside B is read.
V_INLINE void pack_b_transposed(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, size_t width,
                                float *packed) {
    const size_t size = csimd_type_size(type), run = type == CSIMD_F32 ? v_lanes : 2 * v_lanes;
    size_t p = 0;
    if (columns >= v_lanes) {
        for (; p + run <= depth; p += run)
            transpose_square(type, (const char *)b + p * size, ldb * size, NULL, run, width, packed + p * width);
    } else if (run <= depth) {
        size_t offset[v_lanes];
        for (size_t j = 0; j < v_lanes; j++) offset[j] = csimd_minimum(j, columns - 1) * ldb * size;
        for (; p + run <= depth; p += run)
            transpose_square(type, (const char *)b + p * size, 0, offset, run, width, packed + p * width);
    }
    if (p < depth) {
        _Alignas(CSIMD_ALIGNMENT) char copy[v_lanes][v_lanes * sizeof(float)];
        for (size_t j = 0; j < v_lanes; j++)
            copy_first_bytes(copy[j], (const char *)b + (csimd_minimum(j, columns - 1) * ldb + p) * size, (depth - p) * size);
        transpose_square(type, copy[0], sizeof copy[0], NULL, depth - p, width, packed + p * width);
    }
}

V_INLINE void pack_b_columns_of(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed) {
    for (size_t j = 0; j < columns; j += TILE_COLUMNS) {
        const size_t left = csimd_minimum(columns - j, TILE_COLUMNS);
        const size_t width = left > v_lanes ? TILE_COLUMNS : v_lanes;
        for (size_t half = 0; half < left; half += v_lanes)
            pack_b_transposed(type, csimd_gemm_at(type, b, (j + half) * ldb), ldb, depth, left - half, width,
                              packed + j * depth + half);
    }
}

static void pack_a_rows(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed) {
    if (type == CSIMD_F32) pack_a_rows_of(CSIMD_F32, a, lda, rows, depth, packed);
    if (type == CSIMD_F16) pack_a_rows_of(CSIMD_F16, a, lda, rows, depth, packed);
    if (type == CSIMD_BF16) pack_a_rows_of(CSIMD_BF16, a, lda, rows, depth, packed);
}

static void pack_a_panels(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed) {
    if (type == CSIMD_F32) pack_a_panels_of(CSIMD_F32, a, lda, rows, depth, packed);
    if (type == CSIMD_F16) pack_a_panels_of(CSIMD_F16, a, lda, rows, depth, packed);
    if (type == CSIMD_BF16) pack_a_panels_of(CSIMD_BF16, a, lda, rows, depth, packed);
}

static void pack_b_rows(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed) {
    if (type == CSIMD_F32) pack_b_rows_of(CSIMD_F32, b, ldb, depth, columns, packed);
    if (type == CSIMD_F16) pack_b_rows_of(CSIMD_F16, b, ldb, depth, columns, packed);
    if (type == CSIMD_BF16) pack_b_rows_of(CSIMD_BF16, b, ldb, depth, columns, packed);
}

static void pack_b_columns(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed) {
    if (type == CSIMD_F32) pack_b_columns_of(CSIMD_F32, b, ldb, depth, columns, packed);
    if (type == CSIMD_F16) pack_b_columns_of(CSIMD_F16, b, ldb, depth, columns, packed);
    if (type == CSIMD_BF16) pack_b_columns_of(CSIMD_BF16, b, ldb, depth, columns, packed);
}
