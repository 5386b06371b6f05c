// Embedding family, 8 float32 lanes: 1 to 3 operations a load, bound by the caches and memory.
#include "embedding.h"

#include "../support/vector_avx2.h"

#if CSIMD_X86

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

#include "embedding_body.h"

#pragma clang attribute pop

const csimd_embedding_kernels csimd_embedding_kernels_avx2 = {.add = add, .rotate = rotate};
#endif
