// Softmax family, 16 float32 lanes: a row's exponentials are about 15 instructions a vector on two ports, 0.5 cycles an
// element; short of L3 bandwidth (2 or 4 bytes an element) that is the bound.
#include "softmax.h"

#include "../support/scalar16.h"
#include "../support/vector_avx512.h"
#include "../support/vector_math_avx512.h"

#if CSIMD_X86

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

V_INLINE float lanes_maximum(v_f32 x) { return _mm512_reduce_max_ps(x); }
V_INLINE v_mask lanes_below(size_t lanes) { return (v_mask)((1u << lanes) - 1u); }

#include "softmax_body.h"

#include "nll_body.h"

#pragma clang attribute pop

const csimd_softmax_kernels csimd_softmax_kernels_avx512 = {
    .softmax = softmax,
    .log_softmax = log_softmax,
    .softmax_gradient = softmax_gradient,
    .log_softmax_gradient = log_softmax_gradient,
    .nll_forward = nll_forward,
    .nll_backward = nll_backward,
};
#endif
