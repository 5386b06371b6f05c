// GEMM micro-kernel of small products, AVX2: 6x16 f32, or 12x8 where at most 8 columns are left.
// 12 accumulators + 2 vectors of B + 1 broadcast of A = 15 ymm; a mask of the last vector takes the 16th. A step of k is 12 FMA
// on 2 ports = 6 cycles against 8 loads, 4 cycles: bound by FMA. 16-bit rows that end inside a vector are not for this kernel:
// AVX2 masks whole float32 lanes only.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx2.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

#include "gemm_small_body.h"

V_INLINE void small_of(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, size_t a_row, size_t a_step,
                       const void *b, size_t ldb, bool b_packed, bool add, float *c, size_t ldc, size_t c_columns) {
    switch (rows) {
    case 1:
        small_rows(type, 1, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 2:
        small_rows(type, 2, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 3:
        small_rows(type, 3, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 4:
        small_rows(type, 4, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 5:
        small_rows(type, 5, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 6:
        small_rows(type, 6, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 7:
        small_rows(type, 7, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 8:
        small_rows(type, 8, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 9:
        small_rows(type, 9, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 10:
        small_rows(type, 10, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 11:
        small_rows(type, 11, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 12:
        small_rows(type, 12, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    }
}

void csimd_gemm_small_avx2(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, size_t a_row,
                           size_t a_step, const void *b, size_t ldb, bool b_packed, bool add, float *c, size_t ldc,
                           size_t c_columns) {
    if (type == CSIMD_F32)
        small_of(CSIMD_F32, rows, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
    if (type == CSIMD_F16)
        small_of(CSIMD_F16, rows, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
    if (type == CSIMD_BF16)
        small_of(CSIMD_BF16, rows, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
}

#pragma clang attribute pop
#endif
