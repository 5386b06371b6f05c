// Vector functions on __m512 (16 float32 lanes), with the error bounds of vector_math_body.h. Include it with the other
// includes of a file for AVX512: it brings its own target attribute.
#ifndef CSIMD_VECTOR_MATH_AVX512_H
#define CSIMD_VECTOR_MATH_AVX512_H

#include "vector_avx512.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

#include "vector_math_body.h"

V_INLINE __m512 csimd_exp_avx512(__m512 x) { return v_exp(x); }
V_INLINE __m512 csimd_log_avx512(__m512 x) { return v_log(x); }
V_INLINE __m512 csimd_tanh_avx512(__m512 x) { return v_tanh(x); }
V_INLINE __m512 csimd_sigmoid_avx512(__m512 x) { return v_sigmoid(x); }
V_INLINE __m512 csimd_silu_avx512(__m512 x) { return v_silu(x); }
V_INLINE __m512 csimd_silu_gradient_avx512(__m512 x) { return v_silu_gradient(x); }
V_INLINE __m512 csimd_gelu_avx512(__m512 x) { return v_gelu(x); }
V_INLINE __m512 csimd_gelu_tanh_avx512(__m512 x) { return v_gelu_tanh(x); }
V_INLINE __m512 csimd_gelu_tanh_gradient_avx512(__m512 x) { return v_gelu_tanh_gradient(x); }
V_INLINE __m512 csimd_gelu_gradient_avx512(__m512 x) { return v_gelu_gradient(x); }

#pragma clang attribute pop
#endif
#endif
