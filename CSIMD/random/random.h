// Kernels of the family "random": one thread's share of the numbers.
#ifndef CSIMD_RANDOM_H
#define CSIMD_RANDOM_H

#include "../support/internal.h"

// Numbers of a distribution, see csimd_random.
typedef struct {
    csimd_distribution kind;
    uint64_t seed, stream, position;
    double start, scale;
} csimd_random_rule;

enum { csimd_random_run = 256 };  // numbers that are made together

typedef struct {
    // y[i] is number i of those that begin with word rule->position of the stream.
    void (*fill)(const csimd_random_rule *rule, csimd_type type, size_t count, void *y);
} csimd_random_kernels;

extern const csimd_random_kernels csimd_random_kernels_ref;
#if CSIMD_X86
extern const csimd_random_kernels csimd_random_kernels_avx2;
extern const csimd_random_kernels csimd_random_kernels_avx512;
#endif

#endif
