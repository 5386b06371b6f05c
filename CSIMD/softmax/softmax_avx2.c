// Softmax family, 8 float32 lanes: a row's exponentials are about 15 instructions a vector on two ports, 1 cycle an
// element; short of L3 bandwidth (2 or 4 bytes an element) that is the bound.
#include "softmax.h"

#include "../support/scalar16.h"
#include "../support/vector_avx2.h"
#include "../support/vector_math_avx2.h"

#if CSIMD_X86

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

V_INLINE float lanes_maximum(v_f32 x) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
V_INLINE v_mask lanes_below(size_t lanes) { return _mm256_castsi256_ps(v_first_lanes(lanes)); }

#include "softmax_body.h"

#include "nll_body.h"

#pragma clang attribute pop

const csimd_softmax_kernels csimd_softmax_kernels_avx2 = {
    .softmax = softmax,
    .log_softmax = log_softmax,
    .softmax_gradient = softmax_gradient,
    .log_softmax_gradient = log_softmax_gradient,
    .nll_forward = nll_forward,
    .nll_backward = nll_backward,
};
#endif
