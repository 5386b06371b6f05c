// Layer and RMS normalisation, 16 float32 lanes. Forward: 3 loads of x from L1, 1 store and about 8 operations a vector;
// backward: 6 loads, 3 stores, 13 operations. From memory each element is read and written once: beyond L2 that is the bound.
#include "norm.h"

#include <float.h>

#include "../support/scalar16.h"
#include "../support/vector_avx512.h"

#if CSIMD_X86

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

#include "norm_body.h"

#pragma clang attribute pop

const csimd_norm_kernels csimd_norm_kernels_avx512 = {.forward = forward, .backward = backward};
#endif
