// Kernels of the family "norm": layer and RMS normalisation of a block of rows in one thread. The driver (norm.c) has checked
// the arguments, cut the rows into blocks and advanced the pointers.
#ifndef CSIMD_NORM_H
#define CSIMD_NORM_H

#include "../support/internal.h"

typedef struct {
    // As csimd_row_norm for all rows of `block`.
    void (*forward)(const csimd_row_norm_args *block, void *y, csimd_row_statistics *statistics);
    // dx of the rows of `block` where it is not NULL; *_sums[j] += the rows' shares of the gradients of weight and bias
    // (float32; float64 for f64), where they are not NULL.
    void (*backward)(const csimd_row_norm_args *block, const csimd_row_statistics *statistics, const void *dy, void *dx,
                     void *weight_sums, void *bias_sums);
} csimd_norm_kernels;

extern const csimd_norm_kernels csimd_norm_kernels_ref;
#if CSIMD_X86
extern const csimd_norm_kernels csimd_norm_kernels_avx2;
extern const csimd_norm_kernels csimd_norm_kernels_avx512;
#endif

// Row `row` of the reference row's kernels, in float64: for rows that float32 arithmetic has no room for.
void csimd_norm_forward_row(const csimd_row_norm_args *block, size_t row, void *y, csimd_row_statistics *statistics);
void csimd_norm_backward_row(const csimd_row_norm_args *block, size_t row, const csimd_row_statistics *statistics,
                             const void *dy, void *dx, void *weight_sums, void *bias_sums);

static inline csimd_type csimd_norm_sum_type(csimd_type type) { return type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32; }

// x normalised by the statistics of its row.
static inline double csimd_normalized(double x, const csimd_row_statistics *s) {
    return ((x * s->unit - s->center) - s->correction) * s->inverse;
}

#endif
