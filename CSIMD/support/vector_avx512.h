// The vector vocabulary of a kernel body that ISAs share, here 16 float32 lanes of AVX-512; vector_avx2.h has the same names.
// A file that includes a `_body.h` includes exactly one of the two, with its other includes: this header brings its own
// target attribute (an outer one around it does no harm).
// min and max follow x86: where either operand is NaN the result is the second. Conversions ignore MXCSR's rounding, FTZ, DAZ.
#ifndef CSIMD_VECTOR_AVX512_H
#define CSIMD_VECTOR_AVX512_H

#include "internal.h"

#if CSIMD_X86
#include <immintrin.h>

#define V_INLINE static inline __attribute__((always_inline))

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

enum { v_lanes = 16 };
typedef __m512 v_f32;
typedef __m512i v_i32;
typedef __mmask16 v_mask;

V_INLINE v_f32 v_set(float x) { return _mm512_set1_ps(x); }
V_INLINE v_i32 v_set_i32(int32_t x) { return _mm512_set1_epi32(x); }
V_INLINE v_f32 v_add(v_f32 a, v_f32 b) { return _mm512_add_ps(a, b); }
V_INLINE v_f32 v_sub(v_f32 a, v_f32 b) { return _mm512_sub_ps(a, b); }
V_INLINE v_f32 v_mul(v_f32 a, v_f32 b) { return _mm512_mul_ps(a, b); }
V_INLINE v_f32 v_div(v_f32 a, v_f32 b) { return _mm512_div_ps(a, b); }
V_INLINE v_f32 v_sqrt(v_f32 a) { return _mm512_sqrt_ps(a); }
V_INLINE v_f32 v_min(v_f32 a, v_f32 b) { return _mm512_min_ps(a, b); }
V_INLINE v_f32 v_max(v_f32 a, v_f32 b) { return _mm512_max_ps(a, b); }
V_INLINE v_f32 v_fma(v_f32 a, v_f32 b, v_f32 c) { return _mm512_fmadd_ps(a, b, c); }    // a b + c
V_INLINE v_f32 v_fms(v_f32 a, v_f32 b, v_f32 c) { return _mm512_fmsub_ps(a, b, c); }    // a b - c
V_INLINE v_f32 v_fnma(v_f32 a, v_f32 b, v_f32 c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
V_INLINE v_f32 v_nearest(v_f32 a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
V_INLINE v_f32 v_truncate(v_f32 a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }

V_INLINE v_i32 v_bits(v_f32 a) { return _mm512_castps_si512(a); }
V_INLINE v_f32 v_of_bits(v_i32 a) { return _mm512_castsi512_ps(a); }
V_INLINE v_f32 v_to_f32(v_i32 a) { return _mm512_cvtepi32_ps(a); }
V_INLINE v_i32 v_add_i32(v_i32 a, v_i32 b) { return _mm512_add_epi32(a, b); }
V_INLINE v_i32 v_sub_i32(v_i32 a, v_i32 b) { return _mm512_sub_epi32(a, b); }
V_INLINE v_i32 v_and_i32(v_i32 a, v_i32 b) { return _mm512_and_si512(a, b); }
V_INLINE v_i32 v_shift_right_i32(v_i32 a, int count) { return _mm512_srai_epi32(a, (unsigned)count); }
V_INLINE v_i32 v_shift_right_u32(v_i32 a, int count) { return _mm512_srli_epi32(a, (unsigned)count); }
V_INLINE v_i32 v_mul_i32(v_i32 a, v_i32 b) { return _mm512_mullo_epi32(a, b); }  // modulo 2^32
V_INLINE v_i32 v_xor_i32(v_i32 a, v_i32 b) { return _mm512_xor_si512(a, b); }
V_INLINE v_i32 v_lane_numbers(void) { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
V_INLINE v_f32 v_and(v_f32 a, v_f32 b) { return _mm512_and_ps(a, b); }
V_INLINE v_f32 v_or(v_f32 a, v_f32 b) { return _mm512_or_ps(a, b); }
V_INLINE v_f32 v_xor(v_f32 a, v_f32 b) { return _mm512_xor_ps(a, b); }
V_INLINE v_f32 v_abs(v_f32 a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
V_INLINE v_f32 v_negate(v_f32 a) { return _mm512_xor_ps(_mm512_set1_ps(-0.0f), a); }

V_INLINE v_mask v_less(v_f32 a, v_f32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
V_INLINE v_mask v_equal(v_f32 a, v_f32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
V_INLINE v_mask v_not_finite(v_f32 a) { return _mm512_cmp_ps_mask(v_abs(a), _mm512_set1_ps(0x1.fffffep127f), _CMP_NLE_UQ); }
V_INLINE v_mask v_nan(v_f32 a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
V_INLINE v_mask v_either(v_mask a, v_mask b) { return (v_mask)(a | b); }
V_INLINE v_mask v_no_lanes(void) { return 0; }
V_INLINE uint32_t v_lanes_of_mask(v_mask mask) { return mask; }  // bit i is lane i
V_INLINE v_f32 v_select(v_mask mask, v_f32 yes, v_f32 no) { return _mm512_mask_blend_ps(mask, no, yes); }

// p 2^n for integral n in [-180, 180] and |p| about 1: one rounding, subnormal and infinite results included.
V_INLINE v_f32 v_scale(v_f32 p, v_f32 n) { return _mm512_scalef_ps(p, n); }

// 16 elements of a 16-bit type to float32 and back: nearest, ties to even; f16 NaN become quiet, bf16 NaN when rounded.
V_INLINE v_f32 v_widen_f16(__m256i x) { return _mm512_cvtph_ps(x); }
V_INLINE v_f32 v_widen_bf16(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
V_INLINE __m256i v_round_f16(v_f32 x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

// Integer arithmetic, since VCVTNEPS2BF16 flushes subnormals.
V_INLINE __m256i v_round_bf16(v_f32 x) {
    __m512i bits = _mm512_castps_si512(x);
    __m512i high = _mm512_srli_epi32(bits, 16);
    __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    __m512i sum = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7FFF));
    __m512i rounded = _mm512_mask_or_epi32(_mm512_srli_epi32(sum, 16), v_nan(x), high, _mm512_set1_epi32(0x40));
    return _mm512_cvtepi32_epi16(rounded);
}

// Elements index ... index + 15 of an array of f32, f16 or bf16.
V_INLINE v_f32 v_load(csimd_type type, const void *x, size_t index) {
    if (type == CSIMD_F32) return _mm512_loadu_ps((const float *)x + index);
    __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)((const uint16_t *)x + index));
    return type == CSIMD_F16 ? v_widen_f16(half) : v_widen_bf16(half);
}

V_INLINE void v_store(csimd_type type, void *y, size_t index, v_f32 value) {
    if (type == CSIMD_F32) {
        _mm512_storeu_ps((float *)y + index, value);
        return;
    }
    __m256i half = type == CSIMD_F16 ? v_round_f16(value) : v_round_bf16(value);
    _mm256_storeu_si256((__m256i *)(void *)((uint16_t *)y + index), half);
}

// The first `lanes` (< 16) of them; the others read as 0 and are not written.
V_INLINE v_f32 v_load_first(csimd_type type, const void *x, size_t index, size_t lanes) {
    __mmask16 mask = (__mmask16)((1u << lanes) - 1u);
    if (type == CSIMD_F32) return _mm512_maskz_loadu_ps(mask, (const float *)x + index);
    __m256i half = _mm256_maskz_loadu_epi16(mask, (const uint16_t *)x + index);
    return type == CSIMD_F16 ? v_widen_f16(half) : v_widen_bf16(half);
}

V_INLINE void v_store_first(csimd_type type, void *y, size_t index, size_t lanes, v_f32 value) {
    __mmask16 mask = (__mmask16)((1u << lanes) - 1u);
    if (type == CSIMD_F32) {
        _mm512_mask_storeu_ps((float *)y + index, mask, value);
        return;
    }
    __m256i half = type == CSIMD_F16 ? v_round_f16(value) : v_round_bf16(value);
    _mm256_mask_storeu_epi16((uint16_t *)y + index, mask, half);
}

// 32 elements rounded to f16 or bf16, one cache line. bf16: where no lane is NaN, which one comparison tells of both vectors,
// one permutation takes the upper halves of both: 5 instructions a vector instead of 10.
V_INLINE __m512i v_round_bf16_numbers(v_f32 low, v_f32 high) {
    const __m512i upper_halves = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                                                  25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const __m512i one = _mm512_set1_epi32(1), below_half = _mm512_set1_epi32(0x7FFF);
    __m512i a = _mm512_castps_si512(low), b = _mm512_castps_si512(high);
    a = _mm512_add_epi32(_mm512_add_epi32(a, below_half), _mm512_and_si512(_mm512_srli_epi32(a, 16), one));
    b = _mm512_add_epi32(_mm512_add_epi32(b, below_half), _mm512_and_si512(_mm512_srli_epi32(b, 16), one));
    return _mm512_permutex2var_epi16(a, upper_halves, b);
}
V_INLINE __m512i v_round_pair(csimd_type type, v_f32 low, v_f32 high) {
    if (type == CSIMD_BF16 && __builtin_expect(_mm512_cmp_ps_mask(low, high, _CMP_UNORD_Q) == 0, 1))
        return v_round_bf16_numbers(low, high);
    const __m256i first = type == CSIMD_F16 ? v_round_f16(low) : v_round_bf16(low);
    const __m256i second = type == CSIMD_F16 ? v_round_f16(high) : v_round_bf16(high);
    return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}

// As v_store of two vectors that follow each other; v_stream_pair past the caches, y + index on a cache line. Ended by
// v_stream_end. Half lines take a third longer than whole ones.
V_INLINE void v_store_pair(csimd_type type, void *y, size_t index, v_f32 low, v_f32 high) {
    if (type == CSIMD_BF16) {
        _mm512_storeu_si512((uint16_t *)y + index, v_round_pair(CSIMD_BF16, low, high));
    } else {  // f16: two halves take fewer instructions than one whole
        v_store(type, y, index, low);
        v_store(type, y, index + v_lanes, high);
    }
}
V_INLINE void v_stream_pair(csimd_type type, void *y, size_t index, v_f32 low, v_f32 high) {
    if (type == CSIMD_F32) {
        _mm512_stream_ps((float *)y + index, low);
        _mm512_stream_ps((float *)y + index + v_lanes, high);
    } else {
        _mm512_stream_si512((__m512i *)(void *)((uint16_t *)y + index), v_round_pair(type, low, high));
    }
}
V_INLINE void v_stream_end(void) { _mm_sfence(); }

// 16 or the first `lanes` unsigned bytes as float32.
V_INLINE v_f32 v_load_u8(const uint8_t *x) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)x)));
}
V_INLINE v_f32 v_load_u8_first(const uint8_t *x, size_t lanes) {
    __m128i bytes = _mm_maskz_loadu_epi8((__mmask16)((1u << lanes) - 1u), x);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

// Float64 accumulators for as many lanes: sums of values, squares and cubes, each lane on its own; then the lanes pairwise.
typedef struct {
    __m512d low, high;
} v_f64_pair;

V_INLINE v_f64_pair v_f64_zero(void) { return (v_f64_pair){_mm512_setzero_pd(), _mm512_setzero_pd()}; }
V_INLINE v_f64_pair v_f64_widen(v_f32 x) {
    return (v_f64_pair){_mm512_cvtps_pd(_mm512_castps512_ps256(x)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1))};
}
V_INLINE v_f64_pair v_f64_add(v_f64_pair a, v_f64_pair b) {
    return (v_f64_pair){_mm512_add_pd(a.low, b.low), _mm512_add_pd(a.high, b.high)};
}
V_INLINE v_f64_pair v_f64_add_square(v_f64_pair sum, v_f32 x) {
    v_f64_pair wide = v_f64_widen(x);
    return (v_f64_pair){_mm512_fmadd_pd(wide.low, wide.low, sum.low), _mm512_fmadd_pd(wide.high, wide.high, sum.high)};
}
V_INLINE v_f64_pair v_f64_add_cube(v_f64_pair sum, v_f32 x) {
    v_f64_pair wide = v_f64_widen(x);
    return (v_f64_pair){_mm512_fmadd_pd(_mm512_mul_pd(wide.low, wide.low), wide.low, sum.low),
                        _mm512_fmadd_pd(_mm512_mul_pd(wide.high, wide.high), wide.high, sum.high)};
}
V_INLINE double v_f64_sum(v_f64_pair a) { return _mm512_reduce_add_pd(_mm512_add_pd(a.low, a.high)); }

#pragma clang attribute pop
#endif
#endif
