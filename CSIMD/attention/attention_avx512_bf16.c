// Attention of bf16 by VDPBF16PS, 16 lanes: the products of gemm_ukr_avx512_bf16.c on pairs. Weights and slopes are rounded to
// bf16 two rows at a time by VCVTNE2PS2BF16, which flushes what is below 2^-126; one permutation makes its result the pairs of
// a panel.
#include "attention.h"

#include "../support/scalar16.h"
#include "../support/vector_avx512.h"
#include "../support/vector_math_avx512.h"

#if CSIMD_X86

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512_BF16))), apply_to = function)

V_INLINE float lanes_maximum(v_f32 x) { return _mm512_reduce_max_ps(x); }

enum { rounds_weights = true, PANEL_COLUMNS = 32 };

V_INLINE void put_weights(float *row, size_t j, v_f32 value) {
    _mm256_storeu_si256((__m256i *)(void *)((uint16_t *)(void *)row + j), (__m256i)_mm512_cvtneps_pbh(value));
}

V_INLINE void put_pair(float *panel, size_t width, size_t count, const v_f32 value[2], float *rows, size_t ldr, size_t j) {
    (void)width;
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(value[1], value[0]);
    const __m512i in_turn = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5,
                                             20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    _mm512_storeu_si512(panel, _mm512_permutexvar_epi16(in_turn, both));
    if (rows == NULL) return;
    uint16_t *to = (uint16_t *)(void *)rows + j;
    _mm256_storeu_si256((__m256i *)(void *)to, _mm512_castsi512_si256(both));
    if (count > 1) _mm256_storeu_si256((__m256i *)(void *)(to + 2 * ldr), _mm512_extracti64x4_epi64(both, 1));
}

#include "attention_body.h"

#pragma clang attribute pop

const csimd_attention_kernels csimd_attention_kernels_avx512_bf16 = {
    .products = &csimd_gemm_avx512_bf16,
    .multiply = csimd_gemm_multiply_avx512_bf16,
    .rounds_weights = true,
    .weigh = weigh,
    .slopes = slopes,
    .rescale = rescale,
    .finish = finish,
    .row_dots = row_dots,
    .all_finite = all_finite,
};
#endif
