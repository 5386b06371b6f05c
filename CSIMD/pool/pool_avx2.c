// AVX2 row: pool_body.h on 8 lanes.
#include "pool.h"

#include "../support/vector_avx2.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

#include "pool_body.h"

#pragma clang attribute pop

const csimd_pool_kernels csimd_pool_kernels_avx2 = {
    .max_window = max_window,
    .max_scatter = max_scatter,
    .max_gather = max_gather,
    .weighted_sum = weighted_sum,
};
#endif
