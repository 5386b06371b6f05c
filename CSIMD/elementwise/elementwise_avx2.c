// AVX2 row: elementwise_body.h on 8 lanes.
#include "elementwise.h"

#include "../support/scalar16.h"
#include "../support/vector_math_avx2.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

#include "elementwise_body.h"
#include "sum_body.h"

#pragma clang attribute pop

const csimd_elementwise_kernels csimd_elementwise_kernels_avx2 = {
    .unary = unary,
    .binary = binary,
    .sum_arrays = sum_arrays,
    .silu_multiply_gradient = silu_multiply_gradient,
};
#endif
