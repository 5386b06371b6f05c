// 12 ymm accumulators: latency 4 to 5 times 2 ports, rounded up; nothing is loaded, so the two multiply-add ports are the only
// No sum starts at 1: that is a fixed point, which the compiler folds away, so that the rate came out 12/11 too high.
// limit.
#include "fma_probe.h"

#include "../support/internal.h"

#if CSIMD_X86
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

double csimd_fma_probe_avx2(size_t iterations, double *flops) {
    enum { accumulators = 12, lanes = 8 };
    __m256 sum[accumulators];
    for (int i = 0; i < accumulators; i++) sum[i] = _mm256_set1_ps((float)(i + 2));
    __m256 factor = _mm256_set1_ps(0.999999f), addend = _mm256_set1_ps(1e-6f);
    for (size_t i = 0; i < iterations; i++) {
#pragma clang loop unroll(full)
        for (int j = 0; j < accumulators; j++) sum[j] = _mm256_fmadd_ps(sum[j], factor, addend);
    }
    for (int i = 1; i < accumulators; i++) sum[0] = _mm256_add_ps(sum[0], sum[i]);
    float lane[lanes];
    _mm256_storeu_ps(lane, sum[0]);
    *flops = (double)iterations * accumulators * lanes * 2;
    return lane[0];
}

#pragma clang attribute pop
#endif
