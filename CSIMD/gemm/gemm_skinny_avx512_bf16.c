// GEMM of few rows of bf16 by bf16, B stored [columns, depth], AVX512_BF16: 1 to 8 rows by 4 or 3 columns of dot products,
// where they are long by 2, B read where it lies, 32 elements a vector. (rows + 1) columns vectors of sums and marks + 1 of B +
// 1 constant = 29 zmm at 8 rows by 3 columns, A from L1. A step of 32 of k at 8 rows by 2 columns is 16 VDPBF16PS, 8 cycles,
// and 6 operations that look for subnormals, against 16 + 2 loads, 9 cycles, for 128 bytes of B: 14 bytes a cycle, about what
// memory delivers. Fewer rows are bound by reading B.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx512.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512_BF16))), apply_to = function)

#include "gemm_marks_avx512.h"

enum { MOST_COLUMNS = 4, LONG_RUN = 1024 };

// A divisor of 12, the columns that more than 8 rows take turns at (gemm_skinny.c). (rows + 1) columns + 2 vectors at most 32.
V_INLINE int columns_at_once(int rows) { return rows <= 6 ? 4 : 3; }

// The sums of one row and one column, 16 of them, with every element widened: subnormals count.
static __attribute__((noinline)) v_f32 widened_sums(size_t depth, const float *a, const uint16_t *b) {
    v_f32 sums[2] = {v_set(0), v_set(0)};
    for (size_t p = 0; p < depth; p += 2 * v_lanes) {
        v_f32 left[2], right[2];
        split_pairs(CSIMD_BF16, load_floats(a + p / 2), &left[0], &left[1]);
        split_pairs(CSIMD_BF16, _mm512_castsi512_ps(load_elements(b + p, depth - p)), &right[0], &right[1]);
        for (int half = 0; half < 2; half++) sums[half] = v_fma(left[half], right[half], sums[half]);
    }
    return v_add(sums[0], sums[1]);
}

// The next `count` elements, at most 32, of `rows` rows of A and `columns` columns of B.
V_INLINE void dot_step(const int rows, const int columns, size_t count, const float *a, const uint16_t *b, size_t ldb,
                       v_f32 sum[SKINNY_ROWS][MOST_COLUMNS], __m512i least[MOST_COLUMNS]) {
#pragma clang loop unroll(full)
    for (int j = 0; j < columns; j++) {
        const uint16_t *x = b + (size_t)j * ldb;
        __builtin_prefetch(x + (size_t)columns * ldb);  // the next tile's columns: short runs, found too late by hardware
        const __m512i right = load_elements(x, count);
        least[j] = mark(least[j], right);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const __m512i left = _mm512_loadu_si512(a + (size_t)i * A_ROW_STRIDE);
            sum[i][j] = _mm512_dpbf16_ps(sum[i][j], (__m512bh)left, (__m512bh)right);
        }
    }
}

// The sums of products of a[i, p] and b[j * ldb + p], 16 of them an element. Where row i of A or column j of B has a subnormal
// in this block of k, the element's share of the block is computed anew by widening.
V_INLINE void dot_tile(const int rows, const int columns, size_t depth, const float *a, const uint16_t *b, size_t ldb,
                       uint32_t marked, csimd_gemm_parts parts, float *c, size_t ldc) {
    v_f32 sum[SKINNY_ROWS][MOST_COLUMNS];
    __m512i least[MOST_COLUMNS];
#pragma clang loop unroll(full)
    for (int j = 0; j < columns; j++) {
        least[j] = no_mark();
        for (int i = 0; i < rows; i++)
            sum[i][j] = parts.first ? v_set(0) : load_floats(parts.sums + (size_t)j * parts.column + (size_t)i * v_lanes);
    }
    size_t p = 0;
    for (; p + 2 * v_lanes <= depth; p += 2 * v_lanes) dot_step(rows, columns, 2 * v_lanes, a + p / 2, b + p, ldb, sum, least);
    if (p < depth) dot_step(rows, columns, depth - p, a + p / 2, b + p, ldb, sum, least);
    uint32_t marked_columns = 0;
#pragma clang loop unroll(full)
    for (int j = 0; j < columns; j++) marked_columns |= (uint32_t)is_marked(least[j]) << j;
    if (__builtin_expect(marked | marked_columns, 0)) {
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++) {
                if (!((marked >> i & 1) | (marked_columns >> j & 1))) continue;
                const size_t at = (size_t)j * parts.column + (size_t)i * v_lanes;
                const v_f32 share = widened_sums(depth, a + (size_t)i * A_ROW_STRIDE, b + (size_t)j * ldb);
                sum[i][j] = parts.first ? share : v_add(load_floats(parts.sums + at), share);
            }
    }
    if (!parts.last) {
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++)
                store_floats(parts.sums + (size_t)j * parts.column + (size_t)i * v_lanes, sum[i][j]);
        return;
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        v_f32 four[4];
        for (int s = 0; s < 4; s++) four[s] = s < columns ? sum[i][s] : v_set(0);
        float total[4], *to = c + (size_t)i * ldc;
        sum_lanes_of_4(four, total);
        for (int s = 0; s < 4 && s < columns; s++) to[s] = (parts.add ? to[s] : 0) + total[s];
    }
}

V_INLINE void dot_columns(const int rows, const int width, size_t columns, size_t depth, const float *a, const uint16_t *b,
                          size_t ldb, csimd_gemm_parts parts, float *c, size_t ldc) {
    const uint32_t marked = marked_rows(a, (size_t)rows);
    float *const sums = parts.sums;
    size_t j = 0;
    for (; j + (size_t)width <= columns; j += (size_t)width) {
        if (sums != NULL) parts.sums = sums + j * parts.column;
        dot_tile(rows, width, depth, a, b + j * ldb, ldb, marked, parts, c + j, ldc);
    }
    for (; j < columns; j++) {
        if (sums != NULL) parts.sums = sums + j * parts.column;
        dot_tile(rows, 1, depth, a, b + j * ldb, ldb, marked, parts, c + j, ldc);
    }
}

// Two forms of each: long runs are of columns in conflict, others have no parts.
V_INLINE void dot_of(const int rows, size_t columns, size_t depth, const float *a, const uint16_t *b, size_t ldb,
                     csimd_gemm_parts parts, float *c, size_t ldc) {
    const csimd_gemm_parts none = {.first = true, .last = true, .add = parts.add};
    if (depth > LONG_RUN || !parts.first || !parts.last)
        dot_columns(rows, 2, columns, depth, a, b, ldb, parts, c, ldc);
    else
        dot_columns(rows, columns_at_once(rows), columns, depth, a, b, ldb, none, c, ldc);
}

void csimd_gemm_dot_avx512_bf16(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b,
                                size_t ldb, csimd_gemm_parts parts, float *c, size_t ldc) {
    assert(type == CSIMD_BF16);
    (void)type;
    switch (rows) {
    case 1:
        dot_of(1, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 2:
        dot_of(2, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 3:
        dot_of(3, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 4:
        dot_of(4, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 5:
        dot_of(5, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 6:
        dot_of(6, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 7:
        dot_of(7, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 8:
        dot_of(8, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    }
}

#pragma clang attribute pop
#endif
