// The micro-kernel of small products, included by each instruction set's file after its vector operations: as the packed one
// (gemm_ukr_body.h), but B's rows may be read where they lie, widened in registers, the last vector masked; A is float32 with
// any strides. Every element is summed from 0 in order of p by multiply-adds, hence the bits of the packed kernel.

V_INLINE void small_tile(csimd_type type, const int rows, const int vectors, const bool whole, size_t last, size_t depth,
                         const float *a, size_t a_row, size_t a_step, const void *b, size_t ldb, bool add, float *c, size_t ldc,
                         size_t c_columns) {
    // Every third row has a pointer, the two after it are one and two strides on. The compiler must not see how the pointers
    // hang together: it would step from row to row, a chain of `rows` additions and longer than the multiply-adds.
    const float *base[(SMALL_NARROW_ROWS + 2) / 3];
#pragma clang loop unroll(full)
    for (int q = 0; 3 * q < rows; q++) {
        base[q] = a + (size_t)(3 * q) * a_row;
        __asm__("" : "+r"(base[q]));
    }
    v_f32 sum[SMALL_NARROW_ROWS][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) sum[i][v] = v_set(0);
    for (size_t p = 0, at = 0; p < depth; p++, at += ldb) {
        v_f32 right[2];
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) {
            const size_t index = at + (size_t)v * v_lanes;
            right[v] = whole || v < vectors - 1 ? v_load(type, b, index) : v_load_first(type, b, index, last);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const v_f32 left = v_set(base[i / 3][(size_t)(i % 3) * a_row]);
            for (int v = 0; v < vectors; v++) sum[i][v] = v_fma(left, right[v], sum[i][v]);
        }
#pragma clang loop unroll(full)
        for (int q = 0; 3 * q < rows; q++) base[q] += a_step;
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        for (int v = 0; v < vectors; v++) {
            const size_t offset = (size_t)i * ldc + (size_t)v * v_lanes, count = c_columns - (size_t)v * v_lanes;
            v_f32 z = sum[i][v];
            if (add) z = v_add(load_some(CSIMD_F32, c, offset, count), z);
            store_some(CSIMD_F32, c, offset, count, z);
        }
    }
}

// A whole last vector gets a loop of its own, without masks. Tiles higher than TILE_ROWS are one vector wide.
V_INLINE void small_rows(csimd_type type, const int rows, size_t columns, size_t depth, const float *a, size_t a_row,
                         size_t a_step, const void *b, size_t ldb, bool packed, bool add, float *c, size_t ldc,
                         size_t c_columns) {
    size_t j = 0;
    if (rows <= TILE_ROWS) {
        const size_t right_row = packed ? TILE_COLUMNS : ldb;
        for (; j + TILE_COLUMNS <= columns; j += TILE_COLUMNS)
            small_tile(type, rows, 2, true, v_lanes, depth, a, a_row, a_step, csimd_gemm_at(type, b, packed ? j * depth : j),
                       right_row, add, c + j, ldc, c_columns - j);
        if (columns - j > v_lanes)
            small_tile(type, rows, 2, false, columns - j - v_lanes, depth, a, a_row, a_step,
                       csimd_gemm_at(type, b, packed ? j * depth : j), right_row, add, c + j, ldc, c_columns - j);
    }
    const size_t rest = columns - j;
    if (rest == 0 || rest > v_lanes) return;
    const void *right = csimd_gemm_at(type, b, packed ? j * depth : j);
    const size_t right_row = packed ? v_lanes : ldb;
    if (rest == v_lanes)
        small_tile(type, rows, 1, true, v_lanes, depth, a, a_row, a_step, right, right_row, add, c + j, ldc, c_columns - j);
    else
        small_tile(type, rows, 1, false, rest, depth, a, a_row, a_step, right, right_row, add, c + j, ldc, c_columns - j);
}
