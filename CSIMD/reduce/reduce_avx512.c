// AVX-512 row: reduce_body.h on 16 lanes.
#include "reduce.h"

#include "../support/vector_avx512.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

#include "reduce_body.h"

#pragma clang attribute pop

const csimd_reduce_kernels csimd_reduce_kernels_avx512 = {
    .sum_row = sum_row,
    .max_row = max_row,
    .sum_columns = sum_columns,
    .max_columns = max_columns,
    .find = find,
    .finite_check = finite_check,
};
#endif
