// Multiply-add loops that reach the machine's float32 peak: what shares of peak are measured against.
#ifndef CSIMD_FMA_PROBE_H
#define CSIMD_FMA_PROBE_H

#include <stddef.h>

double csimd_fma_probe_ref(size_t iterations, double *flops);
double csimd_fma_probe_avx2(size_t iterations, double *flops);
double csimd_fma_probe_avx512(size_t iterations, double *flops);

#endif
