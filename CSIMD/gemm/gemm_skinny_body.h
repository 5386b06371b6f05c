// Products of few rows, included by each instruction set's file: B is used once, so it is widened in registers on the way and
// never packed. Bound by reading B (2 bytes an element for 16 bits); a vector of B needs a load, a widening (2 operations for
// bf16) and `rows` multiply-adds.
// A tile is as many vectors or columns of B wide as the registers have room for sums, MOST_SUMS / rows, but at most 8 vectors
// or 4 columns. Columns are mostly a multiple of 4 KiB apart, on one set of L1, which has 12 lines: 4 of them and the 4
// prefetched fit; 8 took up to 1.25 times as long (768 x 3072, 1 to 3 rows).

enum { MOST_DOTS = 4 };

V_INLINE int skinny_width(int rows) { return MOST_SUMS / rows < 8 ? MOST_SUMS / rows : 8; }
V_INLINE int dot_width(int rows) { return MOST_SUMS / rows < MOST_DOTS ? MOST_SUMS / rows : MOST_DOTS; }

// B stored [depth, columns]: c[i, j] = (add ? c[i, j] : 0) + sum_p a[p * v_lanes + i] b[p * ldb + j] for `vectors` vectors of
// columns, of which the last has `last` columns.
V_INLINE void rows_tile(csimd_type type, const int rows, const int vectors, size_t last, size_t depth, const float *a,
                        const void *b, size_t at, size_t ldb, bool add, float *c, size_t ldc) {
    v_f32 sum[TILE_ROWS][8];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) sum[i][v] = v_set(0);
    for (size_t p = 0; p < depth; p++, at += ldb, a += v_lanes) {
        const size_t bytes = (size_t)vectors * v_lanes * csimd_type_size(type);
#pragma clang loop unroll(full)
        for (size_t line = 0; line < bytes; line += 64)  // the next tile's columns, of which the hardware knows nothing yet
            __builtin_prefetch((const char *)csimd_gemm_at(type, b, at) + bytes + line);
        v_f32 right[8];
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++)
            right[v] = load_some(type, b, at + (size_t)v * v_lanes, v < vectors - 1 ? v_lanes : last);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const v_f32 left = v_set(a[i]);
            for (int v = 0; v < vectors; v++) sum[i][v] = v_fma(left, right[v], sum[i][v]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        for (int v = 0; v < vectors; v++) {
            float *to = c + (size_t)i * ldc + (size_t)v * v_lanes;
            const size_t count = v < vectors - 1 ? v_lanes : last;
            const v_f32 z = add ? v_add(load_some(CSIMD_F32, to, 0, count), sum[i][v]) : sum[i][v];
            store_some(CSIMD_F32, to, 0, count, z);
        }
    }
}

V_INLINE void rows_of(csimd_type type, const int rows, size_t columns, size_t depth, const float *a, const void *b, size_t ldb,
                      bool add, float *c, size_t ldc) {
    const size_t width = (size_t)skinny_width(rows) * v_lanes;
    size_t j = 0;
    for (; j + width <= columns; j += width)
        rows_tile(type, rows, skinny_width(rows), v_lanes, depth, a, b, j, ldb, add, c + j, ldc);
    for (; j + v_lanes <= columns; j += v_lanes) rows_tile(type, rows, 1, v_lanes, depth, a, b, j, ldb, add, c + j, ldc);
    if (j < columns) rows_tile(type, rows, 1, columns - j, depth, a, b, j, ldb, add, c + j, ldc);
}

// One vector of `rows` rows of A and `columns` columns of B, the last `count` elements of a column where it is not whole.
V_INLINE void dot_step(csimd_type type, const int rows, const int columns, size_t count, const float *a, const void *b,
                       size_t at, size_t ldb, v_f32 sum[SKINNY_ROWS][MOST_DOTS]) {
    v_f32 right[MOST_DOTS];
#pragma clang loop unroll(full)
    for (int j = 0; j < columns; j++) right[j] = load_some(type, b, at + (size_t)j * ldb, count);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        const v_f32 left = load_floats(a + (size_t)i * A_ROW_STRIDE);
        for (int j = 0; j < columns; j++) sum[i][j] = v_fma(left, right[j], sum[i][j]);
    }
}

// B stored [columns, depth]: c[i, j] = (add ? c[i, j] : 0) + sum_p a[i * A_ROW_STRIDE + p] b[j * ldb + p], summed in v_lanes
// interleaved sums. A's rows are followed by zeros up to a whole vector. Each block of k is added up by itself.
V_INLINE void dot_tile(csimd_type type, const int rows, const int columns, size_t depth, const float *a, const void *b,
                       size_t at, size_t ldb, csimd_gemm_parts parts, float *c, size_t ldc) {
    v_f32 sum[SKINNY_ROWS][MOST_DOTS];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) sum[i][j] = v_set(0);
    const size_t line = CSIMD_ALIGNMENT / csimd_type_size(type);
    size_t p = 0;
    for (; p + line <= depth; p += line) {
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++)  // the next tile's columns: short runs, which the hardware finds too late
            __builtin_prefetch(csimd_gemm_at(type, b, at + (size_t)(j + columns) * ldb + p));
#pragma clang loop unroll(full)
        for (size_t v = 0; v < line; v += v_lanes) dot_step(type, rows, columns, v_lanes, a + p + v, b, at + p + v, ldb, sum);
    }
    for (; p < depth; p += v_lanes) dot_step(type, rows, columns, depth - p, a + p, b, at + p, ldb, sum);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < columns; j += 4) {
            v_f32 four[4];
            for (int s = 0; s < 4; s++) four[s] = j + s < columns ? sum[i][j + s] : v_set(0);
            float total[4], *to = c + (size_t)i * ldc + j;
            sum_lanes_of_4(four, total);
            for (int s = 0; s < 4 && j + s < columns; s++) to[s] = (parts.add ? to[s] : 0) + total[s];
        }
    }
}

V_INLINE void dot_columns(csimd_type type, const int rows, const int width, size_t columns, size_t depth, const float *a,
                          const void *b, size_t ldb, csimd_gemm_parts parts, float *c, size_t ldc) {
    size_t j = 0;
    for (; j + (size_t)width <= columns; j += (size_t)width)
        dot_tile(type, rows, width, depth, a, b, j * ldb, ldb, parts, c + j, ldc);
    for (; j < columns; j++) dot_tile(type, rows, 1, depth, a, b, j * ldb, ldb, parts, c + j, ldc);
}

// One row: B is read from end to end, one column after the other, fetched 8 KiB ahead; as many sums a column as two cache lines
// of it have vectors, so that no sum waits for another, and the lanes of 4 columns are added up together.
V_INLINE void dot_row(csimd_type type, const int columns, size_t depth, const float *a, const void *b, size_t at, size_t ldb,
                      csimd_gemm_parts parts, float *c) {
    enum { AHEAD = 8192, MOST_VECTORS = CSIMD_ALIGNMENT / v_lanes };
    const size_t line = CSIMD_ALIGNMENT / csimd_type_size(type), lines = 2 * line;
    v_f32 column[4];
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
        v_f32 sum[MOST_VECTORS];
#pragma clang loop unroll(full)
        for (int v = 0; v < MOST_VECTORS; v++) sum[v] = v_set(0);
        const size_t first = at + (size_t)j * ldb;
        const size_t end = j < columns ? depth : 0;
        size_t p = 0;
        for (; p + lines <= end; p += lines) {
            __builtin_prefetch((const char *)csimd_gemm_at(type, b, first + p) + AHEAD);
            __builtin_prefetch((const char *)csimd_gemm_at(type, b, first + p + line) + AHEAD);
#pragma clang loop unroll(full)
            for (size_t v = 0; v < lines; v += v_lanes)
                sum[v / v_lanes] = v_fma(load_floats(a + p + v), load_some(type, b, first + p + v, v_lanes), sum[v / v_lanes]);
        }
        for (; p < end; p += v_lanes) {
            const size_t count = end - p < v_lanes ? end - p : v_lanes;
            sum[0] = v_fma(load_floats(a + p), load_some(type, b, first + p, count), sum[0]);
        }
#pragma clang loop unroll(full)
        for (int v = 1; v < MOST_VECTORS; v++) sum[0] = v_add(sum[0], sum[v]);
        column[j] = sum[0];
    }
    float total[4];
    sum_lanes_of_4(column, total);
    for (int j = 0; j < columns; j++) c[j] = (parts.add ? c[j] : 0) + total[j];
}

V_INLINE void dot_of(csimd_type type, const int rows, size_t columns, size_t depth, const float *a, const void *b, size_t ldb,
                     csimd_gemm_parts parts, float *c, size_t ldc) {
    if (rows > 1) {
        dot_columns(type, rows, dot_width(rows), columns, depth, a, b, ldb, parts, c, ldc);
        return;
    }
    size_t j = 0;
    for (; j + 4 <= columns; j += 4) dot_row(type, 4, depth, a, b, j * ldb, ldb, parts, c + j);
    if (j < columns) dot_row(type, (int)(columns - j), depth, a, b, j * ldb, ldb, parts, c + j);
}
