// AVX2 row: batchnorm_body.h on 8 lanes.
#include "batchnorm.h"

#include "../support/vector_avx2.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

#include "batchnorm_body.h"

#pragma clang attribute pop

const csimd_batchnorm_kernels csimd_batchnorm_kernels_avx2 = {
    .moments = moments,
    .apply = apply,
    .products = products,
    .gradient = gradient,
};
#endif
