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

// p 2^n for n in [-180, 60]; `biased` is n + exponent_bias, which rounded n to an integer. The bias puts n + 64 + 127 into the
// low bits, that is the exponent of 2^(n + 64): a normal number; the last product rounds once where the result is subnormal.
#define exponent_bias (0x1.8p23f + 64 + 127)
V_INLINE v_f32 times_power_of_two(v_f32 p, v_f32 biased, v_f32 n) {
    (void)n;
    v_f32 power = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(biased), 23));
    return v_mul(v_mul(p, power), v_set(0x1p-64f));
}

// Four vectors without NaN, rounded to `type`: bf16 without the care for NaN that v_round_bf16 takes.
V_INLINE void store_four_numbers(csimd_type type, void *y, size_t index, const v_f32 value[4]) {
    if (type != CSIMD_BF16) {
        for (size_t k = 0; k < 4; k++) v_store(type, y, index + k * v_lanes, value[k]);
        return;
    }
    __m256i upper[4];
    for (size_t k = 0; k < 4; k++) {
        __m256i bits = _mm256_castps_si256(value[k]);
        __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
        upper[k] = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd), 16);
    }
    for (size_t k = 0; k < 4; k += 2) {
        __m256i both = _mm256_permute4x64_epi64(_mm256_packus_epi32(upper[k], upper[k + 1]), 0xD8);
        _mm256_storeu_si256((__m256i *)(void *)((uint16_t *)y + index + k * v_lanes), both);
    }
}

// column[c] lane r = x[start + r * columns + c] for up to 8 rows of up to 16 columns; -inf in columns beyond, 0 in rows beyond.
// The rows lie side by side: they are widened as one array and then copied element by element.
enum { few_columns = 16 };
V_INLINE void load_transposed(csimd_type type, const void *x, size_t start, size_t rows, size_t columns, v_f32 column[16]) {
    float wide[v_lanes * few_columns], lanes[few_columns][v_lanes];
    for (size_t i = 0; i < rows * columns; i += v_lanes) {
        const size_t rest = rows * columns - i;
        v_store(CSIMD_F32, wide, i, rest < v_lanes ? v_load_first(type, x, start + i, rest) : v_load(type, x, start + i));
    }
    for (size_t c = 0; c < columns; c++)
        for (size_t r = 0; r < v_lanes; r++) lanes[c][r] = r < rows ? wide[r * columns + c] : 0;
    for (size_t c = 0; c < few_columns; c++) column[c] = c < columns ? v_load(CSIMD_F32, lanes[c], 0) : v_set(-INFINITY);
}

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
    .nll_both = nll_both,
};
#endif
