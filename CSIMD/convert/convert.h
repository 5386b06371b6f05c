// Kernels of the convert family; the driver in convert.c checks arguments and threads.
#ifndef CSIMD_CONVERT_H
#define CSIMD_CONVERT_H

#include "../support/internal.h"

typedef struct {
    // y[i] = round(x[i]) as csimd_convert says. `stream` allows stores past the caches (y is not read soon, x != y).
    void (*convert)(csimd_type from, const void *x, csimd_type to, void *y, size_t count, bool stream);
    // y[i] = round(x[i] * scale + shift): one row of csimd_gather_normalize_u8.
    void (*normalize_u8)(size_t count, const uint8_t *x, float scale, float shift, csimd_type to, void *y);
} csimd_convert_kernels;

extern const csimd_convert_kernels csimd_convert_kernels_ref;
#if CSIMD_X86
extern const csimd_convert_kernels csimd_convert_kernels_avx2;
extern const csimd_convert_kernels csimd_convert_kernels_avx512;
#endif

#endif
