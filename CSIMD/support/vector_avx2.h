// The vector vocabulary of a kernel body that ISAs share, here 8 float32 lanes of AVX2, FMA and F16C; vector_avx512.h has the
// same names. A file that includes a `_body.h` includes exactly one of the two, with its other includes: this header brings
// its own target attribute (an outer one around it does no harm).
// min and max follow x86: where either operand is NaN the result is the second. Conversions ignore MXCSR's rounding, FTZ, DAZ.
#ifndef CSIMD_VECTOR_AVX2_H
#define CSIMD_VECTOR_AVX2_H

#include "internal.h"

#if CSIMD_X86
#include <immintrin.h>

#define V_INLINE static inline __attribute__((always_inline))

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

enum { v_lanes = 8 };
typedef __m256 v_f32;
typedef __m256i v_i32;
typedef __m256 v_mask;  // all bits of a lane, or none

V_INLINE v_f32 v_set(float x) { return _mm256_set1_ps(x); }
V_INLINE v_i32 v_set_i32(int32_t x) { return _mm256_set1_epi32(x); }
V_INLINE v_f32 v_add(v_f32 a, v_f32 b) { return _mm256_add_ps(a, b); }
V_INLINE v_f32 v_sub(v_f32 a, v_f32 b) { return _mm256_sub_ps(a, b); }
V_INLINE v_f32 v_mul(v_f32 a, v_f32 b) { return _mm256_mul_ps(a, b); }
V_INLINE v_f32 v_div(v_f32 a, v_f32 b) { return _mm256_div_ps(a, b); }
V_INLINE v_f32 v_sqrt(v_f32 a) { return _mm256_sqrt_ps(a); }
V_INLINE v_f32 v_min(v_f32 a, v_f32 b) { return _mm256_min_ps(a, b); }
V_INLINE v_f32 v_max(v_f32 a, v_f32 b) { return _mm256_max_ps(a, b); }
V_INLINE v_f32 v_fma(v_f32 a, v_f32 b, v_f32 c) { return _mm256_fmadd_ps(a, b, c); }    // a b + c
V_INLINE v_f32 v_fms(v_f32 a, v_f32 b, v_f32 c) { return _mm256_fmsub_ps(a, b, c); }    // a b - c
V_INLINE v_f32 v_fnma(v_f32 a, v_f32 b, v_f32 c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b
V_INLINE v_f32 v_nearest(v_f32 a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
V_INLINE v_f32 v_truncate(v_f32 a) { return _mm256_round_ps(a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }

V_INLINE v_i32 v_bits(v_f32 a) { return _mm256_castps_si256(a); }
V_INLINE v_f32 v_of_bits(v_i32 a) { return _mm256_castsi256_ps(a); }
V_INLINE v_f32 v_to_f32(v_i32 a) { return _mm256_cvtepi32_ps(a); }
V_INLINE v_i32 v_add_i32(v_i32 a, v_i32 b) { return _mm256_add_epi32(a, b); }
V_INLINE v_i32 v_sub_i32(v_i32 a, v_i32 b) { return _mm256_sub_epi32(a, b); }
V_INLINE v_i32 v_and_i32(v_i32 a, v_i32 b) { return _mm256_and_si256(a, b); }
V_INLINE v_i32 v_shift_right_i32(v_i32 a, int count) { return _mm256_srai_epi32(a, count); }
V_INLINE v_i32 v_shift_right_u32(v_i32 a, int count) { return _mm256_srli_epi32(a, count); }
V_INLINE v_i32 v_mul_i32(v_i32 a, v_i32 b) { return _mm256_mullo_epi32(a, b); }  // modulo 2^32
V_INLINE v_i32 v_xor_i32(v_i32 a, v_i32 b) { return _mm256_xor_si256(a, b); }
V_INLINE v_i32 v_lane_numbers(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
V_INLINE v_f32 v_and(v_f32 a, v_f32 b) { return _mm256_and_ps(a, b); }
V_INLINE v_f32 v_or(v_f32 a, v_f32 b) { return _mm256_or_ps(a, b); }
V_INLINE v_f32 v_xor(v_f32 a, v_f32 b) { return _mm256_xor_ps(a, b); }
V_INLINE v_f32 v_abs(v_f32 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
V_INLINE v_f32 v_negate(v_f32 a) { return _mm256_xor_ps(_mm256_set1_ps(-0.0f), a); }

V_INLINE v_mask v_less(v_f32 a, v_f32 b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
V_INLINE v_mask v_equal(v_f32 a, v_f32 b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
V_INLINE v_mask v_not_finite(v_f32 a) { return _mm256_cmp_ps(v_abs(a), _mm256_set1_ps(0x1.fffffep127f), _CMP_NLE_UQ); }
V_INLINE v_mask v_nan(v_f32 a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
V_INLINE v_mask v_either(v_mask a, v_mask b) { return _mm256_or_ps(a, b); }
V_INLINE v_mask v_no_lanes(void) { return _mm256_setzero_ps(); }
V_INLINE uint32_t v_lanes_of_mask(v_mask mask) { return (uint32_t)_mm256_movemask_ps(mask); }  // bit i is lane i
V_INLINE v_f32 v_select(v_mask mask, v_f32 yes, v_f32 no) { return _mm256_blendv_ps(no, yes, mask); }

// p 2^n for integral n in [-180, 180] and |p| about 1: one rounding, subnormal and infinite results included. 2^n is beyond
// float32, so n is halved; the first product is exact.
V_INLINE v_f32 v_scale(v_f32 p, v_f32 n) {
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), rest = _mm256_sub_epi32(whole, half);
    __m256i bias = _mm256_set1_epi32(127);
    __m256 first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    __m256 second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(p, first), second);
}

// 8 elements of a 16-bit type to float32 and back: nearest, ties to even; f16 NaN become quiet, bf16 NaN when rounded.
V_INLINE v_f32 v_widen_f16(__m128i x) { return _mm256_cvtph_ps(x); }
V_INLINE v_f32 v_widen_bf16(__m128i x) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16)); }
V_INLINE __m128i v_round_f16(v_f32 x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

V_INLINE __m128i v_round_bf16(v_f32 x) {
    __m256i bits = _mm256_castps_si256(x);
    __m256i high = _mm256_srli_epi32(bits, 16);
    __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    __m256i sum = _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7FFF));
    __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    __m256i rounded = _mm256_blendv_epi8(_mm256_srli_epi32(sum, 16), quiet, _mm256_castps_si256(v_nan(x)));
    return _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
}

// Elements index ... index + 7 of an array of f32, f16 or bf16.
V_INLINE v_f32 v_load(csimd_type type, const void *x, size_t index) {
    if (type == CSIMD_F32) return _mm256_loadu_ps((const float *)x + index);
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)x + index));
    return type == CSIMD_F16 ? v_widen_f16(half) : v_widen_bf16(half);
}

V_INLINE void v_store(csimd_type type, void *y, size_t index, v_f32 value) {
    if (type == CSIMD_F32) {
        _mm256_storeu_ps((float *)y + index, value);
        return;
    }
    __m128i half = type == CSIMD_F16 ? v_round_f16(value) : v_round_bf16(value);
    _mm_storeu_si128((__m128i *)(void *)((uint16_t *)y + index), half);
}

// The first `lanes` (< 8) of them; the others read as 0 and are not written. 16-bit elements pass through a copy: AVX2 masks
// whole float32 lanes only.
V_INLINE __m256i v_first_lanes(size_t lanes) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

V_INLINE v_f32 v_load_first(csimd_type type, const void *x, size_t index, size_t lanes) {
    if (type == CSIMD_F32) return _mm256_maskload_ps((const float *)x + index, v_first_lanes(lanes));
    uint16_t copy[8] = {0};
    for (size_t lane = 0; lane < lanes; lane++) copy[lane] = ((const uint16_t *)x)[index + lane];
    return v_load(type, copy, 0);
}

V_INLINE void v_store_first(csimd_type type, void *y, size_t index, size_t lanes, v_f32 value) {
    if (type == CSIMD_F32) {
        _mm256_maskstore_ps((float *)y + index, v_first_lanes(lanes), value);
        return;
    }
    uint16_t copy[8];
    v_store(type, copy, 0, value);
    for (size_t lane = 0; lane < lanes; lane++) ((uint16_t *)y)[index + lane] = copy[lane];
}

// As v_store of two vectors that follow each other; v_stream_pair past the caches, y + index on a cache line or its half.
// Ended by v_stream_end.
V_INLINE void v_store_pair(csimd_type type, void *y, size_t index, v_f32 low, v_f32 high) {
    v_store(type, y, index, low);
    v_store(type, y, index + v_lanes, high);
}
V_INLINE void v_stream_pair(csimd_type type, void *y, size_t index, v_f32 low, v_f32 high) {
    if (type == CSIMD_F32) {
        _mm256_stream_ps((float *)y + index, low);
        _mm256_stream_ps((float *)y + index + v_lanes, high);
        return;
    }
    const __m128i first = type == CSIMD_F16 ? v_round_f16(low) : v_round_bf16(low);
    const __m128i second = type == CSIMD_F16 ? v_round_f16(high) : v_round_bf16(high);
    _mm256_stream_si256((__m256i *)(void *)((uint16_t *)y + index), _mm256_set_m128i(second, first));
}
V_INLINE void v_stream_end(void) { _mm_sfence(); }

// 8 or the first `lanes` unsigned bytes as float32.
V_INLINE v_f32 v_load_u8(const uint8_t *x) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)x)));
}
V_INLINE v_f32 v_load_u8_first(const uint8_t *x, size_t lanes) {
    uint8_t copy[8] = {0};
    for (size_t lane = 0; lane < lanes; lane++) copy[lane] = x[lane];
    return v_load_u8(copy);
}

// Float64 accumulators for as many lanes: sums of values, squares and cubes, each lane on its own; then the lanes pairwise.
typedef struct {
    __m256d low, high;
} v_f64_pair;

V_INLINE v_f64_pair v_f64_zero(void) { return (v_f64_pair){_mm256_setzero_pd(), _mm256_setzero_pd()}; }
V_INLINE v_f64_pair v_f64_widen(v_f32 x) {
    return (v_f64_pair){_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))};
}
V_INLINE v_f64_pair v_f64_add(v_f64_pair a, v_f64_pair b) {
    return (v_f64_pair){_mm256_add_pd(a.low, b.low), _mm256_add_pd(a.high, b.high)};
}
V_INLINE v_f64_pair v_f64_add_square(v_f64_pair sum, v_f32 x) {
    v_f64_pair wide = v_f64_widen(x);
    return (v_f64_pair){_mm256_fmadd_pd(wide.low, wide.low, sum.low), _mm256_fmadd_pd(wide.high, wide.high, sum.high)};
}
V_INLINE v_f64_pair v_f64_add_cube(v_f64_pair sum, v_f32 x) {
    v_f64_pair wide = v_f64_widen(x);
    return (v_f64_pair){_mm256_fmadd_pd(_mm256_mul_pd(wide.low, wide.low), wide.low, sum.low),
                        _mm256_fmadd_pd(_mm256_mul_pd(wide.high, wide.high), wide.high, sum.high)};
}
V_INLINE double v_f64_sum(v_f64_pair a) {
    __m256d four = _mm256_add_pd(a.low, a.high);
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

#pragma clang attribute pop
#endif
#endif
