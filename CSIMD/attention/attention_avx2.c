// Attention, 8 float32 lanes, with the float32 products of gemm_ukr_avx2.c for every type: 16-bit operands are widened when
// they are packed, weights and slopes stay float32.
#include "attention.h"

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

enum { rounds_weights = false, PANEL_COLUMNS = 16 };

V_INLINE void put_weights(float *row, size_t j, v_f32 value) { v_store(CSIMD_F32, row, j, value); }

V_INLINE void put_pair(float *panel, size_t width, size_t count, const v_f32 value[2], float *rows, size_t ldr, size_t j) {
    for (size_t k = 0; k < count; k++) {
        v_store(CSIMD_F32, panel, k * width, value[k]);
        if (rows != NULL) v_store(CSIMD_F32, rows, k * ldr + j, value[k]);
    }
}

#include "attention_body.h"

#pragma clang attribute pop

static void multiply(size_t rows, size_t columns, size_t depth, const float *a, bool a_in_panels, const float *b, bool add,
                     float *c, size_t ldc) {
    csimd_gemm_avx2.multiply(rows, columns, depth, a, a_in_panels, b, add, c, ldc);
}

const csimd_attention_kernels csimd_attention_kernels_avx2 = {
    .products = &csimd_gemm_avx2,
    .multiply = multiply,
    .weigh = weigh,
    .slopes = slopes,
    .rescale = rescale,
    .finish = finish,
    .row_dots = row_dots,
    .all_finite = all_finite,
};
#endif
