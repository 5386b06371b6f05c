// Kernels of the reduce family. They reduce one chunk in one thread; the drivers (reduce.c, argmax.c, finite_check.c) cut
// arrays into chunks by shape alone and combine them in order, so that bits do not depend on threads.
// Values travel as double: every element of every type is one exactly.
#ifndef CSIMD_REDUCE_H
#define CSIMD_REDUCE_H

#include "../support/internal.h"

// Elements of a chunk along the reduced axis: contiguous, and strided. Long enough to hide the combining, short enough that a
// float32 lane adds at most 128 elements (in AVX2: 4096 / 4 accumulators / 8 lanes) before float64 takes over.
enum { csimd_reduce_row_chunk = 4096, csimd_reduce_column_chunk = 128, csimd_finite_chunk = 16384 };

typedef struct {
    // Sum, or maximum (NaN where any is, -INFINITY of nothing), of x[0 ..< count]; the sum of at most a row chunk.
    double (*sum_row)(csimd_type type, size_t count, const void *x);
    double (*max_row)(csimd_type type, size_t count, const void *x);
    // The same down each column of x [rows, columns], whose rows are row_stride apart; the sum of at most a column chunk.
    void (*sum_columns)(csimd_type type, size_t rows, size_t columns, size_t row_stride, const void *x, double *result);
    void (*max_columns)(csimd_type type, size_t rows, size_t columns, size_t row_stride, const void *x, double *result);
    // The least index of `value`, where that is NaN of a NaN; count where there is none.
    size_t (*find)(csimd_type type, size_t count, const void *x, double value);
    // The least index of an infinity or NaN, count where there is none; the sum of the norm's powers, or the maximum, in
    // float64.
    size_t (*finite_check)(csimd_type type, csimd_norm norm, size_t count, const void *x, double *power_sum);
} csimd_reduce_kernels;

// The larger, NaN where either is.
static inline double csimd_nan_maximum(double a, double b) { return a != a || a > b ? a : b; }

extern const csimd_reduce_kernels csimd_reduce_kernels_ref;
#if CSIMD_X86
extern const csimd_reduce_kernels csimd_reduce_kernels_avx2;
extern const csimd_reduce_kernels csimd_reduce_kernels_avx512;
#endif

#endif
