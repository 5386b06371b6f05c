// Kernels of the family "norm": layer and RMS normalisation of a block of rows in one thread. The driver (norm.c) has checked
// the arguments, cut the rows into blocks and advanced the pointers.
#ifndef CSIMD_NORM_H
#define CSIMD_NORM_H

#include "../support/internal.h"

typedef struct {
    // As csimd_row_norm for all rows of `block`.
    void (*forward)(const csimd_row_norm_args *block, void *y, void *mean, void *inverse_deviation);
    // dx of the rows of `block` where it is not NULL; *_sums[j] += the rows' shares of the gradients of weight and bias
    // (float32; float64 for f64), where they are not NULL.
    void (*backward)(const csimd_row_norm_args *block, const void *mean, const void *inverse_deviation, const void *dy,
                     void *dx, void *weight_sums, void *bias_sums);
} csimd_norm_kernels;

extern const csimd_norm_kernels csimd_norm_kernels_ref;
#if CSIMD_X86
extern const csimd_norm_kernels csimd_norm_kernels_avx2;
extern const csimd_norm_kernels csimd_norm_kernels_avx512;
#endif

static inline csimd_type csimd_norm_statistics_type(csimd_type type) { return type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32; }

#endif
