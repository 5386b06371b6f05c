// GEMM of few rows of bf16 by bf16, B stored [columns, depth], AVX512_BF16: 1 to 8 rows by 4 or 3 columns of dot products, B
// read where it lies, 32 elements a vector. (rows + 1) columns vectors of sums and marks + 1 of B + 1 constant = 29 zmm at 8
// rows by 3 columns, A from L1. A step of 32 of k is 24 VDPBF16PS, 12 cycles, and 9 operations that look for subnormals,
// against 24 + 3 loads, 13.5 cycles, for 192 bytes of B: 14 bytes a cycle, about what memory delivers. Fewer rows are bound by
// reading B.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx512.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512_BF16))), apply_to = function)

#include "gemm_marks_avx512.h"

// Columns of B are mostly a multiple of 4 KiB apart, on one set of L1, which has 12 lines: 4 columns and the 4 prefetched fit.
// 6 to 8 columns took 1.1 times as long for one row and 1.7 times for 4 (4096 x 4096).
enum { MOST_COLUMNS = 4, MOST_VECTORS = 30 };

// From 5 rows on a divisor of 12, the columns that more than 8 rows take turns at (gemm_skinny.c).
V_INLINE int columns_at_once(int rows) {
    const int most = MOST_VECTORS / (rows + 1);
    return most < MOST_COLUMNS ? most : MOST_COLUMNS;
}

// The dot product of one row and one column with every element widened: subnormals count.
static float widened_dot(size_t depth, const float *a, const uint16_t *b) {
    v_f32 sums[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
    for (size_t p = 0; p < depth; p += 2 * v_lanes) {
        v_f32 left[2], right[2];
        split_pairs(CSIMD_BF16, load_floats(a + p / 2), &left[0], &left[1]);
        split_pairs(CSIMD_BF16, _mm512_castsi512_ps(load_elements(b + p, depth - p)), &right[0], &right[1]);
        for (int half = 0; half < 2; half++) sums[half] = v_fma(left[half], right[half], sums[half]);
    }
    float total[4];
    sum_lanes_of_4(sums, total);
    return total[0] + total[1];
}

// c[i, j] = (add ? c[i, j] : 0) + sum_p a[i, p] b[j * ldb + p] for `columns` columns, summed in 16 interleaved sums. An element
// of C whose row of A or column of B has a subnormal is computed anew by widening.
V_INLINE void dot_tile(const int rows, const int columns, size_t depth, const float *a, const uint16_t *b, size_t ldb,
                       uint32_t marked, bool add, float *c, size_t ldc) {
    v_f32 sum[SKINNY_ROWS][MOST_COLUMNS];
    __m512i least[MOST_COLUMNS];
#pragma clang loop unroll(full)
    for (int j = 0; j < columns; j++) {
        least[j] = no_mark();
        for (int i = 0; i < rows; i++) sum[i][j] = v_set(0);
    }
    for (size_t p = 0; p < depth; p += 2 * v_lanes) {
        const bool whole = p + 2 * v_lanes <= depth;
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) {
            const uint16_t *x = b + (size_t)j * ldb + p;
            __builtin_prefetch(x + (size_t)columns * ldb);  // the next tile's columns: short runs, found too late by hardware
            const __m512i right = whole ? _mm512_loadu_si512(x) : load_elements(x, depth - p);
            least[j] = mark(least[j], right);
#pragma clang loop unroll(full)
            for (int i = 0; i < rows; i++) {
                const __m512i left = _mm512_loadu_si512(a + (size_t)i * A_ROW_STRIDE + p / 2);
                sum[i][j] = _mm512_dpbf16_ps(sum[i][j], (__m512bh)left, (__m512bh)right);
            }
        }
    }
    uint32_t marked_columns = 0;
#pragma clang loop unroll(full)
    for (int j = 0; j < columns; j++) marked_columns |= (uint32_t)is_marked(least[j]) << j;
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < columns; j += 4) {
            v_f32 four[4];
            for (int s = 0; s < 4; s++) four[s] = j + s < columns ? sum[i][j + s] : v_set(0);
            float total[4], *to = c + (size_t)i * ldc + j;
            sum_lanes_of_4(four, total);
            if (__builtin_expect((marked >> i & 1) | (marked_columns >> j & 15), 0))
                for (int s = 0; s < 4 && j + s < columns; s++)
                    if ((marked >> i & 1) | (marked_columns >> (j + s) & 1))
                        total[s] = widened_dot(depth, a + (size_t)i * A_ROW_STRIDE, b + (size_t)(j + s) * ldb);
            for (int s = 0; s < 4 && j + s < columns; s++) to[s] = (add ? to[s] : 0) + total[s];
        }
    }
}

V_INLINE void dot_of(const int rows, size_t columns, size_t depth, const float *a, const uint16_t *b, size_t ldb, bool add,
                     float *c, size_t ldc) {
    const size_t width = (size_t)columns_at_once(rows);
    const uint32_t marked = marked_rows(a, (size_t)rows);
    size_t j = 0;
    for (; j + width <= columns; j += width)
        dot_tile(rows, columns_at_once(rows), depth, a, b + j * ldb, ldb, marked, add, c + j, ldc);
    for (; j < columns; j++) dot_tile(rows, 1, depth, a, b + j * ldb, ldb, marked, add, c + j, ldc);
}

void csimd_gemm_dot_avx512_bf16(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b,
                                size_t ldb, bool add, float *c, size_t ldc) {
    assert(type == CSIMD_BF16);
    (void)type;
    switch (rows) {
    case 1:
        dot_of(1, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 2:
        dot_of(2, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 3:
        dot_of(3, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 4:
        dot_of(4, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 5:
        dot_of(5, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 6:
        dot_of(6, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 7:
        dot_of(7, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 8:
        dot_of(8, columns, depth, a, b, ldb, add, c, ldc);
        return;
    }
}

#pragma clang attribute pop
#endif
