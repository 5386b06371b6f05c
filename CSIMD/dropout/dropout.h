// Kernels of the family "dropout": one thread's share of the elements.
#ifndef CSIMD_DROPOUT_H
#define CSIMD_DROPOUT_H

#include "../support/internal.h"

typedef struct {
    // Element i takes word `position` + i of the generator, and is kept where its upper 53 bits are at least `threshold`.
    uint64_t seed, stream, position, threshold;
    double scale;  // of kept elements
} csimd_dropout_rule;

typedef struct {
    void (*drop)(const csimd_dropout_rule *rule, csimd_type type, size_t count, const void *x, void *y);
} csimd_dropout_kernels;

extern const csimd_dropout_kernels csimd_dropout_kernels_ref;
#if CSIMD_X86
extern const csimd_dropout_kernels csimd_dropout_kernels_avx2;
extern const csimd_dropout_kernels csimd_dropout_kernels_avx512;
#endif

// Elements whose masks are made together, and room for them from any position on.
enum { csimd_dropout_chunk = 512, csimd_dropout_masks = csimd_dropout_chunk + 32 };

#endif
