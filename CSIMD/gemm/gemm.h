// The GEMM family's contract: what an instruction set supplies (packing, one micro-kernel, one finishing pass) and the
// block sizes it wants. The loops over blocks are in gemm.c and are the same for all.
#ifndef CSIMD_GEMM_H
#define CSIMD_GEMM_H

#include "../support/internal.h"

// A block of op(A) is kept in one of two layouts, both float32, so that neither needs a transposing pack:
//   rows    A not transposed: element (i, p) at i * a_row_stride + p; the stride is odd in cache lines (no set conflicts)
//   panels  A transposed:     panels of tile height, element (i, p) of a panel at p * a_panel_width + i
// op(B) is packed in panels of nr columns, element (p, j) at p * nr + j; a last panel of at most nr / 2 columns is packed
// nr / 2 wide. Columns past the edge are zeros; what they produce is never stored.
typedef struct csimd_gemm_kernels {
    size_t mr, narrow_mr;  // tile height for panels of nr and of nr / 2 columns (narrow_mr in the rows layout only)
    size_t nr;             // tile width
    size_t kc, mc, nc;     // block sizes; kc is also the longest run summed in one register
    size_t a_row_stride, a_panel_width;

    // Widen rows x depth elements of A, stored [rows, depth] (pack_a_rows) or [depth, rows] (pack_a_panels).
    void (*pack_a_rows)(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed);
    void (*pack_a_panels)(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed);
    // Widen depth x columns elements of B, stored [depth, columns] (pack_b_rows) or [columns, depth] (pack_b_columns).
    void (*pack_b_rows)(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed);
    void (*pack_b_columns)(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed);

    // c[i, j] = (add ? c[i, j] : 0) + sum_p a[i, p] b[p, j] for one tile, the sum formed from 0 in order of p.
    // rows <= mr (narrow_mr where it may be), columns <= nr.
    void (*multiply)(size_t rows, size_t columns, size_t depth, const float *a, bool a_in_panels, const float *b, bool add,
                     float *c, size_t ldc);

    // C[i + r, j + s] = round(epilogue(alpha sums[r, s] + beta C + bias)) for r < rows, s < columns <= nr; `args` points
    // at the product's own matrices. sums is float32 with row stride ldsums, its rows readable to nr elements.
    void (*finish)(const csimd_gemm_args *args, size_t i, size_t j, size_t rows, size_t columns, float alpha, const float *sums,
                   size_t ldsums);

    // The whole product by its formula; a row that has this needs nothing else.
    void (*formula)(const csimd_gemm_args *args);
} csimd_gemm_kernels;

extern const csimd_gemm_kernels csimd_gemm_ref;
#if CSIMD_X86
extern const csimd_gemm_kernels csimd_gemm_avx2;
extern const csimd_gemm_kernels csimd_gemm_avx512;
#endif

// Height of the next tile where `left` rows remain: as few tiles as `mr` allows, their heights differing by at most one.
static inline size_t csimd_gemm_next_height(size_t left, size_t mr) {
    size_t tiles = (left + mr - 1) / mr;
    return (left + tiles - 1) / tiles;
}

// Address of element `index` of an array of `type`.
static inline const void *csimd_gemm_at(csimd_type type, const void *x, size_t index) {
    return (const char *)x + index * csimd_type_size(type);
}

#endif
