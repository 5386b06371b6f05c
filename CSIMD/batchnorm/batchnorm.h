// Kernels of the batchnorm family: columns of x [rows, channels], one chunk of rows in one thread. The drivers (batchnorm.c)
// cut by shape alone and combine chunks in order, in float64. Values a channel are float32, or float64 of f64.
#ifndef CSIMD_BATCHNORM_H
#define CSIMD_BATCHNORM_H

#include "../support/internal.h"

// Rows of a chunk: a lane adds at most a fourth of them before float64 takes over.
enum { csimd_batchnorm_chunk = 128 };

typedef struct {
    // The mean of the rows as center[c] + rest[c], squares[c] = sum of (x - center[c])^2.
    void (*moments)(csimd_type type, size_t rows, size_t channels, const void *x, void *center, void *rest, void *squares);
    // y = (x - mean) scale + shift, then max(0, .) if relu.
    void (*apply)(csimd_type type, size_t rows, size_t channels, const void *x, const void *mean, const void *scale,
                  const void *shift, bool relu, void *y);
    // sum[c] = sum of dy, product[c] = sum of dy (x - mean[c]).
    void (*products)(csimd_type type, size_t rows, size_t channels, const void *x, const void *dy, const void *mean, void *sum,
                     void *product);
    // dx = a dy + b (x - mean) + k.
    void (*gradient)(csimd_type type, size_t rows, size_t channels, const void *x, const void *dy, const void *mean,
                     const void *a, const void *b, const void *k, void *dx);
} csimd_batchnorm_kernels;

static inline csimd_type csimd_batchnorm_type(csimd_type type) { return type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32; }

extern const csimd_batchnorm_kernels csimd_batchnorm_kernels_ref;
#if CSIMD_X86
extern const csimd_batchnorm_kernels csimd_batchnorm_kernels_avx2;
extern const csimd_batchnorm_kernels csimd_batchnorm_kernels_avx512;
#endif

#endif
