// GEMM of few rows, AVX-512: 1 to 14 rows by 8 to 2 vectors of 16 columns, or 1 to 8 rows by 4 or 3 columns of dot products.
// At most 28 sums + the vectors of B + 1 of A in 32 registers. One row: a vector of bf16 takes a load and
// 3 operations, 8 vectors (256 bytes of B) about 16 cycles, far faster than memory delivers them: bound by reading B up to
// about 8 rows.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx512.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

#include "gemm_skinny_body.h"

V_INLINE void few(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b, size_t ldb,
                  bool add, float *c, size_t ldc) {
    switch (rows) {
    case 1:
        rows_of(type, 1, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 2:
        rows_of(type, 2, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 3:
        rows_of(type, 3, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 4:
        rows_of(type, 4, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 5:
        rows_of(type, 5, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 6:
        rows_of(type, 6, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 7:
        rows_of(type, 7, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 8:
        rows_of(type, 8, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 9:
        rows_of(type, 9, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 10:
        rows_of(type, 10, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 11:
        rows_of(type, 11, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 12:
        rows_of(type, 12, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 13:
        rows_of(type, 13, columns, depth, a, b, ldb, add, c, ldc);
        return;
    case 14:
        rows_of(type, 14, columns, depth, a, b, ldb, add, c, ldc);
        return;
    }
}

V_INLINE void dot(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b, size_t ldb,
                  csimd_gemm_parts parts, float *c, size_t ldc) {
    switch (rows) {
    case 1:
        dot_of(type, 1, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 2:
        dot_of(type, 2, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 3:
        dot_of(type, 3, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 4:
        dot_of(type, 4, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 5:
        dot_of(type, 5, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 6:
        dot_of(type, 6, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 7:
        dot_of(type, 7, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    case 8:
        dot_of(type, 8, columns, depth, a, b, ldb, parts, c, ldc);
        return;
    }
}

void csimd_gemm_few_avx512(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b,
                           size_t ldb, bool add, float *c, size_t ldc) {
    if (type == CSIMD_F32) few(CSIMD_F32, rows, columns, depth, a, b, ldb, add, c, ldc);
    if (type == CSIMD_F16) few(CSIMD_F16, rows, columns, depth, a, b, ldb, add, c, ldc);
    if (type == CSIMD_BF16) few(CSIMD_BF16, rows, columns, depth, a, b, ldb, add, c, ldc);
}

void csimd_gemm_dot_avx512(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b,
                           size_t ldb, csimd_gemm_parts parts, float *c, size_t ldc) {
    if (type == CSIMD_F32) dot(CSIMD_F32, rows, columns, depth, a, b, ldb, parts, c, ldc);
    if (type == CSIMD_F16) dot(CSIMD_F16, rows, columns, depth, a, b, ldb, parts, c, ldc);
    if (type == CSIMD_BF16) dot(CSIMD_BF16, rows, columns, depth, a, b, ldb, parts, c, ldc);
}

#pragma clang attribute pop
#endif
