// GEMM of few rows, AVX2: 1 to 6 rows by 8 to 2 vectors of 8 columns, or 1 to 6 rows by 4 to 2 columns of dot products.
// At most 12 sums + the vectors of B + 1 of A in 16 registers (one row keeps 8 sums and 8 vectors of B, some of them in
// memory). One row: a vector of bf16 takes a load and 3 operations, 8 vectors (128 bytes of B) about 16 cycles, far faster than
// memory delivers them: bound by reading B up to about 8 rows.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx2.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

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
    }
}

void csimd_gemm_few_avx2(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b, size_t ldb,
                         bool add, float *c, size_t ldc) {
    if (type == CSIMD_F32) few(CSIMD_F32, rows, columns, depth, a, b, ldb, add, c, ldc);
    if (type == CSIMD_F16) few(CSIMD_F16, rows, columns, depth, a, b, ldb, add, c, ldc);
    if (type == CSIMD_BF16) few(CSIMD_BF16, rows, columns, depth, a, b, ldb, add, c, ldc);
}

void csimd_gemm_dot_avx2(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b, size_t ldb,
                         csimd_gemm_parts parts, float *c, size_t ldc) {
    if (type == CSIMD_F32) dot(CSIMD_F32, rows, columns, depth, a, b, ldb, parts, c, ldc);
    if (type == CSIMD_F16) dot(CSIMD_F16, rows, columns, depth, a, b, ldb, parts, c, ldc);
    if (type == CSIMD_BF16) dot(CSIMD_BF16, rows, columns, depth, a, b, ldb, parts, c, ldc);
}

#pragma clang attribute pop
#endif
