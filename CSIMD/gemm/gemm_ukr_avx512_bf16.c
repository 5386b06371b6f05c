// GEMM micro-kernel of bf16 by bf16, AVX512_BF16: 14x32 f32 (28x16 where at most 16 columns are left), two of k at a time.
// 28 accumulators + 2 vectors of B + 1 broadcast pair of A = 31 zmm. A step of two of k is 28 VDPBF16PS, on Zen 5 on 2 ports =
// 14 cycles (latency 6: 12 sums would do) against 2 + 14 loads on 2 ports = 8 cycles: bound by VDPBF16PS, at twice the
// multiply-adds a cycle of the float32 kernel. From L2 a tile draws 28 KiB of A and 64 KiB of B in 1,024 of k = 7,168 cycles:
// 13 bytes a cycle. The narrow tile's 28 need 1 + 28 loads, 14.5 cycles: bound by loads, just.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx512.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512_BF16))), apply_to = function)

#include "gemm_marks_avx512.h"

#include "gemm_pack_pairs_avx512.h"

#include "gemm_gather_pairs_avx512.h"

static void pack_a_panels(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed) {
    assert(type == CSIMD_BF16);
    (void)type;
    for (size_t i = 0; i < rows;) {
        const size_t height = csimd_gemm_next_height(rows - i, TILE_ROWS);
        pack_narrow((const uint16_t *)a + i, lda, depth, rows - i, packed);
        packed += ((depth + 1) / 2 + 1) * v_lanes;
        i += height;
    }
}

// VCVTNEPS2BF16 in place of 8 operations, unless there are subnormals, which it would flush.
V_INLINE __m256i round_bf16(v_f32 x) {
    enum { subnormal = 0x20 };
    if (__builtin_expect(_mm512_fpclass_ps_mask(x, subnormal) != 0, 0)) return v_round_bf16(x);
    return (__m256i)_mm512_cvtneps_pbh(x);
}

V_INLINE void store_result(csimd_type type, void *y, size_t index, size_t count, v_f32 value) {
    if (type != CSIMD_BF16) {
        store_some(type, y, index, count, value);
        return;
    }
    uint16_t *to = (uint16_t *)y + index;
    if (count >= v_lanes)
        _mm256_storeu_si256((__m256i *)(void *)to, round_bf16(value));
    else
        _mm256_mask_storeu_epi16(to, (__mmask16)((1u << count) - 1u), round_bf16(value));
}

V_INLINE void store_result_pair(csimd_type type, void *y, size_t index, v_f32 low, v_f32 high) {
    enum { subnormal = 0x20 };
    if (type != CSIMD_BF16 ||
        __builtin_expect((_mm512_fpclass_ps_mask(low, subnormal) | _mm512_fpclass_ps_mask(high, subnormal)) != 0, 0))
        v_store_pair(type, y, index, low, high);
    else
        _mm512_storeu_si512((uint16_t *)y + index, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

#include "gemm_finish_body.h"

V_INLINE v_f32 multiply_add(v_f32 left, v_f32 right, v_f32 sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_castps_si512(left), (__m512bh)_mm512_castps_si512(right));
}

#include "gemm_ukr_body.h"

enum { NARROW_COLUMNS = v_lanes };

#include "gemm_tiles_avx512_body.h"

void csimd_gemm_multiply_avx512_bf16(size_t rows, size_t columns, size_t pairs, const float *a, bool a_in_panels,
                                     const float *b, bool add, float *c, size_t ldc) {
    multiply_tile(rows, columns, pairs, a, a_in_panels, b, add, c, ldc);
}

void csimd_gemm_finish_avx512_bf16(const csimd_gemm_args *args, size_t i, size_t j, size_t rows, size_t columns, float alpha,
                                   const float *sums, size_t ldsums) {
    finish(args, i, j, rows, columns, alpha, sums, ldsums);
}

// The same tile of 1 or 4 rows with every element widened, in order of p, as the float32 kernel does it: subnormals count. A
// step of two of k by 4 rows is 16 FMA and 12 operations that widen: about half the rate of FMA, which is enough for what is
// rare.
V_INLINE void widened_tile(const int rows, const int vectors, size_t columns, size_t pairs, const float *a, size_t a_row,
                           size_t a_step, const float *b, bool add, float *c, size_t ldc) {
    v_f32 sum[WIDENED_ROWS][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) sum[i][v] = v_set(0);
    for (size_t q = 0; q < pairs; q++, a += a_step, b += vectors * v_lanes) {
        v_f32 even[2], odd[2];
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) split_pairs(CSIMD_BF16, load_floats(b + v * v_lanes), &even[v], &odd[v]);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            v_f32 left_even, left_odd;
            split_pairs(CSIMD_BF16, v_set(a[(size_t)i * a_row]), &left_even, &left_odd);
            for (int v = 0; v < vectors; v++) sum[i][v] = v_fma(left_odd, odd[v], v_fma(left_even, even[v], sum[i][v]));
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        for (int v = 0; v < vectors; v++) {
            const size_t offset = (size_t)i * ldc + (size_t)v * v_lanes, count = columns - (size_t)v * v_lanes;
            v_f32 z = sum[i][v];
            if (add) z = v_add(load_some(CSIMD_F32, c, offset, count), z);
            store_some(CSIMD_F32, c, offset, count, z);
        }
    }
}

V_INLINE void widened_rows(const int vectors, size_t rows, size_t columns, size_t pairs, const float *a, size_t a_row,
                           size_t a_step, const float *b, bool add, float *c, size_t ldc) {
    size_t i = 0;
    for (; i + WIDENED_ROWS <= rows; i += WIDENED_ROWS)
        widened_tile(WIDENED_ROWS, vectors, columns, pairs, a + i * a_row, a_row, a_step, b, add, c + i * ldc, ldc);
    for (; i < rows; i++) widened_tile(1, vectors, columns, pairs, a + i * a_row, a_row, a_step, b, add, c + i * ldc, ldc);
}

// A tile that meets a subnormal: rows without one keep the fast kernel, unless the panel of B has one.
static __attribute__((noinline)) void multiply_marked(size_t rows, size_t columns, size_t pairs, const float *a,
                                                      bool a_in_panels, uint32_t marked, const float *b, bool add, float *c,
                                                      size_t ldc) {
    const size_t a_row = a_in_panels ? 1 : A_ROW_STRIDE, a_step = a_in_panels ? v_lanes : 1;
    for (size_t i = 0, end; i < rows; i = end) {
        const uint32_t kind = marked >> i & 1;
        for (end = i + 1; end < rows && (marked >> end & 1) == kind; end++) {
        }
        if (kind == 0)
            multiply_tile(end - i, columns, pairs, a + i * a_row, a_in_panels, b, add, c + i * ldc, ldc);
        else if (columns > v_lanes)
            widened_rows(2, end - i, columns, pairs, a + i * a_row, a_row, a_step, b, add, c + i * ldc, ldc);
        else
            widened_rows(1, end - i, columns, pairs, a + i * a_row, a_row, a_step, b, add, c + i * ldc, ldc);
    }
}

static void multiply(size_t rows, size_t columns, size_t depth, const float *a, bool a_in_panels, const float *b, bool add,
                     float *c, size_t ldc) {
    const size_t pairs = (depth + 1) / 2;
    uint32_t marked = has_mark(b + pairs * (columns > v_lanes ? TILE_COLUMNS : v_lanes)) ? UINT32_MAX : 0;
    if (marked == 0) marked = a_in_panels ? marked_rows_of_panel(a, pairs) : marked_rows(a, rows);
    marked &= (uint32_t)(((uint64_t)1 << rows) - 1);
    if (__builtin_expect(marked != 0, 0))
        multiply_marked(rows, columns, pairs, a, a_in_panels, marked, b, add, c, ldc);
    else
        multiply_tile(rows, columns, pairs, a, a_in_panels, b, add, c, ldc);
}

const csimd_gemm_kernels csimd_gemm_avx512_bf16 = {
    .mr = TILE_ROWS,
    .narrow_mr = NARROW_TILE_ROWS,
    .nr = TILE_COLUMNS,
    .kc = DEPTH,
    .mc = 140,
    .nc = 512,
    .a_row_stride = A_ROW_STRIDE,
    .a_panel_width = v_lanes,
    .pairs = true,
    .pack_a_rows = pack_a_rows,
    .pack_a_panels = pack_a_panels,
    .pack_b_rows = pack_b_rows,
    .pack_b_columns = pack_b_columns,
    .pack_a_gathered = pack_a_gathered,
    .pack_b_gathered = pack_b_gathered,
    .multiply = multiply,
    .finish = finish,
    .few_dot_rows = SKINNY_ROWS,
    .dot_few = csimd_gemm_dot_avx512_bf16,
    .turn = csimd_gemm_turn_avx512,
};

#pragma clang attribute pop
#endif
