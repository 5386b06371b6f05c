// Kernels of the family "embedding": rows added to rows, and the rotation of pairs by position.
#ifndef CSIMD_EMBEDDING_H
#define CSIMD_EMBEDDING_H

#include "../support/internal.h"

typedef struct {
    // sum[j] += x[j], sum float32 (float64 for f64).
    void (*add)(csimd_type type, size_t count, const void *x, void *sum);
    // `heads` heads of one row: see csimd_rotary. cosine and sine [head_size / 2]; sign is +1, or -1 for the inverse.
    void (*rotate)(csimd_type type, size_t heads, size_t head_size, const void *x, const void *cosine, const void *sine,
                   float sign, void *y);
} csimd_embedding_kernels;

extern const csimd_embedding_kernels csimd_embedding_kernels_ref;
#if CSIMD_X86
extern const csimd_embedding_kernels csimd_embedding_kernels_avx2;
extern const csimd_embedding_kernels csimd_embedding_kernels_avx512;
#endif

#endif
