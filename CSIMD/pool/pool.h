// Kernels of the pool family: all channels of one pixel at a time, channels-last. The drivers (pool.c) say which pixels.
#ifndef CSIMD_POOL_H
#define CSIMD_POOL_H

#include "../support/internal.h"

// `at` are distances in elements from x, dy or dx; `place` says which element of its window a pixel is, a small integer. Places
// are kept as float16 numbers, which are exact up to CSIMD_POOL_AREA. The reference kernels take f64 too.
typedef struct {
    // y[c] = the largest of x[at[p] + c], NaN if any is; places[c] = place[p] of the first largest, or the last NaN.
    void (*max_window)(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place, const void *x,
                       void *y, uint16_t *places);
    // dx[at[p] + c] = places[c] is place[p] (and y[c] > 0 unless y is NULL) ? dy[c] : 0.
    void (*max_scatter)(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place, const void *dy,
                        const void *y, const uint16_t *places, void *dx);
    // dx[c] = sum over p of (places[at[p] + c] is place[p] (and y[at[p] + c] > 0)) ? dy[at[p] + c] : 0.
    void (*max_gather)(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place, const void *dy,
                       const void *y, const uint16_t *places, void *dx);
    // y[c] = scale times the sum over p of weight[p] x[at[p] + c].
    void (*weighted_sum)(csimd_type type, size_t channels, size_t count, const size_t *at, const double *weight, double scale,
                         const void *x, void *y);
} csimd_pool_kernels;

extern const csimd_pool_kernels csimd_pool_kernels_ref;
#if CSIMD_X86
extern const csimd_pool_kernels csimd_pool_kernels_avx2;
extern const csimd_pool_kernels csimd_pool_kernels_avx512;
#endif

#endif
