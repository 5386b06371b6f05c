// Dropout, 8 float32 lanes. Bound by the generator: 8 operations on 8 counters a round, 10 rounds for 16 elements.
#include "dropout.h"

#include "../support/vector_avx2.h"

#if CSIMD_X86

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

#include "dropout_body.h"

#pragma clang attribute pop

const csimd_dropout_kernels csimd_dropout_kernels_avx2 = {.drop = drop};
#endif
