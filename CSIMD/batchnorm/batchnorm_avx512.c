// AVX-512 row: batchnorm_body.h on 16 lanes.
#include "batchnorm.h"

#include "../support/vector_avx512.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

#include "batchnorm_body.h"

#pragma clang attribute pop

const csimd_batchnorm_kernels csimd_batchnorm_kernels_avx512 = {
    .moments = moments,
    .apply = apply,
    .products = products,
    .gradient = gradient,
};
#endif
