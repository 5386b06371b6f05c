// GEMM micro-kernel of small products, AVX-512: 14x32 f32, or 14x16 where at most 16 columns are left.
// 28 accumulators + 2 vectors of B + 1 broadcast of A = 31 zmm; A's 14 rows, any stride apart, take 5 address registers. A step
// of k is 28 FMA on 2 ports = 14 cycles; widening 2 vectors of bf16 adds 4 operations to them. The narrow tile's 14 FMA are
// 7 cycles against 15 loads, 7.5: bound by loads, just.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx512.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

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
    case 13:
        small_rows(type, 13, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    case 14:
        small_rows(type, 14, columns, depth, a, a_row, a_step, b, ldb, b_packed, add, c, ldc, c_columns);
        return;
    }
}

void csimd_gemm_small_avx512(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, size_t a_row,
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
