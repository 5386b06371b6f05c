// AVX2 row: convert_body.h on 8 lanes; F16C for f16, integer rounding for bf16.
#include "convert.h"

#include "../support/vector_avx2.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

#include "convert_body.h"

#pragma clang attribute pop

const csimd_convert_kernels csimd_convert_kernels_avx2 = {
    .convert = convert,
    .normalize_u8 = normalize_u8,
};
#endif
