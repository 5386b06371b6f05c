// AVX-512 row: the loops as the compiler vectorises them.
#include "loops.h"

#include "../support/scalar16.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

#define F16_ELEMENT(x, i) ((float)((const _Float16 *)(x))[i])

#include "cast_body.h"
#include "compare_body.h"
#include "integer_body.h"

#pragma clang attribute pop

const csimd_loops_kernels csimd_loops_kernels_avx512 = {
    .compare = compare,
    .select = select_elements,
    .arithmetic = arithmetic,
    .reduce_row = reduce_row,
    .reduce_columns = reduce_columns,
    .cast = cast,
};
#endif
