// Kernels of the elementwise family; the driver in elementwise.c checks arguments, joins rows where they are contiguous, and
// threads. No element's result depends on its position, so any cut of the work gives the same bits.
#ifndef CSIMD_ELEMENTWISE_H
#define CSIMD_ELEMENTWISE_H

#include "../support/internal.h"

// A sum of arrays, see csimd_sum_arrays.
typedef struct {
    csimd_type type, y_type;
    size_t terms;
    const void *const *x;
    bool accumulate;
} csimd_sum;

typedef struct {
    // `stream` allows stores past the caches: y is not read soon and none of the operands.
    void (*unary)(csimd_unary_op op, csimd_type type, size_t count, const void *x, double p, double q, void *y, bool stream);
    // As csimd_binary, y's rows contiguous.
    void (*binary)(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b, void *y,
                   bool stream);
    // Elements `at` ..< `at` + count of the terms, to y[0 ..< count].
    void (*sum_arrays)(const csimd_sum *sum, size_t at, size_t count, void *y);
    // As csimd_silu_multiply_gradient.
    void (*silu_multiply_gradient)(csimd_type type, size_t count, const void *gate, const void *x, const void *dy,
                                   void *gate_gradient, void *x_gradient);
} csimd_elementwise_kernels;

extern const csimd_elementwise_kernels csimd_elementwise_kernels_ref;
#if CSIMD_X86
extern const csimd_elementwise_kernels csimd_elementwise_kernels_avx2;
extern const csimd_elementwise_kernels csimd_elementwise_kernels_avx512;
#endif

#endif
