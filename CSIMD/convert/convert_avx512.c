// AVX-512 row: convert_body.h on 16 lanes; integer rounding for bf16 (VCVTNEPS2BF16 flushes subnormals).
#include "convert.h"

#include "../support/vector_avx512.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

#include "convert_body.h"

#pragma clang attribute pop

const csimd_convert_kernels csimd_convert_kernels_avx512 = {
    .convert = convert,
    .normalize_u8 = normalize_u8,
};
#endif
