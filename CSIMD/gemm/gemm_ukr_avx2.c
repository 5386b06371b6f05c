// GEMM micro-kernel, AVX2: 6x16 f32 (12x8 where at most 8 columns are left).
// 12 accumulators + 2 vectors of B + 2 broadcasts of A = 16 ymm. A step of k is 12 FMA on 2 ports = 6 cycles against
// 2 + 6 loads on 2 ports = 4 cycles: bound by FMA. The narrow tile's 12 FMA need 1 + 12 loads, 6.5 cycles: bound by
// loads, just.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx2.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

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

static void multiply_rows(size_t rows, size_t columns, size_t depth, const float *a, const float *b, bool add, float *c,
                          size_t ldc) {
    switch (rows) {
    case 1:
        tile(1, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 2:
        tile(2, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 3:
        tile(3, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 4:
        tile(4, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 5:
        tile(5, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 6:
        tile(6, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    }
}

static void multiply_panels(size_t rows, size_t columns, size_t depth, const float *a, const float *b, bool add, float *c,
                            size_t ldc) {
    switch (rows) {
    case 1:
        tile(1, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 2:
        tile(2, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 3:
        tile(3, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 4:
        tile(4, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 5:
        tile(5, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 6:
        tile(6, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    }
}

static void multiply_narrow_rows(size_t rows, size_t columns, size_t depth, const float *a, const float *b, bool add, float *c,
                                 size_t ldc) {
    switch (rows) {
    case 1:
        tile(1, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 2:
        tile(2, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 3:
        tile(3, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 4:
        tile(4, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 5:
        tile(5, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 6:
        tile(6, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 7:
        tile(7, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 8:
        tile(8, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 9:
        tile(9, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 10:
        tile(10, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 11:
        tile(11, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 12:
        tile(12, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    }
}

static void multiply_narrow_panels(size_t rows, size_t columns, size_t depth, const float *a, const float *b, bool add,
                                   float *c, size_t ldc) {
    switch (rows) {
    case 1:
        tile(1, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 2:
        tile(2, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 3:
        tile(3, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 4:
        tile(4, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 5:
        tile(5, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 6:
        tile(6, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    }
}

static void multiply(size_t rows, size_t columns, size_t depth, const float *a, bool a_in_panels, const float *b, bool add,
                     float *c, size_t ldc) {
    if (columns > v_lanes) {
        if (a_in_panels)
            multiply_panels(rows, columns, depth, a, b, add, c, ldc);
        else
            multiply_rows(rows, columns, depth, a, b, add, c, ldc);
    } else {
        if (a_in_panels)
            multiply_narrow_panels(rows, columns, depth, a, b, add, c, ldc);
        else
            multiply_narrow_rows(rows, columns, depth, a, b, add, c, ldc);
    }
}

static void turn(const float *x, size_t ldx, size_t depth, size_t columns, float *turned) {
    pack_b_columns(CSIMD_F32, x, ldx, depth, columns, turned);
}

const csimd_gemm_kernels csimd_gemm_avx2 = {
    .mr = TILE_ROWS,
    .narrow_mr = NARROW_TILE_ROWS,
    .nr = TILE_COLUMNS,
    .kc = DEPTH,
    .mc = 144,
    .nc = 512,
    .a_row_stride = A_ROW_STRIDE,
    .a_panel_width = v_lanes,
    .pack_a_rows = pack_a_rows,
    .pack_a_panels = pack_a_panels,
    .pack_b_rows = pack_b_rows,
    .pack_b_columns = pack_b_columns,
    .pack_a_gathered = pack_a_gathered,
    .pack_b_gathered = pack_b_gathered,
    .multiply = multiply,
    .finish = finish,
    .few_rows = TILE_ROWS,
    .few_dot_rows = SKINNY_ROWS,
    .multiply_few = csimd_gemm_few_avx2,
    .dot_few = csimd_gemm_dot_avx2,
    .turn = turn,
    .small_narrow_mr = SMALL_NARROW_ROWS,
    .small_reads_any_width = false,
    .multiply_small = csimd_gemm_small_avx2,
};

#pragma clang attribute pop
#endif
