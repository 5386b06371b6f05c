// AVX-512 row: memory_probe_body.h on 16 lanes.
#include "memory_probe.h"

#include "../support/scalar16.h"
#include "../support/vector_avx512.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

#include "memory_probe_body.h"

float csimd_memory_probe_avx512(csimd_memory_pattern pattern, size_t bytes, float *block) {
    return memory_probe(pattern, bytes, block);
}

#pragma clang attribute pop
#endif
