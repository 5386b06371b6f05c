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

// p 2^n; `biased` is n + exponent_bias, which rounded n to an integer.
#define exponent_bias 0x1.8p23f
V_INLINE v_f32 times_power_of_two(v_f32 p, v_f32 biased, v_f32 n) {
    (void)biased;
    return v_scale(p, n);
}

// Four vectors without NaN, rounded to `type`.
V_INLINE void store_four_numbers(csimd_type type, void *y, size_t index, const v_f32 value[4]) {
    if (type != CSIMD_BF16) {
        for (size_t k = 0; k < 4; k++) v_store(type, y, index + k * v_lanes, value[k]);
        return;
    }
    _mm512_storeu_si512((uint16_t *)y + index, v_round_bf16_numbers(value[0], value[1]));
    _mm512_storeu_si512((uint16_t *)y + index + 32, v_round_bf16_numbers(value[2], value[3]));
}

// column[c] lane r = x[start + r * columns + c] for up to 16 rows of up to 16 columns; -inf in columns beyond, 0 in rows
// beyond.
enum { few_columns = 16 };
V_INLINE void load_transposed(csimd_type type, const void *x, size_t start, size_t rows, size_t columns, v_f32 column[16]) {
    const v_mask mask = lanes_below(columns);
    __m512 a[16], b[16];
    for (size_t r = 0; r < 16; r++) {
        v_f32 row = v_set(0);
        if (r < rows)
            row =
                columns == v_lanes ? v_load(type, x, start + r * columns) : v_load_first(type, x, start + r * columns, columns);
        a[r] = v_select(mask, row, v_set(-INFINITY));
    }
    // Pairs, quadruples, then 128-bit quarters change places.
    for (size_t r = 0; r < 16; r += 2) {
        b[r] = _mm512_unpacklo_ps(a[r], a[r + 1]);
        b[r + 1] = _mm512_unpackhi_ps(a[r], a[r + 1]);
    }
    for (size_t r = 0; r < 16; r += 4)
        for (size_t k = 0; k < 2; k++) {
            __m512d low = _mm512_castps_pd(b[r + k]), high = _mm512_castps_pd(b[r + 2 + k]);
            a[r + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            a[r + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
    for (size_t k = 0; k < 4; k++) {  // a[4 i + k]: column k (+ 4 for each quarter) of rows 4 i ... 4 i + 3
        __m512 even_low = _mm512_shuffle_f32x4(a[k], a[4 + k], 0x88), odd_low = _mm512_shuffle_f32x4(a[k], a[4 + k], 0xDD);
        __m512 even_high = _mm512_shuffle_f32x4(a[8 + k], a[12 + k], 0x88);
        __m512 odd_high = _mm512_shuffle_f32x4(a[8 + k], a[12 + k], 0xDD);
        column[k] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
        column[8 + k] = _mm512_shuffle_f32x4(even_low, even_high, 0xDD);
        column[4 + k] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
        column[12 + k] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xDD);
    }
}

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
    .nll_both = nll_both,
};
#endif
