// AVX-512 row: random_body.h.
#include "random.h"

#include "../support/vector_avx512.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

#include "random_body.h"

#pragma clang attribute pop

const csimd_random_kernels csimd_random_kernels_avx512 = {.fill = fill};
#endif
