// What the GEMM files for AVX-512 share: tile and block sizes, loads and stores, work across the lanes of vectors.
#ifndef CSIMD_GEMM_AVX512_H
#define CSIMD_GEMM_AVX512_H

#include "gemm.h"

#include "../support/vector_math_avx512.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

enum {
    TILE_ROWS = 14,
    NARROW_TILE_ROWS = 28,
    TILE_COLUMNS = 2 * v_lanes,
    DEPTH = 1024,               // B's panel of 32 columns: 128 KiB, streamed from L2
    A_ROW_STRIDE = DEPTH + 16,  // 65 cache lines
    SKINNY_ROWS = 8,            // most rows of the kernel by dot products
    MOST_SUMS = 28,
    SMALL_NARROW_ROWS = 14,  // tile height of small products, one vector wide
    WIDENED_ROWS = 4,        // tile height of the bf16 kernel where it meets subnormals
};

#include "gemm_vector_body.h"

// Transposition in registers: the four rows that a vector's 128-bit lanes hold are put together by loads (masked broadcasts,
// which need no shuffle), so that 2 shuffles a vector are left of the 4 of a transposition from whole rows.

// Lane s (128 bits) from x + 4 s stride, in bytes.
V_INLINE v_f32 load_lanes(const char *x, size_t stride) {
    __m512 r = _mm512_castps128_ps512(_mm_loadu_ps((const float *)(const void *)x));
    r = _mm512_mask_broadcast_f32x4(r, 0x00F0, _mm_loadu_ps((const float *)(const void *)(x + 4 * stride)));
    r = _mm512_mask_broadcast_f32x4(r, 0x0F00, _mm_loadu_ps((const float *)(const void *)(x + 8 * stride)));
    return _mm512_mask_broadcast_f32x4(r, 0xF000, _mm_loadu_ps((const float *)(const void *)(x + 12 * stride)));
}

// Lane s from x + offset[4 s].
V_INLINE v_f32 load_lanes_at(const char *x, const size_t *offset) {
    __m512 r = _mm512_castps128_ps512(_mm_loadu_ps((const float *)(const void *)(x + offset[0])));
    r = _mm512_mask_broadcast_f32x4(r, 0x00F0, _mm_loadu_ps((const float *)(const void *)(x + offset[4])));
    r = _mm512_mask_broadcast_f32x4(r, 0x0F00, _mm_loadu_ps((const float *)(const void *)(x + offset[8])));
    return _mm512_mask_broadcast_f32x4(r, 0xF000, _mm_loadu_ps((const float *)(const void *)(x + offset[12])));
}

// The first `count` (< 64) bytes of x, zeros after them, to a vector's bytes at y.
V_INLINE void copy_first_bytes(char *y, const char *x, size_t count) {
    _mm512_storeu_si512(y, _mm512_maskz_loadu_epi8(((__mmask64)1 << count) - 1, x));
}

// Transposes the 4 x 4 floats that the four vectors have in each lane; bit patterns untouched.
V_INLINE void transpose_lanes(v_f32 r[4]) {
    const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1])), b = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
    const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3])), d = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
    r[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    r[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    r[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    r[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
}

// The even and the odd 16-bit elements of a vector, widened.
V_INLINE void split_pairs(csimd_type type, v_f32 pairs, v_f32 *even, v_f32 *odd) {
    const __m512i bits = _mm512_castps_si512(pairs);
    if (type == CSIMD_F16) {
        *even = v_widen_f16(_mm512_cvtepi32_epi16(bits));
        *odd = v_widen_f16(_mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)));
    } else {
        *even = v_of_bits(_mm512_slli_epi32(bits, 16));
        *odd = v_of_bits(_mm512_and_si512(bits, _mm512_set1_epi32((int)0xFFFF0000u)));
    }
}

// sums[i] = the sum of the lanes of x[i], in an order that does not depend on i.
V_INLINE void sum_lanes_of_4(const v_f32 x[4], float sums[4]) {
    const __m512d a = _mm512_castps_pd(v_add(_mm512_unpacklo_ps(x[0], x[1]), _mm512_unpackhi_ps(x[0], x[1])));
    const __m512d b = _mm512_castps_pd(v_add(_mm512_unpacklo_ps(x[2], x[3]), _mm512_unpackhi_ps(x[2], x[3])));
    const __m512 wide = v_add(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(wide), _mm512_extractf32x8_ps(wide, 1));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}

#pragma clang attribute pop
#endif
