// Vector functions on __m256 (8 float32 lanes), with the error bounds of vector_math_body.h. Include it with the other
// includes of a file for AVX2: it brings its own target attribute.
#ifndef CSIMD_VECTOR_MATH_AVX2_H
#define CSIMD_VECTOR_MATH_AVX2_H

#include "vector_avx2.h"

#if CSIMD_X86
#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

#include "vector_math_body.h"

V_INLINE __m256 csimd_exp_avx2(__m256 x) { return v_exp(x); }
V_INLINE __m256 csimd_log_avx2(__m256 x) { return v_log(x); }
V_INLINE __m256 csimd_tanh_avx2(__m256 x) { return v_tanh(x); }
V_INLINE __m256 csimd_sigmoid_avx2(__m256 x) { return v_sigmoid(x); }
V_INLINE __m256 csimd_silu_avx2(__m256 x) { return v_silu(x); }
V_INLINE __m256 csimd_silu_gradient_avx2(__m256 x) { return v_silu_gradient(x); }
V_INLINE __m256 csimd_gelu_avx2(__m256 x) { return v_gelu(x); }
V_INLINE __m256 csimd_gelu_tanh_avx2(__m256 x) { return v_gelu_tanh(x); }
V_INLINE __m256 csimd_gelu_tanh_gradient_avx2(__m256 x) { return v_gelu_tanh_gradient(x); }
V_INLINE __m256 csimd_gelu_gradient_avx2(__m256 x) { return v_gelu_gradient(x); }

#pragma clang attribute pop
#endif
#endif
