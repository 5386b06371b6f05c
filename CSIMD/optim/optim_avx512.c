// Optimizer steps, 16 float32 lanes. AdamW with a bf16 shadow moves 30 bytes an element (16 read, 14 written) for one square
// root and one division a vector: about 20 cycles of the divider for 480 bytes, which an L2 cache delivers in the same time.
#include "optim.h"

#include "../support/vector_avx512.h"

#if CSIMD_X86

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

#include "optim_body.h"

#include "adagrad_body.h"
#include "lion_body.h"
#include "rmsprop_body.h"

#pragma clang attribute pop

const csimd_optim_kernels csimd_optim_kernels_avx512 = {
    .sgd = sgd, .adam = adam, .rmsprop = rmsprop, .adagrad = adagrad, .lion = lion};
#endif
