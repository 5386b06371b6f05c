// GEMM micro-kernel, AVX-512: 14x32 f32 (28x16 where at most 16 columns are left).
// 28 accumulators + 2 vectors of B + 1 broadcast of A = 31 zmm. A step of k is 28 FMA on 2 ports = 14 cycles against
// 2 + 14 loads on 2 ports = 8 cycles: bound by FMA. The narrow tile's 28 FMA need 1 + 28 loads, 14.5 cycles: bound by
// loads, just. Short tiles are bound by the FMA's latency below 4 (8) rows.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx512.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

#include "gemm_pack_body.h"

#include "gemm_gather_body.h"

V_INLINE void store_result(csimd_type type, void *y, size_t index, size_t count, v_f32 value) {
    store_some(type, y, index, count, value);
}

V_INLINE void store_result_pair(csimd_type type, void *y, size_t index, v_f32 low, v_f32 high) {
    v_store_pair(type, y, index, low, high);
}

#include "gemm_finish_body.h"

V_INLINE v_f32 multiply_add(v_f32 left, v_f32 right, v_f32 sum) { return v_fma(left, right, sum); }

#include "gemm_ukr_body.h"

enum { NARROW_COLUMNS = v_lanes };

#include "gemm_tiles_avx512_body.h"

void csimd_gemm_turn_avx512(const float *x, size_t ldx, size_t depth, size_t columns, float *turned) {
    pack_b_columns(CSIMD_F32, x, ldx, depth, columns, turned);
}

void csimd_gemm_finish_avx512(const csimd_gemm_args *args, size_t i, size_t j, size_t rows, size_t columns, float alpha,
                              const float *sums, size_t ldsums) {
    finish(args, i, j, rows, columns, alpha, sums, ldsums);
}

const csimd_gemm_kernels csimd_gemm_avx512 = {
    .mr = TILE_ROWS,
    .narrow_mr = NARROW_TILE_ROWS,
    .nr = TILE_COLUMNS,
    .kc = DEPTH,
    .mc = 140,
    .nc = 512,
    .a_row_stride = A_ROW_STRIDE,
    .a_panel_width = v_lanes,
    .pack_a_rows = pack_a_rows,
    .pack_a_panels = pack_a_panels,
    .pack_b_rows = pack_b_rows,
    .pack_b_columns = pack_b_columns,
    .pack_a_gathered = pack_a_gathered,
    .pack_b_gathered = pack_b_gathered,
    .multiply = multiply_tile,
    .finish = finish,
    .few_rows = TILE_ROWS,
    .few_dot_rows = SKINNY_ROWS,
    .multiply_few = csimd_gemm_few_avx512,
    .dot_few = csimd_gemm_dot_avx512,
    .turn = csimd_gemm_turn_avx512,
    .small_narrow_mr = SMALL_NARROW_ROWS,
    .small_reads_any_width = true,
    .multiply_small = csimd_gemm_small_avx512,
};

#pragma clang attribute pop
#endif
